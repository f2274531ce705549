"""The style of a picture: lesson 45. Features of an untrained network, a distance between their distributions, a picture that is optimised
until they agree, and a network that learns to do it at once.

Gatys et al. 2016 (content and style), Ustyuzhaninov et al. 2017 (untrained filters), Heitz et al. 2021 (sliced distance), Johnson et al.
2016 (one network for one style).
"""

import torch
import torch.nn.functional as F
from torch import nn

from ..data import check_images
from ..losses import sliced_distance, total_variation
from ..ops import match_moments
from .adversary import update
from .checks import check_channels, check_counts, in_chunks
from .unet import UNet

STEPS = (60, 100, 150)  # of `paint`, at a quarter, a half and the whole of the size
DIRECTIONS = (4, 16, 16)  # drawn in each step for the pixels, the first and the second layer


def random_filters(out_channels, in_channels, side, generator):
    """(O, I, side, side) from N(0, 1), each scaled to length 1."""
    return F.normalize(torch.randn(out_channels, in_channels * side * side, generator=generator), dim=1).view(
        out_channels, in_channels, side, side
    )


class RandomFeatures(nn.Module):
    """Two convolutions that nobody trained. (N, C, H, W) -> [the pixels, (N, width, H, W), (N, width, H / 2, W / 2)].

    Args: channels: 1 (grey) or 3 (colour). width: filters of each layer. seed: one seed, one network. It has no parameters to learn.
    """

    receptive_field = 12  # pixels that one value of the last layer sees, across

    def __init__(self, channels=3, width=48, seed=0):
        super().__init__()
        check_counts("RandomFeatures", channels=channels, width=width)
        self.channels = channels
        g = torch.Generator().manual_seed(seed)
        first = random_filters(width, channels, 7, g)
        self.register_buffer(
            "first", first - first.mean((2, 3), keepdim=True)
        )  # 0 on flat colour: it sees change alone
        self.register_buffer("second", random_filters(width, width, 3, g))

    def forward(self, images):
        check_channels("RandomFeatures", images, self.channels)
        edges = F.conv2d(F.pad(images, [3] * 4, mode="reflect"), self.first)  # => (width, H, W)
        pooled = F.avg_pool2d(edges.relu(), 2)  # => (width, H / 2, W / 2)
        return [images, edges, F.conv2d(F.pad(pooled, [1] * 4, mode="reflect"), self.second)]


def style_distance(found, wanted, generator=None, directions=DIRECTIONS):
    """How differently two lists of features are distributed: in each layer the sliced distance, in units of the variance of `wanted`.

    Args: found, wanted: what RandomFeatures gives. generator: for the directions; None draws them where the features are.
        directions: how many in each layer. Returns: scalar.
    """
    total = 0
    for a, b, k in zip(found, wanted, directions):
        where = a.device if generator is None else "cpu"
        ways = F.normalize(torch.randn(k, a.shape[1], generator=generator, device=where), dim=1).to(a)
        total = total + sliced_distance(a, b, ways) / b.var().clamp(min=1e-6)
    return total


def content_distance(found, wanted):
    """How differently two pictures are built: the mean squared difference of the last features, in units of their variance in `wanted`."""
    return (found[-1] - wanted[-1]).square().mean() / wanted[-1].var().clamp(min=1e-6)


