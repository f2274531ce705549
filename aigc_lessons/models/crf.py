"""A conditional random field over the colours of a palette. Nothing in it is learnt: it mends what others made (lesson 33)."""

import torch
from torch import nn

from ..fields import label_unary, mean_field, unary
from .checks import check_channels, check_counts, check_floats


class PottsCRF(nn.Module):
    """Each pixel has one colour of a palette; pixels side by side of unlike colours cost `weight`.

    Args:
        palette: (L, C) float in [-1, 1], at least 2 colours. weight: at least 0. scale: how far pixels stray from their colour.
        rounds: of mean field, after which the probabilities hardly move any more.
    """

    def __init__(self, palette, weight=1.0, scale=0.35, rounds=30):
        super().__init__()
        check_counts("PottsCRF", rounds=rounds)
        if not weight >= 0:
            raise ValueError(
                f"PottsCRF(weight={weight}): accepted are numbers from 0 on; 0 lets each pixel decide alone."
            )
        unary(palette[:, :, None, None], palette, scale)  # refuses one colour, and a scale of 0
        self.register_buffer("palette", palette.float())
        self.weight, self.scale, self.rounds = weight, scale, rounds

    def unary(self, images, labels=None, right=0.9):
        """(N, L, H, W): what each label costs each pixel, by its colour and by what a label map says of it.

        Args: images: (N, C, H, W), which may leave [-1, 1], as noisy ones do. labels: (N, H, W) int64 or None, a user's map: -1
            where nothing is said. right: the probability that the map is right where it speaks.
        Raises ValueError for a map of another size.
        """
        check_floats("PottsCRF", images)
        check_channels("PottsCRF", images, self.palette.shape[1])
        cost = unary(images, self.palette, self.scale)
        if labels is None:
            return cost
        if tuple(labels.shape) != (len(images), *images.shape[2:]):
            raise ValueError(
                f"PottsCRF got a label map of shape {tuple(labels.shape)} for images of shape {tuple(images.shape)}. Accepted: "
                f"{(len(images), *images.shape[2:])}. To enlarge a coarse map: F.interpolate(labels[:, None].float(), "
                f"size={tuple(images.shape[2:])}, mode='nearest')[:, 0].long(). For one map on all: labels.expand(N, -1, -1)."
            )
        return cost + label_unary(labels, len(self.palette), right).to(cost)

    def marginals(self, images, labels=None, right=0.9):
        """(N, L, H, W): mean field's probability of each label at each pixel. Arguments as `unary`."""
        cost = self.unary(images, labels, right)
        return mean_field(cost.neg().softmax(1), cost, self.weight, self.rounds)

    @torch.no_grad()
    def restore(self, images, labels=None, right=0.9):
        """(N, C, H, W): at each pixel the mean of the palette's colours by `marginals`. Arguments as `unary`."""
        return torch.einsum("nlhw,lc->nchw", self.marginals(images, labels, right), self.palette)
