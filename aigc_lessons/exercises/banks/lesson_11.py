"""The exercises of lesson 11: mirror, rotate, warp."""

import cmath
import math

import numpy as np
import torch
import torch.nn.functional as F

from ...ops import flip_horizontal, rotation_matrix, warp
from ..engine import Case, Exercise, Mistake, Pair

# flip_horizontal


def _flip_cases(seed):
    g = torch.Generator().manual_seed(seed)
    return [
        Case("one row of three pixels", (torch.tensor([[1.0, 2.0, 3.0]]),), gradients=(0,)),
        Case("a picture (H, W)", (torch.tensor([[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 9.0]]),), gradients=(0,)),
        Case("a colour picture (C, H, W)", (torch.randn(3, 4, 5, generator=g),), gradients=(0,)),
        Case("a batch (N, C, H, W)", (torch.randn(2, 3, 4, 5, generator=g),), gradients=(0,)),
        Case("a batch of square pictures", (torch.randn(3, 2, 4, 4, generator=g),), gradients=(0,)),
    ]


def _flip_by_matrix(image):
    return image @ torch.eye(image.shape[-1]).flip(0)


def _flip_by_columns(image):
    out = torch.empty_like(image)
    width = image.shape[-1]
    for j in range(width):
        out[..., j] = image[..., width - 1 - j]
    return out


def _flip_overwriting(image):
    out = image.clone()
    width = out.shape[-1]
    for j in range(width):
        out[..., j] = out[..., width - 1 - j].clone()
    return out


FLIP = Exercise(
    name="flip_horizontal",
    lesson=11,
    points=2,
    minutes=5,
    docstring="""Mirror left and right, as a mirror on the wall does.

image: (..., H, W); a picture, a colour picture or a batch of them.
Returns the same shape; column j of the result is column W - 1 - j of the image.""",
    reference=flip_horizontal,
    cases=_flip_cases,
    alternatives={
        "indexing": lambda image: image[..., torch.arange(image.shape[-1] - 1, -1, -1)],
        "a matrix product": _flip_by_matrix,
        "column by column": _flip_by_columns,
        "NumPy, reversed slice": lambda image: image.numpy()[..., ::-1],
    },
    mistakes=(
        Mistake(
            "upside down",
            "You mirrored top and bottom: the last axis runs from left to right, the one before it from top to bottom.",
            lambda image: image.flip(-2),
        ),
        Mistake(
            "both axes",
            "You mirrored both axes, which turns the picture by 180 degrees; only the last axis should change.",
            lambda image: image.flip(-1, -2),
        ),
        Mistake(
            "unchanged",
            "You return the picture as it came; flip gives a new tensor, so its result must be returned.",
            lambda image: image.clone(),
        ),
        Mistake(
            "transposed",
            "You exchanged rows and columns; a mirror keeps each pixel in its row.",
            lambda image: image.transpose(-1, -2),
        ),
        Mistake(
            "quarter turn",
            "You turned the picture by 90 degrees; a mirror keeps each pixel in its row.",
            lambda image: image.rot90(1, (-2, -1)),
        ),
        Mistake(
            "off by one",
            "Your column j comes from column -j, so column 0 stays where it is; the last index is W - 1, "
            "so take W - 1 - j.",
            lambda image: image.flip(-1).roll(1, -1),
        ),
        Mistake(
            "loses a column",
            "Your range stops one too early and loses the first column; range(W - 1, -1, -1) ends at 0.",
            lambda image: image[..., 1:].flip(-1),
        ),
        Mistake(
            "overwrites what it still needs",
            "You write into the picture that you still read from, so the right half "
            "comes out twice; read from the original.",
            _flip_overwriting,
        ),
        Mistake(
            "first axis",
            "You mirrored the first axis, which is the batch or the channels; count from the end, -1 is the width.",
            lambda image: image.flip(0),
        ),
        Mistake(
            "only for batches",
            "You numbered the axis as 3, which only a batch has; -1 is the width of every picture.",
            lambda image: image.flip(3),
        ),
        Mistake(
            "only for colour pictures",
            "You numbered the axis as 2, which is the width of (C, H, W) but the height of a "
            "batch; -1 is the width of every picture.",
            lambda image: image.flip(2),
        ),
        Mistake(
            "negative", "You changed the sign of the values instead of the order of the columns.", lambda image: -image
        ),
    ),
)


