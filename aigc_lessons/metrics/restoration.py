"""How near a restored picture is to the true one."""

import torch


def psnr(x, y, data_range):
    """Peak signal-to-noise ratio in decibels: 10 log10(data_range^2 / mean squared error), over all elements.

    Args: x, y: tensors of one shape. data_range: greatest minus least possible value; 2 for [-1, 1].
    Returns: scalar tensor; infinite for equal pictures. More is better: 6 dB halve the error.
    Raises ValueError for different shapes or a range that is not above 0.
    Source: Wang et al. 2004, Image Quality Assessment, section I, on what it cannot see.
    """
    if x.shape != y.shape:
        raise ValueError(f"psnr got {tuple(x.shape)} and {tuple(y.shape)}. Accepted: two tensors of one shape.")
    if not data_range > 0:
        raise ValueError(
            f"psnr(data_range={data_range}): accepted is a number above 0, such as 2 for pictures in [-1, 1]."
        )
    return 10 * torch.log10(data_range**2 / (x - y).square().mean())


def psnr_each(x, y, mask=None):
    """PSNR (N,) of each of N pictures (N, C, H, W) in [-1, 1]; with a mask (N, 1, H, W) over the pixels where it is 1 only.

    Raises ValueError where a mask holds no 1: there is nothing to compare.
    """
    if mask is None:
        return torch.stack([psnr(a, b, 2.0) for a, b in zip(x, y)])
    if empty := [i for i, m in enumerate(mask) if not m.any()]:
        raise ValueError(
            f"psnr_each: the mask of picture {empty[0]} holds no 1, so there is nothing to compare. Leave that picture out."
        )
    inside = mask.bool().expand_as(x)
    return torch.stack([psnr(a[m], b[m], 2.0) for a, b, m in zip(x, y, inside)])


def ssim_each(x, y, gaussian=False):
    """Structural similarity (N,) of each of N pictures (N, C, H, W) in [-1, 1], by scikit-image: 1 for equal ones.

    gaussian: False, windows of 7x7 pixels that all count alike, scikit-image's default, so H and W of at least 7; True, the paper's
    windows of 11x11, weighted by a Gaussian of standard deviation 1.5, so H and W of at least 11. The two give different numbers.
    Source: Wang et al. 2004, eq. 13, and section III.C for the window.
    """
    from skimage.metrics import structural_similarity

    window = dict(gaussian_weights=True, sigma=1.5, use_sample_covariance=False) if gaussian else {}
    return torch.tensor(
        [
            structural_similarity(a.numpy(), b.numpy(), channel_axis=0, data_range=2.0, **window)
            for a, b in zip(x.cpu(), y.cpu())
        ]
    )
