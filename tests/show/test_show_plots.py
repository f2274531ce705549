"""curve, bars and heatmap: the Figure holds the data, and the picture shows it."""

import io

import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from PIL import Image

from aigc_lessons.show import bars, curve, heatmap
from aigc_lessons.show.plots import bars_figure, curve_figure, heatmap_figure


def decode(picture):
    return np.asarray(Image.open(io.BytesIO(picture.png)).convert("RGB"))


def texts(axes):
    return [text.get_text() for text in axes.texts]


def test_curve_plots_its_values():
    series = {"train": [3, 2, 1], "test": torch.tensor([3.5, 3.0, 2.5, 2.4], requires_grad=True)}
    (axes,) = curve_figure(series, ylabel="loss").axes
    train, test = axes.lines
    assert train.get_xdata().tolist() == [0, 1, 2] and train.get_ydata().tolist() == [3, 2, 1]
    assert test.get_xdata().tolist() == [0, 1, 2, 3] and np.allclose(test.get_ydata(), [3.5, 3.0, 2.5, 2.4])
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["train", "test"]
    assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_yscale()) == ("step", "loss", "linear")


def test_curve_takes_an_abscissa_a_logarithm_and_bands():
    (axes,) = curve_figure(
        {"error": [1.0, 0.1, 0.01]},
        x=[1, 10, 100],
        xlabel="images",
        log=True,
        bands={"error": ([0.5, 0.05, 0.005], [2.0, 0.2, 0.02])},
    ).axes
    assert axes.lines[0].get_xdata().tolist() == [1, 10, 100] and axes.get_yscale() == "log"
    outline = axes.collections[0].get_paths()[0].vertices
    assert {0.5, 0.05, 0.005, 2.0, 0.2, 0.02} <= set(outline[:, 1].tolist())
    assert axes.get_ylabel() == "error" and axes.get_legend() is None  # one series names its own axis


def test_lines_differ_in_colour_and_in_style():
    lines = curve_figure({str(i): [i, i + 1] for i in range(6)}).axes[0].lines
    assert len({to_hex(line.get_color()) for line in lines}) == 6
    assert len({str(line._unscaled_dash_pattern) for line in lines}) == 6


@pytest.mark.parametrize(
    "series",
    [
        {"loss": [1e5, 2e5, 123456.0]},
        {"a name": [0.0001, 0.0003]},
        {"b": [5.0]},
        {f"a series of long name {i}": [i, -i] for i in range(5)},
    ],
)
def test_nothing_is_cut_off_and_nothing_blank(series):
    pixels = decode(curve(series, "a curve", ylabel="a quantity"))
    assert pixels.std() > 5
    border = np.concatenate([pixels[:2].reshape(-1, 3), pixels[-2:].reshape(-1, 3), pixels[:, :2].reshape(-1, 3)])
    assert (border == 255).all()


@pytest.mark.parametrize("log", [False, True])
def test_long_noisy_curves_are_small_files_of_the_stated_size(log):
    noise = torch.rand(3, 2_000, generator=torch.Generator().manual_seed(0)) + 0.1
    picture = curve({"one": noise[0], "two": noise[1], "three": noise[2]}, "noise", log=log)
    assert len(picture.png) < 60_000 and picture.size == (640, 340)
    assert decode(picture).shape == (453, 853, 3)