# rotation_matrix


def _rotation_cases(seed):
    g = torch.Generator().manual_seed(seed)
    angles = [
        90,
        0,
        30.0,
        -45.0,
        180,
        400.0,
        -90,
        *(torch.rand(3, generator=g, dtype=torch.float64) * 720 - 360).tolist(),
    ]
    return [Case(f"{angle:.4g} degrees", (angle,)) for angle in angles]


def _cos_sin(degrees):
    return math.cos(math.radians(degrees)), math.sin(math.radians(degrees))


def _matrix(xx, xy, yx, yy):
    return torch.tensor([[xx, xy, 0.0], [yx, yy, 0.0]])


def _rotation_by_complex_number(degrees):
    turn = cmath.exp(1j * math.pi * degrees / 180)
    return _matrix(turn.real, -turn.imag, turn.imag, turn.real)


def _rotation_by_matrix_exponential(degrees):
    generator = torch.tensor([[0.0, -1.0], [1.0, 0.0]], dtype=torch.float64)
    return F.pad(torch.matrix_exp(generator * math.radians(degrees)), (0, 1))


def _rotation_by_numpy(degrees):
    a = np.deg2rad(degrees)
    return np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0]])


def _rotation_by_two_mirrors(degrees):
    c, s = _cos_sin(degrees / 2)
    mirror = torch.tensor([[c * c - s * s, 2 * c * s], [2 * c * s, s * s - c * c]])
    return torch.cat([mirror @ torch.tensor([[1.0, 0.0], [0.0, -1.0]]), torch.zeros(2, 1)], dim=1)


def _rotation_clockwise(degrees):
    c, s = _cos_sin(degrees)
    return _matrix(c, s, -s, c)


def _rotation_swapped(degrees):
    c, s = _cos_sin(degrees)
    return _matrix(s, -c, c, s)


def _rotation_without_minus(degrees):
    c, s = _cos_sin(degrees)
    return _matrix(c, s, s, c)


def _rotation_mirrored(degrees):
    c, s = _cos_sin(degrees)
    return _matrix(c, s, s, -c)


def _rotation_shift_first(degrees):
    return rotation_matrix(degrees).roll(1, 1)


def _rotation_homogeneous(degrees):
    return torch.cat([rotation_matrix(degrees), torch.tensor([[0.0, 0.0, 1.0]])])


