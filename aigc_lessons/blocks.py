"""Block matching with a 3-D transform, lesson 41: patches that look alike are put into a group, and what is faint in the group's transform
is noise.

The first step of BM3D: Dabov, Foi, Katkovnik, Egiazarian 2007, Image Denoising by Sparse 3-D Transform-Domain Collaborative Filtering.
"""

import math

import torch
import torch.nn.functional as F

AT_ONCE = 1_024  # groups that are filtered together, so that a large photo needs little memory


def dct_matrix(n):
    """The discrete cosine transform of n numbers as a matrix (n, n) whose rows are orthonormal; row 0 is the mean times the root of n.

    dct_matrix(3) applied to red, green and blue gives brightness, red against blue, and green against both.
    Source: Ahmed, Natarajan, Rao 1974, Discrete Cosine Transform; scaled as DCT-II with norm="ortho".
    """
    k = torch.arange(n, dtype=torch.float64)
    matrix = math.sqrt(2 / n) * (math.pi * (2 * k + 1) * k[:, None] / (2 * n)).cos()
    matrix[0] /= math.sqrt(2)
    return matrix.float()


def haar_matrix(n):
    """The Haar transform of n numbers as a matrix (n, n) whose rows are orthonormal: the mean, then differences of ever shorter halves.

    Raises ValueError unless n is a power of 2.
    """
    if n < 1 or n & (n - 1):
        raise ValueError(f"haar_matrix({n}): accepted are powers of 2, such as 16.")
    matrix = torch.ones(1, 1)
    while len(matrix) < n:
        halves = torch.kron(matrix, torch.tensor([[1.0, 1.0]]))
        differences = torch.kron(torch.eye(len(matrix)), torch.tensor([[1.0, -1.0]]))
        matrix = torch.cat([halves, differences]) / math.sqrt(2)
    return matrix


def filter_group(group, across, along, threshold):
    """A group of patches without what is faint in its 3-D transform, and how much the answer is to count.

    Args:
        group: (..., K, P, P), K patches that look alike. across: (K, K), along: (P, P), matrices with orthonormal rows, for the way from
            patch to patch and for both axes of a patch. threshold: coefficients of at most this size become 0.
    Returns:
        (..., K, P, P), transformed back; weight (...), 1 divided by the number of coefficients that stayed, or 1 if none did.
    Source: Dabov et al. 2007, eqs. 6 and 10.
    """
    coefficients = torch.einsum("kl,...lij,ai,bj->...kab", across, group, along, along)
    stays = coefficients.abs() > threshold
    filtered = torch.einsum("kl,...kab,ai,bj->...lij", across, coefficients * stays, along, along)
    return filtered, 1 / stays.sum((-3, -2, -1)).clamp(min=1).to(group.dtype)


def nearest_patches(image, patch, stride, window, count):
    """For each patch of a grid the places of the `count` patches that look most like it, its own first.

    Args: image: (H, W). patch: side. stride: from one patch of the grid to the next. window: odd side of the square of places that are
        searched. Returns: (G, count) int64, each row * W + column of a patch's upper left pixel; G patches, row by row.
    """
    (h, w), reach = image.shape, window // 2
    outside = F.pad(image, [reach] * 4, value=math.inf)  # a patch that would leave the picture is infinitely far away
    distances = []
    for dy in range(window):
        moved = outside[dy : dy + h].unfold(1, w, 1).transpose(0, 1)  # (window, h, w): by dx = 0, 1, ...
        distances.append(F.avg_pool2d((image - moved).square(), patch, stride).flatten(1))
    distances = torch.cat(distances)  # (window * window, G)
    distances[len(distances) // 2] -= 1  # a patch's own place, before a copy of it
    best = distances.T.topk(count, 1, largest=False).indices
    rows, columns = (torch.arange(0, side - patch + 1, stride, device=image.device) for side in (h, w))
    return (rows[:, None] * w + columns).view(-1, 1) + (best // window - reach) * w + best % window - reach


def block_matching(images, sigma, patch=8, stride=4, window=33, count=16, threshold=2.7):
    """Noise taken off pictures: each patch is filtered together with those that look like it, and where patches overlap their mean is taken.

    Colours are first turned into brightness and two differences by an orthonormal transform, which leaves the noise as strong as it was;
    patches are compared by brightness alone.

    Args:
        images: (N, C, H, W). sigma: standard deviation of the noise in levels of 255, as in `add_noise`; 0 changes nothing.
        patch: side. stride: of the grid of patches, at most `patch`. window: odd side of the square that is searched around each. count: how
            many patches make a group, a power of 2. threshold: below how many standard deviations a coefficient is noise.
    Returns:
        (N, C, H, W), not clipped.
    Raises:
        ValueError: pictures smaller than a patch, sigma below 0, an even window, or one that need not hold `count` patches.
    Source: Dabov et al. 2007, step 1; patch and threshold as there, a smaller window, no Kaiser window over the patch.
    """
    n, c, h, w = images.shape
    _check(h, w, sigma, patch, stride, window, count)
    if sigma == 0:
        return images.clone()
    colour, across, along = (matrix.to(images) for matrix in (dct_matrix(c), haar_matrix(count), dct_matrix(patch)))
    limit = threshold * 2 * sigma / 255  # [-1, 1] is 2 wide
    turned = torch.einsum("dc,nchw->ndhw", colour, images)
    wide = F.pad(
        turned, [0, -(w - patch) % stride, 0, -(h - patch) % stride], mode="replicate"
    )  # the grid ends with it
    rows, columns = wide.shape[2:]
    inside = (torch.arange(patch)[:, None] * columns + torch.arange(patch)).to(images.device)
    restored = []
    for picture in wide:
        corners = nearest_patches(picture[0], patch, stride, window, count)
        total, weights = torch.zeros_like(picture).flatten(1), torch.zeros_like(picture).flatten(1)
        for part in corners.split(AT_ONCE):
            pixels = part[:, :, None, None] + inside  # (G, count, patch, patch)
            filtered, weight = filter_group(picture.flatten(1)[:, pixels], across, along, limit)
            weight = weight[..., None, None, None].expand_as(filtered)
            total.index_add_(1, pixels.flatten(), (weight * filtered).flatten(1))
            weights.index_add_(1, pixels.flatten(), weight.flatten(1))
        restored.append((total / weights).view_as(picture)[:, :h, :w])
    return torch.einsum("dc,ndhw->nchw", colour, torch.stack(restored)) if n else images.clone()


def _check(h, w, sigma, patch, stride, window, count):
    if not sigma >= 0:
        raise ValueError(
            f"block_matching(sigma={sigma}): accepted is a standard deviation in levels of 255, 0 or more."
        )
    if min(h, w) < patch:
        raise ValueError(
            f"block_matching got pictures of {(h, w)} pixels. Accepted: at least one patch, {patch} x {patch}."
        )
    if not 1 <= stride <= patch:
        raise ValueError(
            f"block_matching(stride={stride}): accepted is 1 to {patch}, or pixels between patches are lost."
        )
    places = math.prod(min(window // 2, side - patch) + 1 for side in (h, w))  # in the corner of a picture
    if window % 2 == 0 or places < count:
        raise ValueError(
            f"block_matching(window={window}, count={count}) on pictures of {(h, w)} pixels: accepted is an odd window in which even a "
            f"corner's patch finds {count} patches; there it finds {places}. Give larger pictures or a smaller count."
        )
