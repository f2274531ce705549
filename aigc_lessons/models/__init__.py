"""One file a model family. A model has optimizers() and training_step(batch, optimizers); see CONTRIBUTING.md."""

from .classifier import Classifier
from .conditional import CGAN, CVAE, ProjectionGAN
from .cyclegan import CycleGAN
from .dcgan import DCGAN
from .inpainting import Inpainter
from .pix2pix import Pix2Pix
from .restoration import Denoiser, SuperResolver
from .style import FastStyle, RandomFeatures
from .vae import VAE
from .wgan import WGAN

__all__ = [
    "CGAN",
    "CVAE",
    "DCGAN",
    "VAE",
    "WGAN",
    "Classifier",
    "CycleGAN",
    "Denoiser",
    "FastStyle",
    "Inpainter",
    "Pix2Pix",
    "ProjectionGAN",
    "RandomFeatures",
    "SuperResolver",
]