ROTATION = Exercise(
    name="rotation_matrix",
    lesson=11,
    points=2,
    minutes=10,
    docstring="""The matrix with which `warp` turns a picture counter-clockwise, as seen on the screen.

degrees: a number; positive is counter-clockwise as seen.
Returns a (2, 3) matrix that takes an output point (x, y, 1) to the input point it comes from; x runs to the right, y down.""",
    reference=rotation_matrix,
    cases=_rotation_cases,
    alternatives={
        "a complex number": _rotation_by_complex_number,
        "the matrix exponential": _rotation_by_matrix_exponential,
        "NumPy, float64": _rotation_by_numpy,
        "two mirrors": _rotation_by_two_mirrors,
    },
    mistakes=(
        Mistake(
            "clockwise",
            "Your picture turns clockwise: with y down and a matrix from output to input, the minus belongs to "
            "the sine in the first row.",
            _rotation_clockwise,
        ),
        Mistake(
            "degrees taken as radians",
            "You gave degrees to sine and cosine, which expect radians; convert with math.radians.",
            lambda degrees: rotation_matrix(math.degrees(degrees)),
        ),
        Mistake(
            "converted the wrong way",
            "You multiplied by 180 / pi, which turns radians into degrees; you need pi / 180.",
            lambda degrees: rotation_matrix(math.degrees(math.degrees(degrees))),
        ),
        Mistake(
            "half the angle",
            "Your picture turns half as far as it should: 180 degrees are pi, not pi / 2.",
            lambda degrees: rotation_matrix(degrees / 2),
        ),
        Mistake(
            "sine and cosine exchanged",
            "You exchanged sine and cosine, so 0 degrees is not the identity; the cosines stand on the diagonal.",
            _rotation_swapped,
        ),
        Mistake(
            "no minus",
            "Both of your sines have the same sign, which shears and scales; a rotation has one of each.",
            _rotation_without_minus,
        ),
        Mistake(
            "mirror", "Your minus stands at a cosine, which makes a mirror; it belongs to a sine.", _rotation_mirrored
        ),
        Mistake(
            "no shift column",
            "You return 2 x 2; warp also wants the shift, here a third column of zeros.",
            lambda degrees: rotation_matrix(degrees)[:, :2],
        ),
        Mistake("homogeneous", "You return 3 x 3; leave out the last row, 0 0 1.", _rotation_homogeneous),
        Mistake(
            "shift column first",
            "You put the column of zeros first; the point is (x, y, 1), so the shift comes last.",
            _rotation_shift_first,
        ),
    ),
    pairs=(
        Pair("clockwise", "degrees taken as radians", lambda degrees: rotation_matrix(-math.degrees(degrees))),
        Pair("clockwise", "no shift column", lambda degrees: rotation_matrix(-degrees)[:, :2]),
        Pair("clockwise", "homogeneous", lambda degrees: _rotation_homogeneous(-degrees)),
    ),
)


# warp


def _warp_cases(seed):
    g = torch.Generator().manual_seed(seed)
    tiny = torch.tensor([[[[1.0, 2.0, 4.0], [3.0, 7.0, 5.0]]]])
    batch = torch.randn(2, 3, 5, 7, generator=g)
    skewed = torch.tensor([[0.7, -0.4, 0.15], [0.2, 0.9, -0.25]]) + 0.1 * torch.randn(2, 3, generator=g)

    def case(label, image, matrix):
        return Case(label, (image, torch.as_tensor(matrix)), gradients=(0,))

    return [
        case("the identity", tiny, [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]),
        case("one pixel to the right in the input (2 / W)", tiny, [[1.0, 0.0, 2 / 3], [0.0, 1.0, 0.0]]),
        case("half a pixel down in the input (1 / H)", tiny, [[1.0, 0.0, 0.0], [0.0, 1.0, 0.5]]),
        case("a quarter turn of a picture that is not square", tiny, [[0.0, -1.0, 0.0], [1.0, 0.0, 0.0]]),
        case("an asymmetric matrix with a shift, on a batch", batch, skewed),
        case("everything smaller: half the points lie outside", batch + 2, 1.9 * skewed),
        case("everything larger", batch, [[0.4, 0.1, 0.2], [-0.2, 0.5, 0.1]]),
    ]


def _coordinates(image, matrix):
    """(rows, columns): for each output pixel the place in the input, in pixels."""
    h, w = image.shape[-2:]
    points = F.affine_grid(matrix[None].to(image), (1, 1, h, w), align_corners=False)[0]
    return ((points[..., 1] + 1) * h - 1) / 2, ((points[..., 0] + 1) * w - 1) / 2


def _sample(image, matrix, aligned_grid=False, aligned_sample=False, **how):
    grid = F.affine_grid(matrix.expand(len(image), 2, 3).to(image), image.shape, align_corners=aligned_grid)
    return F.grid_sample(image, grid, align_corners=aligned_sample, **how)


