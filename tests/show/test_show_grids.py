"""grid, film_strip and before_after: which pixel lands where."""

import io
import re

import numpy as np
import pytest
import torch
from PIL import Image

from aigc_lessons.show import before_after, film_strip, grid
from aigc_lessons.show.grids import SHARP, to_pixels


def decode(picture):
    return np.asarray(Image.open(io.BytesIO(picture.png)))


def flat(*values, side=8, channels=1):
    """One flat image of `side` pixels a value."""
    return torch.tensor(values, dtype=torch.float32).view(-1, 1, 1, 1).expand(-1, channels, side, side)


def test_range_is_mapped_to_bytes_with_rounding():
    # 0.5 of a grey level is 1/255: just below it rounds down, just above it up.
    x = torch.tensor([-1, 1, 2 * 100.4 / 255 - 1, 2 * 100.6 / 255 - 1, 1.00005, -1.00005]).view(1, 1, 1, 6)
    assert to_pixels(x).tolist() == [[[0, 255, 100, 101, 255, 0]]]


def test_colours_lie_where_they_should():
    red, green, blue = ([1.0, -1, -1], [-1, 1.0, -1], [-1, -1, 1.0])
    images = torch.tensor([red, green, blue]).view(3, 3, 1, 1).expand(-1, -1, 8, 8)
    drawn = decode(grid(images, "red, green and blue squares", columns=2))
    assert drawn.shape == (17, 17, 3)  # 8 + a gap of 1 + 8
    assert (drawn[:8, :8] == [255, 0, 0]).all() and (drawn[:8, 9:] == [0, 255, 0]).all()
    assert (drawn[9:, :8] == [0, 0, 255]).all()
    assert (drawn[8] == 255).all() and (drawn[:, 8] == 255).all() and (drawn[9:, 9:] == 255).all()


def test_orientation_is_kept():
    image = torch.full((1, 1, 4, 6), -1.0)
    image[0, 0, 0, 5] = 1  # upper right
    drawn = decode(grid(image, "a white dot, upper right"))
    assert drawn.shape == (4, 6) and drawn[0, 5] == 255 and drawn.astype(int).sum() == 255


def test_grey_stays_grey_and_colour_colour():
    assert decode(grid(flat(0.0), "grey")).ndim == 2
    assert decode(grid(flat(0.0, channels=3), "grey")).ndim == 3


