"""One file a model family. A model has optimizers() and training_step(batch, optimizers); see CONTRIBUTING.md."""
from .classifier import Classifier
from .dcgan import DCGAN
from .vae import VAE
from .wgan import WGAN

__all__ = ["DCGAN", "VAE", "WGAN", "Classifier"]
