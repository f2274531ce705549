"""How good a model is, and how sure that is: every measure comes with an interval and its sample count."""
from .accuracy import accuracy
from .intervals import Measure, mean_interval, wilson_interval

__all__ = ["Measure", "accuracy", "mean_interval", "wilson_interval"]