@pytest.mark.parametrize("n, columns", [(1, 1), (5, 5), (8, 8), (10, 5), (18, 6), (64, 8), (100, 10)])
def test_default_columns_make_even_rows(n, columns):
    drawn = decode(grid(flat(*[0.0] * n), "grey squares"))
    assert drawn.shape[1] == 9 * columns - 1
    assert drawn.shape[0] == 9 * -(-n // columns) - 1


def test_zoom_makes_small_images_visible_and_is_obeyed_when_given():
    assert 70 <= grid(flat(*[0.0] * 64), "grey").size[0] / 8 <= 110
    assert grid(flat(0.0, side=32), "grey").size == (192, 192)
    assert grid(flat(0.0, side=300), "grey").size == (300, 300)
    assert grid(flat(0.0), "grey", zoom=3).size == (24, 24)


def test_the_gap_grows_with_the_images():
    assert decode(grid(flat(-1.0, -1.0, side=96), "two black squares")).shape == (96, 2 * 96 + 4)


def test_labels_stand_under_their_images_and_are_not_cut_off():
    drawn = decode(grid(flat(-1.0, -1.0), "two", zoom=8, labels=["a", "a label that is wider than its image"]))
    side = 8 * 8 * SHARP
    ink = drawn[side:] < 128
    assert ink.any() and not ink[:, [0, -1]].any() and not ink[-1].any()
    black = np.flatnonzero((drawn[:side] == 0).all(0))
    assert len(black) == 2 * side  # both images whole, at the same height
    first, second = black[:side], black[side:]
    middle = (first.mean() + second.mean()) / 2
    columns = np.flatnonzero(ink.any(0))
    for image, label in ((first, columns[columns < middle]), (second, columns[columns > middle])):
        assert len(label) and abs(image.mean() - (label[0] + label[-1]) / 2) < 3 * SHARP


def test_labels_may_be_a_tensor_of_numbers():
    assert (
        grid(flat(0.0, 1.0), "two", labels=torch.tensor([3, 4])).png
        == grid(flat(0.0, 1.0), "two", labels=["3", "4"]).png
    )


def test_film_strip_runs_from_left_to_right():
    drawn = decode(film_strip([flat(-1.0)[0], flat(0.0)[0], flat(1.0)[0]], "it brightens"))
    assert drawn.shape == (8, 26) and drawn[0, [0, 9, 18]].tolist() == [0, 128, 255]


def test_film_strip_of_batches_puts_each_image_in_its_row():
    frames = [flat(-1.0, 0.2), flat(-0.6, 0.6), flat(-0.2, 1.0)]
    drawn = decode(film_strip(torch.stack(frames), "both brighten"))
    assert drawn.shape == (17, 26)
    assert drawn[[0, 9]][:, [0, 9, 18]].tolist() == [[0, 51, 102], [153, 204, 255]]
    titled = decode(film_strip(frames, "both brighten", captions=[0, 100, 200], zoom=8))
    assert titled.shape[0] > 2 * 64 * SHARP + 6 * SHARP + 10 and titled[0, 0] == 0


def test_before_stands_above_after():
    drawn = decode(before_after(flat(-1.0, -1.0), flat(0.2, 0.2), "brighter", zoom=8))
    side = 64 * SHARP
    assert drawn[0, -1] == 0 and drawn[-1, -1] == 153
    assert drawn[:side, -1].max() == 0 and drawn.shape[0] == 2 * side + 6 * SHARP
    assert (drawn[:, : drawn.shape[1] - 2 * side - 6 * SHARP] < 128).any()  # the words, at the left


def test_a_single_pair_stands_side_by_side():
    drawn = decode(before_after(flat(-1.0), flat(0.2), "brighter", titles=("dark", "light"), zoom=8))
    assert drawn.shape[1] > drawn.shape[0] and drawn[0, 0] == 0 and drawn[0, -1] == 153


def test_the_input_is_left_alone_and_may_need_gradients_or_be_half():
    images = (2 * torch.rand(2, 3, 8, 8) - 1).requires_grad_()
    copy = images.detach().clone()
    picture = grid(images, "noise")
    assert torch.equal(images.detach(), copy) and images.grad is None
    assert decode(grid(images.bfloat16(), "noise")).shape == decode(picture).shape
    assert grid(images.double(), "noise").png == picture.png


@pytest.mark.parametrize("draw", [grid, lambda x, alt: film_strip([x], alt), lambda x, alt: before_after(x, x, alt)])
def test_pictures_with_nothing_below_0_are_warned_about(draw, recwarn):
    noise = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    for fine in (2 * noise - 1, flat(1, 1), flat(0, 0.5), torch.cat([noise, flat(-0.1)])):
        draw(fine, "noise")
    assert not recwarn
    with pytest.warns(UserWarning, match=r"got images from 0.\d+ to 0.\d+, with nothing below 0: .* 2 \* images - 1"):
        draw(noise, "noise")


def test_a_grid_of_digits_is_small():
    digits = 2 * torch.rand(64, 1, 8, 8, generator=torch.Generator().manual_seed(0)) - 1  # noise: the worst case
    assert len(grid(digits, "noise").png) < 8_000
    assert len(grid(digits.expand(-1, 3, -1, -1), "noise").png) < 40_000
    assert len(grid(digits, "noise", labels=range(64)).png) < 40_000


@pytest.mark.parametrize(
    "images, error, words",
    [
        (torch.zeros(2, 2, 8, 8), ValueError, "grid .* 2 channels.* 1 .* or 3 .*flatten"),
        (torch.zeros(0, 1, 8, 8), ValueError, "grid .*nothing to draw"),
        (torch.zeros(1, 8, 8), ValueError, r"grid .*\(N, C, H, W\).*image\[None\]"),
        (torch.full((1, 1, 8, 8), float("nan")), ValueError, "grid got NaN"),
        (torch.full((1, 1, 8, 8), 200.0), ValueError, "grid got images from 200 to 200"),
        (torch.zeros(1, 1, 8, 8, dtype=torch.uint8), TypeError, "grid .*uint8"),
        (np.zeros((1, 1, 8, 8)), TypeError, "grid got ndarray"),
    ],
)
def test_grid_refuses(images, error, words):
    with pytest.raises(error, match=words):
        grid(images, "something")


@pytest.mark.parametrize(
    "options, words",
    [
        ({"labels": ["a"]}, "labels=.*Give 2"),
        ({"labels": "ab"}, "labels='ab'"),
        ({"columns": 0}, "columns=0"),
        ({"zoom": 0}, "zoom=0"),
        ({"zoom": 1.5}, "zoom=1.5: give a whole number"),
    ],
)
def test_grid_refuses_options(options, words):
    with pytest.raises(ValueError, match=words):
        grid(flat(0.0, 0.0), "two", **options)


@pytest.mark.parametrize(
    "call",
    [
        lambda: grid(flat(0.0)),
        lambda: film_strip([flat(0.0)]),
        lambda: grid(flat(0.0), alt=" "),
        lambda: before_after(flat(0.0), flat(0.0)),
    ],
)
def test_alternative_text_is_demanded(call):
    with pytest.raises(ValueError, match="alternative text"):
        call()


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: film_strip([], "x"), "no frames"),
        (lambda: film_strip([flat(0.0), flat(0.0, side=4)], "x"), r"\(1, 1, 8, 8\) and \(1, 1, 4, 4\)"),
        (lambda: film_strip([flat(0.0)], "x", captions=["a", "b"]), "captions=.*Give 1"),
        (lambda: film_strip([flat(7.0)], "x"), "film_strip got images from 7"),
        (lambda: before_after(flat(0.0), flat(0.0, channels=3), "x"), "expand"),
        (lambda: before_after(flat(*[0.0] * 17), flat(*[0.0] * 17), "x"), "17 pairs"),
        (lambda: before_after(flat(0.0), flat(0.0), "x", titles="ab"), "titles='ab'"),
    ],
)
def test_strips_and_pairs_refuse(call, words):
    with pytest.raises(ValueError, match=words):
        call()


@pytest.mark.parametrize("size", [8, 16, 28, 32, 64])
@pytest.mark.parametrize("columns", [1, 4, 8, 10, 16, 20])
def test_a_picture_is_at_least_64_pixels_wide_also_where_the_page_is_narrow(size, columns):
    for sheet in (
        grid(torch.zeros(columns, 1, size, size), "grey", columns=columns),
        film_strip(list(torch.zeros(columns, 1, size, size)), "grey"),
    ):
        narrowest = int(re.search(r"min-width:(\d+)px", sheet.html)[1])
        assert sheet.size[0] >= narrowest >= 64 * columns
        assert "image-rendering:pixelated" in sheet.html or size == 64
        assert "overflow-x:auto" in sheet.html
