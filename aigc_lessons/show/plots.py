"""Measured numbers as pictures: curves, bars with intervals, heat maps. Without pyplot, so nothing global is left."""

import math
import sys

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from .picture import Picture
from .texts import words

# Okabe and Ito's palette: colour-blind readers can tell these apart. The styles do without colour.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
STYLES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 3)))
ROUND = [1, 2, 2.5, 5, 10]  # ticks fall on multiples of these
INK, FAINT = "#333333", "#DDDDDD"
WIDTH = 6.4  # inches, at 100 CSS pixels each
DPI = 400 / 3  # a third finer than CSS pixels: sharp, and still quick to draw and small to store


def curve(series, alt="", x=None, xlabel="step", ylabel="", log=False, bands=None, key=None):
    """Lines through measured values.

    Args:
        series: {name: values}; each a non-empty list, array or tensor of finite numbers.
        alt: alternative text: what rises, what falls, where it ends. key: in a lesson, the words of its text file instead.
        x: the common abscissa of all series. None: 0, 1, 2 ... for each.
        xlabel, ylabel: names of the axes, with units. A single series names its axis itself.
        log: logarithmic vertical axis; every value must then be above 0.
        bands: {name: (low, high)}, shaded around the series of that name: an interval, the range over seeds.
    Returns:
        a Picture.
    Raises:
        ValueError: nothing to draw, NaN or infinity (with the name and the index), lengths that differ, a band
            without a series, values not above 0 on a logarithmic axis, no alternative text.
    """
    texts = words("curve", alt, key, f"Curves of {_names(series)} over {xlabel}")
    return _picture(curve_figure(series, x, xlabel, ylabel, log, bands), texts)


def curve_figure(series, x=None, xlabel="step", ylabel="", log=False, bands=None):
    """The matplotlib Figure of `curve`, with the same arguments and errors."""
    _named(series, "curve")
    series = {name: _numbers(values, f"curve: series {name!r}") for name, values in series.items()}
    bands = {name: [_numbers(edge, f"curve: band {name!r}") for edge in edges] for name, edges in (bands or {}).items()}
    if x is not None:
        x = _numbers(x, "curve: x")
    for name, edges in bands.items():
        if name not in series:
            raise ValueError(
                f"curve got a band for {name!r}. Accepted: the names of the series, {', '.join(map(repr, series))}."
            )
        if len(edges) != 2 or any(len(edge) != len(series[name]) for edge in edges):
            raise ValueError(
                f"curve: band {name!r} has lengths {[len(edge) for edge in edges]}. "
                f"Give (low, high), each of the series' {len(series[name])} values."
            )
    for name, values in series.items():
        if x is not None and len(x) != len(values):
            raise ValueError(f"curve: series {name!r} has {len(values)} values for {len(x)} in x. Give one for each.")
        lowest = min(part.min() for part in [values, *bands.get(name, [])])
        if log and lowest <= 0:
            raise ValueError(
                f"curve(log=True): series {name!r} goes down to {lowest:.4g}, "
                "and only values above 0 have a logarithm. Leave out log=True."
            )

    figure, axes = _figure(3.4)
    for i, (name, values) in enumerate(series.items()):
        colour = COLOURS[i % len(COLOURS)]
        across = np.arange(len(values)) if x is None else x
        if name in bands:
            axes.fill_between(across, *bands[name], color=colour, alpha=0.18, linewidth=0)
        axes.plot(
            across,
            values,
            color=colour,
            linestyle=STYLES[i % len(STYLES)],
            linewidth=1.8,
            label=name,
            marker="o" if len(values) <= 12 else None,
            markersize=4,
        )
    if log:
        axes.set_yscale("log")
        bottom, top = axes.get_ylim()
        marks = (1,) if top / bottom > 1e3 else (1, 2, 5) if top / bottom > 10 else range(1, 10)
        axes.yaxis.set_major_locator(LogLocator(subs=marks))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_locator(NullLocator())
    else:
        axes.yaxis.set_major_locator(MaxNLocator(6, steps=ROUND))
    axes.xaxis.set_major_locator(MaxNLocator(7, steps=ROUND, integer=x is None))
    axes.grid(axis="y", color=FAINT, linewidth=0.8)
    axes.set_xlabel(xlabel)
    axes.set_ylabel(ylabel or (next(iter(series)) if len(series) == 1 else ""))
    if len(series) > 1:
        # Above the axes a legend never hides a line, and need not look for a free corner.
        axes.legend(
            loc="lower left",
            bbox_to_anchor=(-0.02, 1),
            ncols=_legend_columns(series),
            frameon=False,
            borderaxespad=0.2,
            handlelength=2.6,
            columnspacing=1.6,
        )
    return _fit(figure, axes)


