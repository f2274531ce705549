"""Pictures of nothing, on which a judge learns to believe no class (Hendrycks et al. 2019, Outlier Exposure)."""

import torch
import torch.nn.functional as F

BLOBS = (2, 4, 8)  # cells a side that a smooth picture is drawn from: few make a gradient, many make clouds
PATCHES = 4  # patches a side, where two pictures exchange theirs


def nonsense(n, shape, seed=None, device=None):
    """n pictures that show nothing, in random order: pixel noise, flat colour and smooth blobs in about equal numbers.

    Args:
        n: how many, at least 1. shape: (C, H, W).
        seed: a number, a torch.Generator on `device`, or None for torch's own random numbers.
        device: where to draw; None: the generator's, or the CPU. Nothing is read back to the host.
    Returns:
        (n, C, H, W) float32 in [-1, 1].
    Raises ValueError for n or a shape below 1.
    """
    if n < 1 or len(shape) != 3 or min(shape) < 1:
        raise ValueError(
            f"nonsense(n={n}, shape={tuple(shape)}): accepted are 1 or more pictures of shape (C, H, W), each at least 1."
        )
    draw = _Draw(seed, device)
    kinds = [_uniform, _binary, _gaussian, _flat, *(_blobs(cells) for cells in BLOBS)]
    each = -(-n // len(kinds))
    pictures = torch.cat([kind(each, tuple(shape), draw) for kind in kinds]).clamp(-1, 1)
    return pictures[draw.order(len(pictures))[:n]]


def mixtures(images, labels=None, seed=None):
    """Pictures that are two of `images` at once: half of them averages, half with each picture's patches exchanged for the other's.

    Two pictures of one class may still look like that class. With labels, each is mixed with one of another class as far as there
    are: where no class makes up more than half of the images.

    Args:
        images: (N, C, H, W), N at least 2. labels: (N,) int64 or None. seed: as in `nonsense`; a generator must be on the images' device.
    Returns:
        (N, C, H, W), within the range of `images`, in random order.
    Raises ValueError for fewer than 2 images.
    """
    if images.ndim != 4 or len(images) < 2:
        raise ValueError(
            f"mixtures got images of shape {tuple(images.shape)}. Accepted: (N, C, H, W), at least 2 to mix."
        )
    draw = _Draw(seed, images.device)
    n, _, h, w = images.shape
    order = draw.order(n)
    half = n // 2
    if labels is not None:
        # by class, at random within one: half the ring further lies another class
        order = order[labels[order].argsort()]
    one, other = images[order], images[order.roll(half)]
    mixed = draw.order(n)  # which are averaged must not depend on the class
    one, other = one[mixed], other[mixed]
    rank = draw.uniform(n - half, PATCHES**2).argsort(1).argsort(1)
    mine = (rank < PATCHES**2 // 2).to(images.dtype).view(-1, 1, PATCHES, PATCHES)  # exactly half of the patches
    mine = F.interpolate(mine, (h, w))
    patched = mine * one[half:] + (1 - mine) * other[half:]
    return torch.cat([(one[:half] + other[:half]) / 2, patched])


class _Draw:
    """Random numbers on one device from one generator."""

    def __init__(self, seed, device):
        if isinstance(seed, torch.Generator):
            self.generator, self.device = seed, seed.device if device is None else torch.device(device)
            return
        self.device = torch.device("cpu" if device is None else device)
        self.generator = None if seed is None else torch.Generator(self.device).manual_seed(seed)

    def uniform(self, *shape, low=0.0, high=1.0):
        return low + (high - low) * torch.rand(*shape, generator=self.generator, device=self.device)

    def normal(self, *shape):
        return torch.randn(*shape, generator=self.generator, device=self.device)

    def order(self, n):
        return torch.randperm(n, generator=self.generator, device=self.device)


def _uniform(n, shape, draw):
    """Each pixel anywhere in [-1, 1]."""
    return draw.uniform(n, *shape, low=-1.0)


def _binary(n, shape, draw):
    """Each pixel -1 or 1; how many are 1 differs from picture to picture."""
    return (draw.uniform(n, *shape) < draw.uniform(n, 1, 1, 1, low=0.1, high=0.9)) * 2.0 - 1


def _gaussian(n, shape, draw):
    """A flat picture and normal noise of 0.1 to 0.7 on it."""
    return _flat(n, shape, draw) + draw.uniform(n, 1, 1, 1, low=0.1, high=0.7) * draw.normal(n, *shape)


def _flat(n, shape, draw):
    """One colour, any."""
    return draw.uniform(n, shape[0], 1, 1, low=-1.0).expand(n, *shape)


def _blobs(cells):
    """Low-pass noise: normal numbers on a grid of cells, smoothly enlarged, of a contrast and brightness that differ."""

    def pictures(n, shape, draw):
        c, h, w = shape
        coarse = draw.uniform(n, 1, 1, 1, low=0.3, high=1.0) * draw.normal(n, c, cells, cells)
        smooth = F.interpolate(coarse, (h, w), mode="bicubic", align_corners=False)
        return smooth + draw.uniform(n, c, 1, 1, low=-0.6, high=0.6)

    return pictures
