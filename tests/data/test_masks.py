"""Holes: as large as asked for, of the shape they are named after, each mask its own, the same for the same seed."""

import math

import pytest
import torch
from scipy import ndimage

from aigc_lessons.data import draw_masks
from aigc_lessons.data.masks import MASKS

SIZES = [16, (20, 33), (31, 17), 32]
EIGHT = [[1] * 3] * 3  # neighbours across corners count


def sides(size):
    return (size, size) if isinstance(size, int) else size


def missing(masks):
    return (masks == 0).flatten(1).sum(1)


@pytest.mark.parametrize("kind", MASKS)
@pytest.mark.parametrize("size", SIZES)
def test_masks_are_0_and_1_and_repeat_with_their_seed(kind, size):
    masks = draw_masks(kind, 40, size, 0.3, seed=5)
    assert masks.shape == (40, 1, *sides(size)) and masks.dtype == torch.float32 and masks.device.type == "cpu"
    assert ((masks == 0) | (masks == 1)).all()
    state = torch.get_rng_state()
    assert torch.equal(draw_masks(kind, 40, size, 0.3, seed=5), masks)
    assert torch.equal(torch.get_rng_state(), state)  # a seed leaves torch's own random state alone
    if kind not in ("empty", "full"):
        assert not torch.equal(draw_masks(kind, 40, size, 0.3, seed=6), masks)
        different = {m.numpy().tobytes() for m in masks}
        assert len(different) == 4 if kind == "half" else len(different) > 30  # a box may come twice


def test_without_a_seed_torchs_random_state_decides():
    draws = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        draws.append(torch.cat([draw_masks(kind, 9, 12, (0.2, 0.5)) for kind in ("box", "strokes", "random", "half")]))
    assert torch.equal(draws[0], draws[1]) and not torch.equal(draws[0], draws[2])


@pytest.mark.parametrize("kind", ["strokes", "random"])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("hole", [0.05, 0.1, 0.25, 0.37, 0.6, 0.95])
def test_the_hole_has_exactly_the_share_asked_for(kind, size, hole):
    h, w = sides(size)
    share = (torch.tensor(hole) * h * w).round().item()
    assert abs(share - hole * h * w) <= 0.5 + 1e-4
    assert missing(draw_masks(kind, 25, size, hole, seed=1)).tolist() == [share] * 25


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("hole", [0.02, 0.1, 0.25, 0.37, 0.6, 0.9, 0.98])
def test_a_box_is_a_rectangle_within_a_row_or_column_of_its_share(size, hole):
    h, w = sides(size)
    masks = draw_masks("box", 300, size, hole, seed=1)
    tops, lefts = [], []
    for mask in masks[:, 0]:
        rows, columns = ((mask == 0).any(axis).nonzero()[:, 0] for axis in (1, 0))
        tall, wide = len(rows), len(columns)
        assert (rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1) == (tall, wide) and (
            mask == 0
        ).sum() == tall * wide
        assert abs(tall * wide - hole * h * w) <= (max(h, w) + 1) / 2
        # At most twice as tall as wide, in parts of the picture, or twice as wide as tall: but for rounding by half a pixel.
        assert h * max(hole, (hole / 2) ** 0.5) - 0.51 <= tall <= h * min(1, (2 * hole) ** 0.5) + 0.51
        tops.append((rows[0].item(), h - tall))
        lefts.append((columns[0].item(), w - wide))
    # anywhere inside: among the boxes with room, first and last places come, and the mean is the middle
    for places in (tops, lefts):
        if sum(room > 0 for _, room in places) < 100:
            continue
        shares = torch.tensor([place / room for place, room in places if room > 0])
        assert shares.min() == 0 and shares.max() == 1
        deviation = torch.tensor([math.sqrt((room**2 + 2 * room) / 12) / room for _, room in places if room > 0])
        assert abs(shares.mean().item() - 0.5) < 4 * deviation.square().sum().sqrt().item() / len(shares)


def test_boxes_have_many_proportions():
    masks = draw_masks("box", 200, 64, 0.2, seed=2)[:, 0]
    aspects = torch.stack([(m == 0).any(1).sum() / (m == 0).any(0).sum() for m in masks])
    assert aspects.min() < 0.6 and aspects.max() > 1.7 and 0.4 < (aspects > 1).float().mean() < 0.6


@pytest.mark.parametrize(("size", "hole"), [(32, 0.15), (32, 0.3), (32, 0.6), (16, 0.3), ((20, 33), 0.2), (64, 0.1)])
def test_a_stroke_is_one_piece_and_no_dust(size, hole):
    masks = draw_masks("strokes", 100, size, hole, seed=3)
    holes = [(m[0] == 0).numpy() for m in masks]
    assert [ndimage.label(h, EIGHT)[1] for h in holes] == [1] * 100
    dust = [(m[0] == 0).numpy() for m in draw_masks("random", 100, size, hole, seed=3)]
    inner = lambda masks: sum(ndimage.binary_erosion(h).sum() for h in masks)  # pixels with four missing neighbours
    assert inner(holes) > 2 * inner(dust)


