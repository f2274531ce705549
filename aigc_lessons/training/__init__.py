"""fit, checkpoints, progress and shipped weights."""
from .early_stopping import early_stop

__all__ = ["early_stop"]