def _warp_by_tents(image, matrix):
    """Each output pixel is a sum over all input pixels, weighted by tents one pixel wide on both sides."""
    rows, columns = _coordinates(image, matrix)
    down = (1 - (rows[..., None] - torch.arange(image.shape[-2])).abs()).clamp(min=0)
    across = (1 - (columns[..., None] - torch.arange(image.shape[-1])).abs()).clamp(min=0)
    return torch.einsum("ijh,ijw,nchw->ncij", down, across, image)


def _warp_by_pixels(image, matrix):
    h, w = image.shape[-2:]
    (xx, xy, x0), (yx, yy, y0) = matrix.tolist()
    out = torch.zeros_like(image)
    for i in range(h):
        for j in range(w):
            x, y = (2 * j + 1) / w - 1, (2 * i + 1) / h - 1
            column = ((xx * x + xy * y + x0 + 1) * w - 1) / 2
            row = ((yx * x + yy * y + y0 + 1) * h - 1) / 2
            for a in (math.floor(row), math.floor(row) + 1):
                for b in (math.floor(column), math.floor(column) + 1):
                    if 0 <= a < h and 0 <= b < w:
                        out[:, :, i, j] += image[:, :, a, b] * (1 - abs(row - a)) * (1 - abs(column - b))
    return out


def _warp_by_numpy(image, matrix):
    """Pad with zeros, clip, index; in float64."""
    h, w = image.shape[-2:]
    padded = np.pad(image.numpy().astype(np.float64), ((0, 0), (0, 0), (1, 1), (1, 1)))
    rows, columns = (t.numpy().astype(np.float64) for t in _coordinates(image, matrix))
    rows, columns = np.clip(rows + 1, 0, h + 0.999999), np.clip(columns + 1, 0, w + 0.999999)
    i, j = rows.astype(int), columns.astype(int)
    a, b = rows - i, columns - j
    return (
        padded[..., i, j] * (1 - a) * (1 - b)
        + padded[..., i, j + 1] * (1 - a) * b
        + padded[..., i + 1, j] * a * (1 - b)
        + padded[..., i + 1, j + 1] * a * b
    )


def _warp_with(image, matrix, change):
    """warp with a changed 3 x 3 matrix."""
    return warp(image, change(torch.cat([matrix, torch.tensor([[0.0, 0.0, 1.0]])]))[:2])


def _warp_shift_in_pixels(image, matrix):
    size = torch.tensor([image.shape[-1], image.shape[-2]])
    return warp(image, torch.cat([matrix[:, :2], matrix[:, 2:] * 2 / size[:, None]], dim=1))


def _warp_by_floor(image, matrix):
    h, w = image.shape[-2:]
    rows, columns = (t.floor() for t in _coordinates(image, matrix))
    inside = (rows >= 0) & (rows < h) & (columns >= 0) & (columns < w)
    return image[..., rows.clamp(0, h - 1).long(), columns.clamp(0, w - 1).long()] * inside


def _warp_weights_exchanged(image, matrix):
    """The near neighbour gets the small weight."""
    h, w = image.shape[-2:]
    rows, columns = _coordinates(image, matrix)
    top, left = rows.floor(), columns.floor()
    out = 0
    for i, down in ((top, rows - top), (top + 1, top + 1 - rows)):
        for j, across in ((left, columns - left), (left + 1, left + 1 - columns)):
            inside = (i >= 0) & (i < h) & (j >= 0) & (j < w)
            out = out + image[..., i.clamp(0, h - 1).long(), j.clamp(0, w - 1).long()] * down * across * inside
    return out


