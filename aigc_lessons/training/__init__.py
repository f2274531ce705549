"""fit, checkpoints, progress and shipped weights."""
from .early_stopping import early_stop
from .loop import Batch, History, NonFiniteLoss, fit
from .schedules import cosine
from .weights import load_weights, manifest, save_weights, shipped

__all__ = ["Batch", "History", "NonFiniteLoss", "cosine", "early_stop", "fit", "load_weights", "manifest", "save_weights", "shipped"]
