"""fit, checkpoints and progress."""

from .early_stopping import early_stop
from .loop import Batch, History, NonFiniteLoss, fit
from .schedules import cosine

__all__ = ["Batch", "History", "NonFiniteLoss", "cosine", "early_stop", "fit"]