def test_strokes_bend():
    """Of a straight bar of the same area the smallest box around it is well filled."""
    holes = [(m[0] == 0).nonzero().double() for m in draw_masks("strokes", 100, 48, 0.12, seed=4)]
    spread = torch.stack([torch.linalg.eigvalsh((p - p.mean(0)).T @ (p - p.mean(0)) / len(p)) for p in holes])
    # A bar a by b has a variance of a^2/12 and b^2/12 along its axes: the product of its sides is 12 sqrt(their product) = its area.
    area = torch.tensor([float(len(p)) for p in holes])
    assert (12 * spread.prod(1).sqrt() / area).median() > 1.5


def test_a_stroke_ends_inside():
    """Its corners are anywhere in the picture, so many a thin one comes near no border; lines without ends would all reach two."""
    masks = draw_masks("strokes", 200, 64, 0.08, seed=5)[:, 0]
    border = torch.cat([masks[:, 0], masks[:, -1], masks[:, :, 0], masks[:, :, -1]], 1)
    assert border.all(1).float().mean() > 0.15


def test_random_holes_are_spread_evenly():
    masks = draw_masks("random", 4000, (6, 9), 0.3, seed=1)
    share = 16 / 54
    error = math.sqrt(share * (1 - share) / 4000)
    assert ((masks == 0).float().mean(0) - share).abs().max() < 4.5 * error
    left, right = (masks == 0)[..., :-1].float(), (masks == 0)[..., 1:].float()
    assert abs((left * right).mean().item() - share * 15 / 53) < 0.005  # neighbours know nothing of each other


@pytest.mark.parametrize("size", SIZES)
def test_a_half_is_half_and_each_side_comes_as_often(size):
    h, w = sides(size)
    masks = draw_masks("half", 800, size, seed=1)[:, 0]
    y, x = torch.arange(h)[:, None].expand(h, w), torch.arange(w).expand(h, w)
    kinds = [(x < w // 2).float(), (x >= w // 2).float(), (y < h // 2).float(), (y >= h // 2).float()]
    counts = [sum(torch.equal(m, k) for m in masks) for k in kinds]
    assert sum(counts) == 800 and all(abs(c - 200) < 4.5 * math.sqrt(800 * 3 / 16) for c in counts)
    if h % 2 == w % 2 == 0:
        assert (missing(masks[:, None]) == h * w // 2).all()


def test_empty_and_full():
    assert (draw_masks("empty", 3, (4, 5)) == 1).all() and (draw_masks("full", 3, (4, 5)) == 0).all()
    assert draw_masks("empty", 3, (4, 5)).shape == draw_masks("full", 3, (4, 5)).shape == (3, 1, 4, 5)


@pytest.mark.parametrize("kind", ["box", "strokes", "random"])
def test_a_range_of_shares_is_used_from_end_to_end(kind):
    low, high, n = 0.1, 0.5, 400
    shares = missing(draw_masks(kind, n, 32, (low, high), seed=1)) / 1024
    slack = 17 / 1024 if kind == "box" else 1 / 1024
    assert low - slack <= shares.min() < 0.13 and 0.47 < shares.max() <= high + slack
    assert abs(shares.mean().item() - 0.3) < 4.5 * 0.4 / math.sqrt(12 * n) + 0.002
    assert (missing(draw_masks("strokes", 9, 32, (0.25, 0.25), seed=1)) == 256).all()
    assert (missing(draw_masks("strokes", 9, 32, seed=1)) == 256).all()  # a quarter, if nothing is said


def test_the_smallest_pictures_and_holes():
    for kind in ("box", "strokes", "random"):
        assert (missing(draw_masks(kind, 20, 10, 0.001, seed=1)) == 1).all()  # at least one pixel is missing
        assert (missing(draw_masks(kind, 4, 1, 0.5, seed=1)) == 1).all()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("holes", 2, 8), r"draw_masks\('holes'\): accepted are box, strokes, random, half, empty, full"),
        (("Box", 2, 8), "accepted are box"),
        ((None, 2, 8), "accepted are box"),
        (("box", 0, 8), r"draw_masks\('box', n=0, size=8\): accepted are 1 or more masks, of 1 pixel or more"),
        (("box", -1, 8), "n=-1"),
        (("half", 2, 0), "n=2, size=0"),
        (("half", 2, (8, 0)), r"size=\(8, 0\)"),
        (("half", 2, (0, 8)), r"size=\(0, 8\)"),
        (
            ("box", 2, 8, 0.0),
            r"draw_masks\('box', hole=0.0\): accepted is a share of the pixels between 0 and 1, such as 0.25",
        ),
        (("box", 2, 8, 0), "hole=0\\)"),
        (("random", 2, 8, 1.0), "hole=1.0.*For no hole or nothing but hole ask for the kinds 'empty' and 'full'"),
        (("random", 2, 8, 1), "hole=1\\)"),
        (("strokes", 2, 8, -0.2), "hole=-0.2"),
        (("strokes", 2, 8, 25), "hole=25"),
        (("strokes", 2, 8, math.nan), "hole=nan"),
        (("box", 2, 8, (0.5, 0.2)), r"hole=\(0.5, 0.2\)"),
        (("box", 2, 8, (0.0, 0.2)), r"hole=\(0.0, 0.2\)"),
        (("box", 2, 8, (0.2, 1.0)), r"hole=\(0.2, 1.0\)"),
    ],
)
def test_requests_that_are_refused(arguments, says):
    with pytest.raises(ValueError, match=says):
        draw_masks(*arguments)