def bars(values, alt="", intervals=None, xlabel="", key=None):
    """Measured quantities one below the other, each with its number.

    Args:
        values: {name: number}, drawn from top to bottom.
        alt: alternative text: which is largest, by how much, and whether the intervals overlap. key: in a lesson, the words
            of its text file instead.
        intervals: {name: (low, high)} for every name. Values are then points on their intervals and the axis
            need not begin at 0; without intervals they are bars from 0.
        xlabel: the quantity, with its unit and what the interval is.
    Returns:
        a Picture.
    Raises:
        ValueError: no values, NaN or infinity, an interval missing, of unknown name or not around its value,
            no alternative text.
    """
    texts = words("bars", alt, key, f"Bars of {_names(values)}; {xlabel}")
    return _picture(bars_figure(values, intervals, xlabel), texts)


def bars_figure(values, intervals=None, xlabel=""):
    """The matplotlib Figure of `bars`, with the same arguments and errors."""
    values = {name: _numbers([value], f"bars: {name!r}")[0] for name, value in _named(values, "bars").items()}
    if intervals is not None and set(intervals) != set(values):
        raise ValueError(
            f"bars got values for {list(values)} and intervals for {list(intervals)}. "
            "Give one interval (low, high) for each value, or none at all."
        )
    intervals = {name: _numbers(ends, f"bars: interval {name!r}") for name, ends in (intervals or {}).items()}
    for name, ends in intervals.items():
        if len(ends) != 2 or not ends[0] <= values[name] <= ends[1]:
            raise ValueError(
                f"bars: interval {name!r} is {tuple(ends.tolist())} around {values[name]:.4g}. "
                "Give (low, high) with low <= value <= high."
            )

    figure, axes = _figure(0.8 + 0.36 * len(values))
    for row, (name, value) in enumerate(values.items()):
        if intervals:
            low, high = intervals[name]
            axes.plot([low, high], [row, row], color=COLOURS[0], linewidth=5, alpha=0.35, solid_capstyle="butt")
            axes.plot([value], [row], "o", color=COLOURS[0], markersize=7)
        else:
            axes.barh(row, value, height=0.62, color=COLOURS[0])
    ends = [*values.values(), *np.ravel(list(intervals.values()))]
    digits = _decimals([] if intervals else ends, np.ptp(ends))  # with an interval, no more than it can tell
    if min(ends) < 0 < max(ends):
        axes.axvline(0, color="#666666", linewidth=1)  # which side of zero is what such a picture is about
    for row, value in enumerate(values.values()):
        axes.annotate(
            f"{value:.{digits}f}", (1.01, row), xycoords=("axes fraction", "data"), va="center_baseline", color=INK
        )
    axes.set_yticks(range(len(values)), list(values))
    axes.set_ylim(len(values) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_major_locator(MaxNLocator(7, steps=ROUND))
    axes.grid(axis="x", color=FAINT, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.set_xlabel(xlabel)
    return _fit(figure, axes)


def heatmap(values, alt="", signed=False, cells=False, xlabel="", ylabel="", key=None):
    """Numbers on a lattice as colours: a kernel, a gradient, a confusion matrix.

    Args:
        values: (H, W) tensor or array of finite numbers; or {title: (H, W)} for several side by side, on one
            scale unless the cells have numbers.
        alt: alternative text: where it is large, where small, in which range. key: in a lesson, the words of its text file
            instead.
        signed: colours that part at 0, blue below and red above. Else dark is low and yellow is high.
        cells: write the numbers in the cells instead of beside a colour bar; at most 12 x 12 cells.
        xlabel, ylabel: what the columns and the rows are; with a name they are numbered, from 0.
    Returns:
        a Picture.
    Raises:
        ValueError: not two dimensions, nothing in it, NaN or infinity, too many cells to write in, no
            alternative text.
    """
    texts = words("heatmap", alt, key, f"Numbers as colours: {_names(values)}".removesuffix(": numbers"))
    return _picture(heatmap_figure(values, signed, cells, xlabel, ylabel), texts)


def heatmap_figure(values, signed=False, cells=False, xlabel="", ylabel=""):
    """The matplotlib Figure of `heatmap`, with the same arguments and errors."""
    panels = _named(values, "heatmap") if isinstance(values, dict) else {"": values}
    panels = {
        title: _numbers(matrix, f"heatmap {title!r}" if title else "heatmap", ndim=2)
        for title, matrix in panels.items()
    }
    if cells and max(max(matrix.shape) for matrix in panels.values()) > 12:
        raise ValueError(
            f"heatmap(cells=True) got {[matrix.shape for matrix in panels.values()]}. "
            "Numbers fit in at most 12 x 12 cells; leave out cells=True."
        )
    if cells:
        norms = [_norm([matrix], signed) for matrix in panels.values()]
    else:
        norms = [_norm(panels.values(), signed)] * len(panels)
    side = 3.0 if len(panels) < 3 else 2.2  # inches, of the longer side of a panel
    widths, heights = zip(*(np.array(matrix.shape[::-1]) / max(matrix.shape) for matrix in panels.values()))
    size = (
        side * sum(widths) + 0.1 * len(panels) + (0 if cells else 0.55),  # room for the colour bar
        side * max(heights) + (0.35 if any(panels) else 0.1) + (0.4 if xlabel else 0),
    )  # room for the titles, and for the axis's name
    figure = Figure(figsize=size, dpi=DPI, layout="constrained")
    all_axes = figure.subplots(1, len(panels), squeeze=False, width_ratios=widths)[0]
    for axes, norm, (title, matrix) in zip(all_axes, norms, panels.items()):
        picture = axes.imshow(matrix, norm=norm, cmap="RdBu_r" if signed else "viridis", interpolation="nearest")
        axes.set_title(title, fontsize=11, color=INK)
        axes.set(xticks=[], yticks=[])
        for axis, label in ((axes.xaxis, xlabel), (axes.yaxis, ylabel)):
            if label:
                axis.set_label_text(label)
                axis.set_major_locator(MaxNLocator(12, integer=True))
        axes.spines[:].set_color("#999999")
        if cells:
            _write_numbers(axes, matrix, picture, 72 * side / max(matrix.shape))
    if not cells:
        bar = figure.colorbar(picture, ax=all_axes, fraction=0.08, pad=0.03, ticks=MaxNLocator(5, steps=ROUND))
        bar.outline.set_visible(False)
    return figure


def _norm(matrices, signed):
    """The range of the colours."""
    low, high = min(matrix.min() for matrix in matrices), max(matrix.max() for matrix in matrices)
    if signed:
        low, high = min(low, -high), max(high, -low)
    if low == high:  # one value everywhere: any range that holds it
        low, high = low - 0.5, high + 0.5
    return Normalize(low, high)


def _write_numbers(axes, matrix, picture, points):
    """Each number in its cell of `points` by `points`: sized for the longest, in ink that can be read."""
    texts = {place: f"{value + 0.0:.3g}".replace("-", "−") for place, value in np.ndenumerate(matrix)}
    size = min(12, 1.3 * points / max(map(len, texts.values())))
    for (row, column), text in texts.items():
        brightness = np.dot(picture.to_rgba(matrix[row, column])[:3], (0.299, 0.587, 0.114))
        axes.text(
            column, row, text, ha="center", va="center", fontsize=size, color="white" if brightness < 0.5 else "black"
        )


def _figure(height):
    figure = Figure(figsize=(WIDTH, height), dpi=DPI)
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["bottom", "left"]].set_color("#999999")
    axes.tick_params(color="#999999", labelcolor=INK)
    axes.xaxis.label.set_color(INK)
    axes.yaxis.label.set_color(INK)
    return figure, axes


def _fit(figure, axes, margin=6):
    """Give the axes all the room that their texts leave. Half the time of matplotlib's layout, which looks twice."""
    whole, plot = figure.bbox, axes.bbox
    texts = axes.get_tightbbox(FigureCanvasAgg(figure).get_renderer())
    figure.subplots_adjust(
        left=(plot.x0 - texts.x0 + margin) / whole.width,
        right=1 - (texts.x1 - plot.x1 + margin) / whole.width,
        bottom=(plot.y0 - texts.y0 + margin) / whole.height,
        top=1 - (texts.y1 - plot.y1 + margin) / whole.height,
    )
    return figure


def figure(drawn, alt="", key=None):
    """A matplotlib figure of your own as a Picture, and closed, so that the notebook does not show it twice.

    Args:
        drawn: a matplotlib Figure. alt: alternative text. key: in a lesson, the words of its text file instead.
    Returns:
        a Picture, 100 CSS pixels an inch.
    Raises:
        TypeError: not a Figure. ValueError: no alternative text.
    """
    if not isinstance(drawn, Figure):
        hint = " For axes: axes.figure." if hasattr(drawn, "figure") else ""
        raise TypeError(f"figure got {type(drawn).__name__}. Accepted: a matplotlib Figure.{hint}")
    titles = [axes.get_title() for axes in drawn.axes if axes.get_title()]
    texts = words("figure", alt, key, f"A figure of {len(drawn.axes)} plots: {', '.join(titles)}".removesuffix(": "))
    drawn.set_dpi(DPI)
    picture = _picture(drawn, texts)
    if pyplot := sys.modules.get("matplotlib.pyplot"):
        pyplot.close(drawn)
    return picture


def _picture(figure, texts):
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    pixels = np.ascontiguousarray(np.asarray(canvas.buffer_rgba())[..., :3])
    return Picture(pixels, texts.alt, 100 / DPI, texts.caption)


def _names(values):
    return ", ".join(map(str, values)) if isinstance(values, dict) else "numbers"


def _legend_columns(names):
    """As many as fit in a line: a name of n letters takes at most n + 10 of 80."""
    return max(1, min(len(names), 80 // (max(len(str(name)) for name in names) + 10)))


def _decimals(numbers, spread):
    """Decimals that show about a hundredth of the spread, and two figures of the smallest number that is not 0."""
    smallest = min((abs(number) for number in numbers if number), default=10)
    return max(0, 1 - math.floor(math.log10(smallest)), round(2 - math.log10(spread)) if spread else 0)


def _named(values, who):
    if not isinstance(values, dict) or not values:
        given = "an empty dict" if isinstance(values, dict) else type(values).__name__
        raise ValueError(f"{who} got {given}. Give a dict from names to values, such as {{'train': losses}}.")
    return values


def _numbers(values, who, ndim=1):
    """A float64 array of `ndim` dimensions, not empty and finite."""
    if isinstance(values, torch.Tensor):
        values = values.detach().to("cpu", torch.float64).numpy()
    else:
        values = [v.item() if isinstance(v, torch.Tensor) else v for v in values] if ndim == 1 else values
    array = np.array(values, dtype=np.float64)
    if array.ndim != ndim or array.size == 0:
        raise ValueError(
            f"{who} has shape {array.shape}. Accepted: {('(N,)', '(H, W)')[ndim - 1]} with at least one number."
        )
    if not np.isfinite(array).all():
        index = tuple(np.argwhere(~np.isfinite(array))[0].tolist())
        raise ValueError(
            f"{who} is {array[index]} at index {index[0] if ndim == 1 else index}. "
            "Accepted: finite numbers. Look at where it was made, or cut the rest off."
        )
    return array