def shrink(images, factor):
    """(N, C, H, W) -> (N, C, H / factor, W / factor), bicubic with anti-aliasing."""
    return _resize(images, [side // factor for side in images.shape[2:]]) if factor > 1 else images


def _resize(images, size):
    shrinks = size[0] < images.shape[2]
    return F.interpolate(images, tuple(size), mode="bicubic", antialias=shrinks).clamp(-1, 1)


def check_style(who, style, features, factor):
    """Raises unless `style` is one picture that, at 1 / factor of its size, is no smaller than what the features see at once."""
    check_channels(who, check_images(style, who), features.channels, "a style picture")
    if len(style) != 1:
        raise ValueError(f"{who} got {len(style)} style pictures. Accepted: one, (1, C, H, W), such as styles[:1].")
    least = features.receptive_field * factor
    if min(style.shape[2:]) < least:
        halved = f" It is looked at down to 1/{factor} of its size, too." if factor > 1 else ""
        raise ValueError(
            f"{who} got a style picture of {tuple(style.shape[2:])} pixels. One feature sees {features.receptive_field} x "
            f"{features.receptive_field} pixels at once, and a smaller picture shows it nothing but its own border.{halved} "
            f"Accepted: at least {least} x {least} pixels. Give a larger picture, or fewer scales."
        )


def paint(
    features, style, content=None, n=1, content_weight=0.02, roughness=0.03, steps=STEPS, lr=0.06, seed=0, progress=None
):
    """A picture whose features are distributed as those of `style`, by optimising its pixels, from coarse to fine.

    Args:
        features: RandomFeatures. style: (1, C, h, w). content: (1, C, H, W), what is to be seen; None: a texture, the size of `style`.
        n: how many pictures, each from noise of its own; only without content. content_weight, roughness: of content_distance and of
            total_variation, at least 0. steps: how many at each size, the last one at the whole; each size before is half as large.
        seed: of noise and directions. progress: called as progress(picture) after each step.
    Returns:
        (n, C, H, W) in [-1, 1].
    Raises ValueError for a style picture smaller than the receptive field at the coarsest size; for weights below 0.
    Source: Gatys et al. 2016, eq. 7, with the sliced distance of Heitz et al. 2021 for the style; coarse to fine as in Elnekave and Weiss
        2022, Generating Natural Images with Direct Patch Distributions Matching.
    """
    check_style("paint", style, features, 2 ** (len(steps) - 1))
    check_counts("paint", n=n)
    if content_weight < 0 or roughness < 0:
        raise ValueError(
            f"paint(content_weight={content_weight}, roughness={roughness}): accepted are weights of at least 0."
        )
    if content is not None:
        check_channels("paint", check_images(content, "paint"), features.channels, "a content picture")
        content = match_moments(content[:1], style).clamp(-1, 1)  # in the style's colours
    g = torch.Generator().manual_seed(seed)
    size, picture = (style if content is None else content).shape[2:], None
    for level, count in enumerate(steps):
        factor = 2 ** (len(steps) - 1 - level)
        here = [side // factor for side in size]
        with torch.no_grad():
            wanted = features(shrink(style, factor))
            built = None if content is None else features(_resize(content, here))
        if picture is not None:
            picture = _resize(picture, here)
        elif content is not None:
            picture = built[0].clone()
        else:
            noise = 0.3 * torch.randn(n, style.shape[1], *here, generator=g).to(style)
            picture = (style.mean((2, 3), keepdim=True) + noise).clamp(-1, 1)
        picture.requires_grad_()
        optimizer = torch.optim.Adam([picture], lr=lr, betas=(0.9, 0.99))  # it holds the picture; the features stay
        for step in range(count):
            optimizer.param_groups[0]["lr"] = lr * (1 - 0.9 * step / count)
            found = features(picture)
            loss = style_distance(found, wanted, g) + roughness * total_variation(picture)
            if content is not None:
                loss = loss + content_weight * content_distance(found, built)
            update(loss, optimizer)
            with torch.no_grad():
                picture.clamp_(-1, 1)  # in place, after the step: the optimizer keeps its tensor
            if progress:
                progress(picture.detach())
        picture = picture.detach()
    return picture


class FastStyle(nn.Module):
    """One network for one style: it learns to answer any picture with what `paint` would make of it.

    Args:
        style: (1, C, h, w) in [-1, 1], each side at least 24. width: channels of the U-Net's first layer.
        content_weight, roughness: as in `paint`. lr: of Adam. seed: of the features.
    """

    scales = (1, 2)

    def __init__(self, style, width=16, content_weight=0.1, roughness=0.03, lr=5e-3, seed=0):
        super().__init__()
        check_counts("FastStyle", width=width)
        self.features = RandomFeatures(style.shape[1], seed=seed)
        check_style("FastStyle", style, self.features, max(self.scales))
        self.register_buffer("style", style.clone())
        self.content_weight, self.roughness, self.lr = content_weight, roughness, lr
        self.network = UNet(style.shape[1], style.shape[1], width, depth=2)

    def forward(self, images):
        """(N, C, H, W) -> the same shape, in [-1, 1]: the picture in the style's colours, and what the network adds to it."""
        recoloured = match_moments(images, self.style)
        return (recoloured + self.network(recoloured)).tanh()

    def optimizers(self):
        return {"network": torch.optim.Adam(self.network.parameters(), lr=self.lr, fused=True)}

    def training_step(self, batch, optimizers):
        check_channels("FastStyle", batch.images, self.style.shape[1])
        painted = self(batch.images).float()
        content = match_moments(batch.images, self.style)
        loss = self.roughness * total_variation(painted)
        for factor in self.scales:
            found = self.features(shrink(painted, factor))
            with torch.no_grad():
                wanted, built = self.features(shrink(self.style, factor)), self.features(shrink(content, factor))
            loss = loss + style_distance(found, wanted) + self.content_weight * content_distance(found, built)
        update(loss, optimizers["network"])
        return {"loss": loss.detach()}

    def translate(self, x):
        """(N, C, H, W) in [-1, 1] -> the same shape, in [-1, 1], in the style."""
        check_channels("FastStyle", check_images(x, "FastStyle.translate"), self.style.shape[1])
        return in_chunks(self, self, x, size=16)