def test_plots_leave_pyplot_alone():
    import matplotlib.pyplot as plt

    before = plt.get_fignums()
    curve({"loss": [1, 2]}, "a line")
    assert plt.get_fignums() == before


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: curve({}, "x"), "curve got an empty dict"),
        (lambda: curve([1, 2], "x"), "curve got list.*Give a dict"),
        (lambda: curve({"loss": []}, "x"), "'loss' has shape"),
        (lambda: curve({"loss": [[1, 2]]}, "x"), r"'loss' has shape \(1, 2\)"),
        (lambda: curve({"loss": [1, float("nan"), 2]}, "x"), "'loss' is nan at index 1"),
        (lambda: curve({"loss": torch.tensor([1, float("inf")])}, "x"), "'loss' is inf at index 1"),
        (lambda: curve({"loss": [1, 2]}, "x", x=[1, 2, 3]), "2 values for 3 in x"),
        (lambda: curve({"loss": [1, 0]}, "x", log=True), "'loss' goes down to 0.*log=True"),
        (lambda: curve({"loss": [1, 2]}, "x", log=True, bands={"loss": ([-1, 1], [2, 3])}), "goes down to -1"),
        (lambda: curve({"loss": [1, 2]}, "x", bands={"los": ([1, 1], [2, 2])}), "band for 'los'.*'loss'"),
        (lambda: curve({"loss": [1, 2]}, "x", bands={"loss": ([1], [2, 2])}), r"lengths \[1, 2\]"),
        (lambda: curve({"loss": [1, 2]}), "alternative text"),
        (lambda: bars({}, "x"), "bars got an empty dict"),
        (lambda: bars({"a": float("nan")}, "x"), "'a' is nan"),
        (lambda: bars({"a": 1}, "x", intervals={"b": (0, 1)}), "values for .*'a'.*intervals for .*'b'"),
        (lambda: bars({"a": 1}, "x", intervals={"a": (2, 3)}), "interval 'a' is .*around 1.*low <= value <= high"),
        (lambda: bars({"a": 1}), "alternative text"),
        (lambda: heatmap(torch.zeros(3), "x"), r"heatmap has shape \(3,\).*\(H, W\)"),
        (lambda: heatmap(torch.zeros(0, 3), "x"), "at least one number"),
        (lambda: heatmap([[0, float("nan")]], "x"), r"nan at index \(0, 1\)"),
        (lambda: heatmap(torch.zeros(13, 2), "x", cells=True), "12 x 12"),
        (lambda: heatmap({}, "x"), "empty dict"),
        (lambda: heatmap(torch.zeros(3, 3)), "alternative text"),
    ],
)
def test_refusals(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_bars_from_zero_run_from_top_to_bottom():
    (axes,) = bars_figure({"first": 12.3, "second": 430}, xlabel="norm").axes
    assert [patch.get_width() for patch in axes.patches] == [12.3, 430] and {p.get_x() for p in axes.patches} == {0}
    assert [label.get_text() for label in axes.get_yticklabels()] == ["first", "second"]
    assert axes.transData.transform((0, 0))[1] > axes.transData.transform((0, 1))[1]
    assert texts(axes) == ["12", "430"]


def test_bars_with_intervals_are_points_on_lines():
    (axes,) = bars_figure({"a": 0.8, "b": torch.tensor(0.85)}, {"a": (0.78, 0.82), "b": (0.83, 0.88)}).axes
    spans = [line.get_xdata() for line in axes.lines if len(line.get_xdata()) == 2]
    points = [line.get_xdata() for line in axes.lines if len(line.get_xdata()) == 1]
    assert np.allclose(spans, [[0.78, 0.82], [0.83, 0.88]]) and np.allclose(points, [[0.8], [0.85]])
    assert texts(axes) == ["0.800", "0.850"] and not axes.patches


@pytest.mark.parametrize(
    "values, shown",
    [
        ({"a": 0, "b": 0}, ["0", "0"]),
        ({"a": 5}, ["5.0"]),
        ({"a": 0.5, "b": 100}, ["0.50", "100.00"]),
        ({"a": 26, "b": -778}, ["26", "-778"]),
    ],
)
def test_bars_write_enough_decimals(values, shown):
    assert texts(bars_figure(values).axes[0]) == shown


def test_bars_with_long_names_are_not_cut_off():
    picture = bars({"a name that is long enough to be a nuisance": 0.5, "b": 0.25}, "two bars", xlabel="accuracy")
    pixels = decode(picture)
    assert (pixels[:, :2] == 255).all() and (pixels[:, -2:] == 255).all() and (pixels[-2:] == 255).all()
    assert pixels.std() > 5 and len(picture.png) < 60_000


def test_heatmap_centres_signed_values_at_zero():
    axes = heatmap_figure(torch.tensor([[-1.0, 0.0], [0.5, 3.0]]), signed=True).axes[0]
    (image,) = axes.images
    assert (image.norm.vmin, image.norm.vmax) == (-3, 3)
    red, green, blue, _ = image.to_rgba(0.0)
    assert min(red, green, blue) > 0.95
    assert image.to_rgba(3.0)[0] > image.to_rgba(3.0)[2] and image.to_rgba(-3.0)[2] > image.to_rgba(-3.0)[0]


def test_heatmap_shows_every_value_and_a_colour_bar():
    values = torch.arange(12.0).reshape(3, 4)
    axes, bar = heatmap_figure(values).axes
    assert axes.images[0].get_array().tolist() == values.tolist() and bar.get_ylim() == (0, 11)
    # Lightness grows with the value, so that it also reads in grey.
    light = axes.images[0].to_rgba(np.linspace(0, 11, 50))[:, :3] @ np.array([0.299, 0.587, 0.114])
    assert (np.diff(light) > 0).all()


def test_heatmap_writes_numbers_in_cells_in_ink_that_can_be_read():
    (axes,) = heatmap_figure([[1, 0, -1], [2, -0.0, -2.5]], signed=True, cells=True).axes
    assert texts(axes) == ["1", "0", "−1", "2", "0", "−2.5"]
    assert [text.get_position() for text in axes.texts[:4]] == [(0, 0), (1, 0), (2, 0), (0, 1)]
    assert [text.get_color() for text in axes.texts][1::4] == ["black", "white"]


def test_heatmap_names_its_axes_and_numbers_them():
    (axes,) = heatmap_figure(torch.eye(10), cells=True, xlabel="read", ylabel="true").axes
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("read", "true")
    assert set(range(10)) <= set(axes.get_xticks()) and set(range(10)) <= set(axes.get_yticks())
    (axes,) = heatmap_figure(torch.eye(10), cells=True).axes
    assert not len(axes.get_xticks()) and not axes.get_ylabel()


def test_heatmaps_side_by_side_share_a_scale_unless_they_have_numbers():
    panels = {"small": torch.tensor([[0.0, 1.0]]), "large": torch.tensor([[0.0, 100.0]])}
    *axes, bar = heatmap_figure(panels).axes
    assert [a.get_title() for a in axes] == ["small", "large"]
    assert [a.images[0].norm.vmax for a in axes] == [100, 100]
    assert [a.images[0].norm.vmax for a in heatmap_figure(panels, cells=True).axes] == [1, 100]


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("value", [0.0, 7.0, -2.0])
def test_heatmap_of_one_value_is_drawn(value, signed):
    picture = heatmap(torch.full((5, 5), value, dtype=torch.bfloat16), "flat", signed=signed)
    assert decode(picture).std() > 5 and len(picture.png) < 60_000


def test_bars_mark_zero_when_the_intervals_lie_on_both_sides():
    lines = [
        len(bars_figure({"a": 0.1, "b": v}, {"a": (0, 0.2), "b": (v - 0.1, v + 0.1)}).axes[0].lines)
        for v in (0.3, 0.05)
    ]
    assert lines == [4, 5]


def test_bars_with_intervals_write_no_more_than_the_intervals_can_tell():
    figure = bars_figure({"a": 0.07043, "b": -0.00042}, {"a": (0.06, 0.08), "b": (-0.006, 0.006)})
    assert [t for t in texts(figure.axes[0])] == ["0.070", "-0.000"]


@pytest.mark.parametrize("letters", [1, 7, 11, 18, 32])
@pytest.mark.parametrize("names", [2, 4, 5, 7])
def test_the_legend_stays_inside_the_picture(names, letters):
    figure = curve_figure({"e" * (letters - 1) + "abcdefg"[i]: [1, 2, 3] for i in range(names)}, ylabel="nats")
    legend = figure.axes[0].get_legend().get_window_extent(FigureCanvasAgg(figure).get_renderer())
    assert legend.x1 <= figure.bbox.width and legend.y1 <= figure.bbox.height
