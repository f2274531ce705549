"""The judge: the shipped classifier whose features compare sets of pictures."""

import torch.nn.functional as F
from torch import nn

from .. import shipped
from ..data.pixels import resize
from ..shipped import manifest


def judges():
    """The data sets for which a judge comes with the course."""
    return tuple(name.removeprefix("classifier-") for name in manifest() if name.startswith("classifier-"))


def coarse_pixels(images):
    """Pixels averaged over 8x8 blocks: (N, C, H, W) -> (N, C H W / 64). For data without a classifier; blind to all that is fine."""
    return F.avg_pool2d(images, 8).flatten(1)


class Judge(nn.Module):
    """The shipped classifier of a data set, in eval mode: (N, C, H, W) in [-1, 1] -> features (N, 64), logits (N, K).

    Pictures of another size are resized to its own (bicubic). Raises ValueError for a data set without a judge.

    Attributes: n_classes: K. scale: root mean square of its features on the data's test pictures.
    """

    def __init__(self, name):
        super().__init__()
        if name not in judges():
            raise ValueError(
                f"There is no judge for {name!r}. There are judges for {', '.join(judges())}; for other pictures use "
                "features='inception' with a file of weights."
            )
        self.classifier = shipped(f"classifier-{name}").requires_grad_(False)
        self.image_shape, self.n_classes = self.classifier.image_shape, self.classifier.n_classes
        self.eval()
        self.scale = manifest()[f"classifier-{name}"]["metrics"]["feature_rms"]

    def forward(self, images):
        if tuple(images.shape[2:]) != self.image_shape[1:]:
            images = resize(images, self.image_shape[-1])
        features = self.classifier.features(images)
        return features, self.classifier.head(features)

    def read_bytes(self, pixels):
        """The same for uint8 (N, C, H, W): how torch-fidelity hands pictures over."""
        return self(pixels.float() / 127.5 - 1)