WARP = Exercise(
    name="warp",
    lesson=11,
    points=4,
    minutes=20,
    docstring="""Affine warp by bilinear interpolation; whatever lies outside the input is 0.

image: (N, C, H, W) float. matrix: (2, 3), takes an output point (x, y, 1) to the input point (x, y) that it shows.
Coordinates run from -1 to 1, x to the right and y down, from the outer edge of the first pixel to that of the last
(align_corners=False): the centre of column j is at x = (2 j + 1) / W - 1.
Returns (N, C, H, W).""",
    reference=warp,
    cases=_warp_cases,
    from_scratch=("grid_sampler_2d",),
    alternatives={
        "the library": lambda image, matrix: _sample(image, matrix),
        "tent weights and einsum": _warp_by_tents,
        "pixel by pixel": _warp_by_pixels,
        "NumPy, float64": _warp_by_numpy,
    },
    mistakes=(
        Mistake(
            "corners at pixel centres",
            "You put -1 and 1 at the centres of the border pixels (align_corners=True); here they are the outer edges.",
            lambda image, matrix: _sample(image, matrix, True, True),
        ),
        Mistake(
            "output grid at pixel centres",
            "Your output points run from -1 to 1 themselves; the centre of column j is at (2 j + 1) / W - 1.",
            lambda image, matrix: _sample(image, matrix, True, False),
        ),
        Mistake(
            "input grid at pixel centres",
            "You turn input points into pixels by (x + 1) (W - 1) / 2; with the edges at -1 and 1 "
            "it is ((x + 1) W - 1) / 2.",
            lambda image, matrix: _sample(image, matrix, False, True),
        ),
        Mistake(
            "nearest pixel",
            "You take the nearest pixel; bilinear interpolation blends the four around the point.",
            lambda image, matrix: _sample(image, matrix, mode="nearest"),
        ),
        Mistake(
            "rounded down",
            "You take the pixel above and to the left only; bilinear interpolation blends the four around the point.",
            _warp_by_floor,
        ),
        Mistake(
            "weights exchanged",
            "You give the far pixel the large weight; the weight is 1 minus the distance.",
            _warp_weights_exchanged,
        ),
        Mistake(
            "inverse matrix",
            "You sent input points to the output; the matrix takes an output point to the input.",
            lambda image, matrix: _warp_with(image, matrix, torch.linalg.inv),
        ),
        Mistake(
            "x and y exchanged",
            "You exchanged x and y: x is the column and the first coordinate, y is the row.",
            lambda image, matrix: warp(image, matrix.flip(0)[:, [1, 0, 2]]),
        ),
        Mistake(
            "transposed matrix",
            "You used the 2 x 2 part transposed, as points @ matrix does; each ROW of the matrix gives one coordinate.",
            lambda image, matrix: warp(image, torch.cat([matrix[:, :2].T, matrix[:, 2:]], dim=1)),
        ),
        Mistake(
            "no shift",
            "You left out the last column of the matrix, which is the shift.",
            lambda image, matrix: warp(image, torch.cat([matrix[:, :2], torch.zeros(2, 1)], dim=1)),
        ),
        Mistake(
            "shift in pixels",
            "You took the shift as pixels; it is in units where the whole width is 2.",
            _warp_shift_in_pixels,
        ),
        Mistake(
            "border repeated",
            "Points outside show the nearest border pixel in your version; they should be 0.",
            lambda image, matrix: _sample(image, matrix, padding_mode="border"),
        ),
        Mistake(
            "border mirrored",
            "Points outside show a mirror image in your version; they should be 0.",
            lambda image, matrix: _sample(image, matrix, padding_mode="reflection"),
        ),
        Mistake(
            "black outside",
            "You fill the outside with -1, which is black; this exercise wants 0.",
            lambda image, matrix: warp(image + 1, matrix) - 1,
        ),
    ),
    pairs=(
        Pair(
            "corners at pixel centres",
            "nearest pixel",
            lambda image, matrix: _sample(image, matrix, True, True, mode="nearest"),
        ),
        Pair(
            "corners at pixel centres",
            "border repeated",
            lambda image, matrix: _sample(image, matrix, True, True, padding_mode="border"),
        ),
        Pair(
            "x and y exchanged",
            "transposed matrix",
            lambda image, matrix: warp(image, torch.cat([matrix[:, :2].T, matrix[:, 2:]], dim=1).flip(0)[:, [1, 0, 2]]),
        ),
    ),
)

EXERCISES = (FLIP, ROTATION, WARP)
