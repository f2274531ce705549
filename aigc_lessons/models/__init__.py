"""One file a model family. A model has optimizers() and training_step(batch, optimizers); see CONTRIBUTING.md."""
from .classifier import Classifier

__all__ = ["Classifier"]
