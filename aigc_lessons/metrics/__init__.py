"""How good a model is, and how sure that is: every measure comes with an interval and its sample count."""

from .accuracy import accuracy
from .captions import caption_accuracy, shown
from .colour import coloured, emoji_palette, off_palette, palette, region_mean, saturation
from .copies import copy_test, nearest
from .evaluation import Report, evaluate
from .frechet import fid, frechet_distance, moments
from .inception import inception_score
from .intervals import Measure, bootstrap_interval, mean_interval, wilson_interval
from .judge import Judge, coarse_pixels, judges
from .kernel import kernel_distance
from .modes import confident_share, effective_modes, mode_counts, pairwise_distance
from .neighbours import covered, density_coverage, precision_recall
from .restoration import psnr, psnr_each, ssim_each

__all__ = [
    "Judge",
    "Measure",
    "Report",
    "accuracy",
    "bootstrap_interval",
    "caption_accuracy",
    "coarse_pixels",
    "coloured",
    "confident_share",
    "copy_test",
    "covered",
    "density_coverage",
    "effective_modes",
    "emoji_palette",
    "evaluate",
    "fid",
    "frechet_distance",
    "inception_score",
    "judges",
    "kernel_distance",
    "mean_interval",
    "mode_counts",
    "moments",
    "nearest",
    "off_palette",
    "pairwise_distance",
    "palette",
    "precision_recall",
    "psnr",
    "psnr_each",
    "region_mean",
    "saturation",
    "shown",
    "ssim_each",
    "wilson_interval",
]
