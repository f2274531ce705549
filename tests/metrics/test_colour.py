"""Measures of coloured line art: by hand, at their bounds, and where colours are hedged."""

import pytest
import torch

import aigc_lessons as al
from aigc_lessons.metrics import coloured, off_palette, palette, region_mean, saturation

RED, GREEN, WHITE = torch.tensor([[1.0, -1, -1], [-1, 1, -1], [1, 1, 1]])[:, :, None, None]


def flat(colour, h=3, w=5):
    return colour.expand(3, h, w).clone()


def test_what_is_coloured_by_hand():
    lines = torch.ones(2, 1, 3, 5)
    lines[:, :, 0] = -1  # a black line at the top
    pictures = lines.expand(-1, 3, -1, -1).clone()
    pictures[0, :, 1:, :2] = RED
    pictures[1, 2, 2, 4] = 0.95  # nearer than 0.1
    want = torch.zeros(2, 1, 3, 5, dtype=torch.bool)
    want[0, 0, 1:, :2] = True
    assert torch.equal(coloured(pictures, lines), want) and coloured(pictures, lines, least=0.01)[1].sum() == 1
    assert torch.equal(coloured(pictures, lines.expand(-1, 3, -1, -1)), want)


def test_saturation_is_0_for_grey_and_2_for_a_pure_colour():
    greys = torch.linspace(-1, 1, 7).view(7, 1, 1, 1).expand(7, 3, 2, 3)
    assert not saturation(greys).any()
    assert saturation(flat(RED)[None]).eq(2).all() and saturation(flat(RED)[None]).shape == (1, 1, 3, 5)
    half = (flat(RED) + flat(GREEN)) / 2  # what hedges between two pure colours is duller
    assert saturation(half[None]).eq(1).all()


def test_the_palette_counts_colours_and_off_palette_is_the_distance_to_the_nearest():
    pictures = torch.stack([flat(RED), flat(RED), flat(GREEN)])
    pictures[2, :, 0] = flat(WHITE)[:, 0]
    found = palette(pictures, 3)
    torch.testing.assert_close(found, torch.stack([RED, GREEN, WHITE])[:, :, 0, 0])
    chosen = torch.zeros(3, 1, 3, 5, dtype=torch.bool)
    chosen[2] = True
    torch.testing.assert_close(palette(pictures, 2, chosen), torch.stack([GREEN, WHITE])[:, :, 0, 0])
    assert not off_palette(pictures, found).any()
    half = (flat(RED) + flat(GREEN)) / 2
    assert off_palette(half[None], found[:2]).sub(2 / 3).abs().max() < 1e-6  # |1 - 0| and |-1 - 0| of three channels
    with pytest.raises(ValueError, match=r"palette\(n=4\): the pictures hold 3 colours"):
        palette(pictures, 4)


def test_a_region_s_mean_is_over_pixels_and_its_interval_over_pictures():
    values, where = torch.zeros(3, 1, 2, 4), torch.zeros(3, 1, 2, 4, dtype=torch.bool)
    values[0], where[0] = 1.0, True  # 8 pixels of 1
    values[1], where[1, :, :, :2] = 4.0, True  # 4 pixels of 4; what lies outside does not count
    got = region_mean(values, where)
    assert got.value == pytest.approx((8 * 1 + 4 * 4) / 12) and got.n == 2 and got.low < got.value < got.high
    values[1, :, :, 2:] = 1e6
    assert region_mean(values, where).value == got.value
    with pytest.raises(ValueError, match="region_mean: `where` holds nowhere"):
        region_mean(values, where & False)


def test_the_palette_of_emoji_is_theirs():
    colours = al.metrics.emoji_palette(6)
    assert colours.shape == (6, 3) and torch.equal(colours[:4], al.metrics.emoji_palette(4))
    yellow = ((colours + 1) * 127.5)[0]  # OpenMoji's, #fcea2b
    assert (yellow - torch.tensor([252.0, 234, 43])).abs().max() < 2


def test_what_is_refused():
    with pytest.raises(ValueError, match=r"shape \(2, 3, 4, 4\) and lines of \(1, 1, 4, 4\)"):
        coloured(torch.zeros(2, 3, 4, 4), torch.zeros(1, 1, 4, 4))
    with pytest.raises(ValueError, match="coloured: lines got images from 2"):
        coloured(torch.zeros(1, 3, 4, 4), 2 * torch.ones(1, 1, 4, 4))
