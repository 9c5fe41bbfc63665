"""Charts as inline SVG that follow the page: its font, its light or dark colours, and its width.

Matplotlib draws with a few placeholder colours that are then replaced by CSS variables of `style.css.j2`. Text stays
text, and ids depend on the chart's name only, so the same data gives the same bytes and two charts share no id.
"""

import io
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib
import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

_INK, _FAINT, _GRID = "#010203", "#010204", "#010205"
_STAGE_COLOURS = {"base": "#010206", "sft": "#010207", "grpo_stage1": "#010208", "grpo_stage2": "#010209"}
_CSS = {_INK: "--ink", _FAINT: "--faint", _GRID: "--line"} | {
    colour: f"--{stage}" for stage, colour in _STAGE_COLOURS.items()
}
_MAX_POINTS = 240
_RC = {
    "svg.fonttype": "none",
    "font.size": 10,
    "text.color": _INK,
    "axes.edgecolor": _GRID,
    "axes.labelcolor": _FAINT,
    "xtick.color": _FAINT,
    "ytick.color": _FAINT,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": _GRID,
    "grid.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "lines.solid_capstyle": "round",
}


@dataclass(frozen=True)
class Bar:
    """Accuracy of one stage as shares of 1; None where it has not been measured."""

    stage: str
    title: str
    accuracy: float | None
    ci95: tuple[float, float] | None


@dataclass(frozen=True)
class Line:
    """One quantity over the steps of one stage; a non-finite value is a gap."""

    stage: str
    steps: Sequence[float]
    values: Sequence[float]
    dashed: bool = False


@dataclass(frozen=True)
class Point:
    """A measured accuracy with its interval at a step."""

    stage: str
    step: float
    value: float
    ci95: tuple[float, float]


def accuracy_bars(name: str, bars: Sequence[Bar], chance: float | None) -> Markup:
    """Horizontal bars with 95 % whiskers, and the accuracy of guessing as a dashed line."""
    with matplotlib.rc_context(_RC):
        figure, axes = _canvas(5.6, 0.42 * len(bars) + 0.6)
        for row, bar in enumerate(bars):
            if bar.accuracy is None:
                axes.text(0.01, row, "not run yet", va="center", color=_FAINT, style="italic")
                continue
            colour = _colour(bar.stage)
            axes.barh(row, bar.accuracy, height=0.5, color=colour, alpha=0.85)
            end = bar.accuracy
            if bar.ci95:
                axes.plot(bar.ci95, (row, row), color=_INK, linewidth=1.3)
                axes.plot(bar.ci95, (row, row), color=_INK, linestyle="", marker="|", markersize=7)
                end = max(end, bar.ci95[1])
            axes.text(end + 0.012, row, f"{bar.accuracy:.1%}", va="center", weight="bold")
        if chance is not None:
            axes.axvline(chance, color=_FAINT, linestyle=(0, (4, 3)), linewidth=1.2)
            axes.text(chance + 0.006, -0.62, f"guessing {chance:.1%}", color=_FAINT, va="center", size=9)
        axes.set_yticks(range(len(bars)), [bar.title for bar in bars])
        axes.tick_params(axis="y", labelcolor=_INK)
        axes.set_ylim(len(bars) - 0.5, -0.95)
        axes.set_xlim(0, 1.08)
        axes.set_xticks(np.linspace(0, 1, 6))
        axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes.grid(axis="y", visible=False)
        return _svg(figure, name, "Accuracy of every stage: " + "; ".join(_spoken(bar) for bar in bars))


def step_chart(
    name: str,
    lines: Sequence[Line],
    *,
    percent: bool = False,
    from_zero: bool = True,
    points: Sequence[Point] = (),
    chance: float | None = None,
) -> Markup:
    """One quantity over optimizer steps: raw values thin, a running mean bold; a border between two stages."""
    with matplotlib.rc_context(_RC):
        figure, axes = _canvas(4.7, 2.35)
        for line in lines:
            _draw(axes, line)
        for previous, following in zip(lines, lines[1:], strict=False):
            if previous.stage != following.stage and previous.steps[-1] <= following.steps[0]:
                axes.axvline(previous.steps[-1], color=_FAINT, linewidth=0.8, linestyle=":")
        for point in points:
            low, high = point.ci95
            spread = [[max(0.0, point.value - low)], [max(0.0, high - point.value)]]
            axes.errorbar(point.step, point.value, yerr=spread, color=_colour(point.stage), fmt="o", ms=5, capsize=3)
        if chance is not None:
            axes.axhline(chance, color=_FAINT, linestyle=(0, (4, 3)), linewidth=1)
        if percent:
            axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        else:
            axes.ticklabel_format(axis="y", style="sci", scilimits=(-2, 5), useMathText=False)
        if from_zero:
            axes.set_ylim(bottom=0)
        axes.yaxis.set_major_locator(MaxNLocator(5))
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.set_xlabel("optimizer step")
        axes.grid(axis="x", visible=False)
        return _svg(figure, name, f"{name.replace('-', ' ')} over optimizer steps")


def _draw(axes: Axes, line: Line) -> None:
    steps, values = _thin(np.asarray(line.steps, float), np.asarray(line.values, float))
    colour, style = _colour(line.stage), (0, (3, 2)) if line.dashed else "-"
    window = max(1, len(values) // 12)
    if window == 1:
        axes.plot(steps, values, color=colour, linewidth=1.6, linestyle=style, marker="o", markersize=2.5)
        return
    axes.plot(steps, values, color=colour, linewidth=0.8, alpha=0.3)
    axes.plot(steps, running_mean(values, window), color=colour, linewidth=2, linestyle=style)


def running_mean(values: np.ndarray, window: int) -> np.ndarray:
    """Centred mean over `window` values, over fewer at the ends; non-finite values are left out of the means."""
    finite = np.isfinite(values)
    kernel = np.ones(window)
    total = np.convolve(np.where(finite, values, 0.0), kernel, mode="same")
    count = np.convolve(finite.astype(float), kernel, mode="same")
    return np.where(finite, total / np.maximum(count, 1), np.nan)


def _thin(steps: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """At most `_MAX_POINTS` points: means over blocks of equal length, which keeps the page small on long runs."""
    block = math.ceil(len(values) / _MAX_POINTS)
    if block <= 1:
        return steps, values
    starts = np.arange(0, len(values), block)
    sizes = np.diff(np.append(starts, len(values)))
    return np.add.reduceat(steps, starts) / sizes, np.add.reduceat(values, starts) / sizes


def _canvas(width_in: float, height_in: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width_in, height_in), layout="constrained")
    figure.patch.set_visible(False)
    axes = figure.add_subplot()
    axes.patch.set_visible(False)
    return figure, axes


def _svg(figure: Figure, name: str, label: str) -> Markup:
    """The figure without XML prologue, fixed size and foreign ids, in the colours of the page."""
    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", text)
    text = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text, count=1)
    for colour, variable in _CSS.items():
        text = text.replace(colour, f"var({variable})")
    label = str(Markup.escape(label))
    text = text.replace("<svg", f'<svg role="img" aria-label="{label}"', 1)
    return Markup(re.sub(r"\n\s*", "\n", text))


def _colour(stage: str) -> str:
    return _STAGE_COLOURS[stage]


def _spoken(bar: Bar) -> str:
    return f"{bar.title} {'not run yet' if bar.accuracy is None else format(bar.accuracy, '.1%')}"
