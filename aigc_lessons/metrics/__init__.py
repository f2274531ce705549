"""How good a model is, and how sure that is: every measure comes with an interval and its sample count."""
from .accuracy import accuracy
from .frechet import fid, frechet_distance, moments
from .intervals import Measure, mean_interval, wilson_interval
from .modes import effective_modes, mode_counts, pairwise_distance
from .restoration import psnr, psnr_each, ssim_each

__all__ = ["Measure", "accuracy", "effective_modes", "fid", "frechet_distance", "mean_interval", "mode_counts", "moments",
           "pairwise_distance", "psnr", "psnr_each", "ssim_each", "wilson_interval"]
