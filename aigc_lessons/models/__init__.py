"""One file a model family. A model has optimizers() and training_step(batch, optimizers); see CONTRIBUTING.md."""

from .autoregressive import PixelCNN, PixelGRU
from .classifier import Classifier
from .conditional import CGAN, CVAE, ConditionalGAN, ProjectionGAN
from .crf import PottsCRF
from .cyclegan import CycleGAN
from .dcgan import DCGAN
from .diffusion import Diffusion
from .flow import Flow
from .inpainting import Inpainter
from .latent import VQ, Autoencoder, LatentFlow
from .pix2pix import Pix2Pix
from .restoration import Denoiser, SuperResolver
from .style import FastStyle, RandomFeatures
from .text_to_image import TextToImage
from .vae import VAE
from .wgan import WGAN

__all__ = [
    "CGAN",
    "CVAE",
    "ConditionalGAN",
    "DCGAN",
    "VAE",
    "VQ",
    "WGAN",
    "Autoencoder",
    "Classifier",
    "CycleGAN",
    "Denoiser",
    "Diffusion",
    "Flow",
    "FastStyle",
    "Inpainter",
    "LatentFlow",
    "Pix2Pix",
    "PixelCNN",
    "PixelGRU",
    "PottsCRF",
    "ProjectionGAN",
    "RandomFeatures",
    "SuperResolver",
    "TextToImage",
]
