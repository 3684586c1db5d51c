"""Figures for papers: every curve, matrix and column of intervals as a file of its own, in SVG and PNG, words and all.

{"calibration": {...}, ...}  ->  write_figures(sections, folder)  ->  folder/calibration.svg, folder/calibration.png, ...

Black on white, with axes named and a legend.  The letters of an SVG are text; those of a PNG need a font on this
machine, so Chinese is said in English there where no font has it.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from weitiao.core.errors import language
from weitiao.core.files import disk
from weitiao.evaluate.report.drawn import CROWD, ORDER
from weitiao.evaluate.report.numbers import short

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CHINESE = (
    "Noto Sans CJK SC",
    "Noto Sans SC",
    "Source Han Sans SC",
    "PingFang SC",
    "Microsoft YaHei",
    "SimHei",
    "WenQuanYi Zen Hei",
    "WenQuanYi Micro Hei",
    "Arial Unicode MS",
)
INKS = {"soft": "#4d555c", "line": "#c9c5bb", "tuned": "#12708a", "other": "#b5701f", "untuned": "#8d959b"}
"""The colours of a page in the light."""
DOTS_PER_INCH = 300
INCHES = (5.2, 4.0)


def write_figures(sections: Mapping[str, Mapping[str, Any]], folder: Path) -> list[Path]:
    """Write those sections that are pictures; what is there under the same name is replaced.

    Args:
        sections: as `results.json` holds them.
        folder: where; made if need be.

    Returns:
        The files, two a figure.

    Raises:
        WeitiaoError: `no_permission`, `disk_full`, `not_a_folder`.
    """
    import matplotlib
    from matplotlib.figure import Figure

    draws: dict[str, Callable[[Axes, Mapping[str, Any], Callable[[Any], str]], None]]
    draws = {"curve": _curve, "matrix": _matrix, "table": _intervals}
    fonts = _fonts()
    speaks = language() if language() == "en" or len(fonts) > 1 else "en"

    def say(words: Any) -> str:
        return str(words if isinstance(words, str) else words[speaks])

    written = []
    with disk(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for name, section in sections.items():
            if section["kind"] not in draws or (section["kind"] == "table" and not _estimates(section)):
                continue
            look = {**_style(), "font.family": fonts, "svg.hashsalt": name}
            with matplotlib.rc_context(look), warnings.catch_warnings():
                # A letter that no font of this machine has is an empty box, which is seen.
                warnings.filterwarnings("ignore", message="Glyph .* missing from")
                figure = Figure(figsize=INCHES, facecolor="white", layout="constrained")
                axes = figure.subplots()
                draws[section["kind"]](axes, section, say)
                axes.set_title(say(section["title"]), loc="left", fontsize=12)
                for ending in ("svg", "png"):
                    path = folder / f"{name}.{ending}"
                    dated = {"Date": None} if ending == "svg" else {}
                    figure.savefig(path, dpi=DOTS_PER_INCH, metadata=dated)
                    written.append(path)
    return written


def _style() -> dict[Any, Any]:
    """What the user's own matplotlibrc must not decide."""
    return {
        "svg.fonttype": "none",
        "text.usetex": False,
        "font.size": 11,
        "axes.unicode_minus": False,
        "axes.facecolor": "white",
        "axes.edgecolor": INKS["line"],
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.spines.left": False,
        "axes.grid": True,
        "axes.grid.axis": "y",
        "axes.axisbelow": True,
        "axes.ymargin": 0.08,
        "grid.color": INKS["line"],
        "grid.linewidth": 0.8,
        "xtick.color": INKS["line"],
        "ytick.color": INKS["line"],
        "xtick.labelcolor": INKS["soft"],
        "ytick.labelcolor": INKS["soft"],
        "ytick.major.size": 0,
    }


def _fonts() -> list[str]:
    """DejaVu, and one that has Chinese, if there is one."""
    from matplotlib import font_manager

    there = {*font_manager.get_font_names()}
    return ["DejaVu Sans", *[name for name in CHINESE if name in there][:1]]


def _curve(axes: Axes, section: Mapping[str, Any], say: Callable[[Any], str]) -> None:
    if section.get("x_range"):
        axes.set_xlim(*section["x_range"])
    if section.get("y_range"):
        axes.set_ylim(*section["y_range"])
    if section["diagonal"]:
        axes.axline((0, 0), slope=1, color=INKS["soft"], linewidth=1, linestyle=(0, (5, 4)))
    axes.xaxis.set_major_formatter(lambda value, _: short(value))
    axes.yaxis.set_major_formatter(lambda value, _: short(value))
    for place, line in enumerate(section["lines"]):
        ink, dashed = INKS[ORDER[place % len(ORDER)]], place >= len(ORDER)
        x, y = line["x"], line["y"]
        if line.get("low") and line.get("high"):
            axes.vlines(x, line["low"], line["high"], color=ink, alpha=0.35, linewidth=1.6)
        few = len(x) <= CROWD
        if line["joined"]:
            look: dict[str, Any] = {
                "marker": "o",
                "markersize": 5.5 if few else 0,
                "linewidth": 1.6,
                "linestyle": "--" if dashed else "-",
            }
        else:
            look = {
                "marker": "o",
                "linestyle": "",
                "alpha": 0.5 if few else 0.3,
                "markersize": 5 if few else 3,
                "markeredgewidth": 0,
            }
        axes.plot(x, y, color=ink, label=f"line {place}", **look)
    axes.set_xlabel(say(section["x"]))
    axes.set_ylabel(say(section["y"]))
    names = [line["name"] for line in section["lines"]]
    if len(names) > 1:
        marks = [line for line in axes.get_lines() if str(line.get_label()).startswith("line ")]
        axes.legend(marks, [say(name) for name in names], frameon=False, fontsize=9)


def _matrix(axes: Axes, section: Mapping[str, Any], say: Callable[[Any], str]) -> None:
    """Shaded by the share of the row, as on the page."""
    import numpy as np

    counts = np.array([[value or 0 for value in row] for row in section["values"]], dtype=float)
    whole = counts.sum(1, keepdims=True)
    shares = np.divide(counts, whole, out=np.zeros_like(counts), where=whole > 0)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    axes.grid(visible=False)
    columns, rows = ([say(name) for name in section[side]] for side in ("columns", "rows"))
    upright = len(columns) <= 8
    axes.set_xticks(range(len(columns)), columns, rotation=0 if upright else 90)
    axes.set_yticks(range(len(rows)), rows)
    axes.tick_params(length=0)
    axes.set_xlabel(say(section["corner"]))
    if upright:
        for i, row in enumerate(section["values"]):
            for j, value in enumerate(row):
                ink = "white" if shares[i, j] > 0.6 else "black"
                text = "–" if value is None else f"{value:,}" if isinstance(value, int) else f"{value:.2f}"
                axes.text(j, i, text, ha="center", va="center", color=ink)


def _estimates(section: Mapping[str, Any]) -> list[tuple[Any, float, float, float]]:
    """Name, value and interval of each row of a table that has one column of them; none of other tables."""
    if len(section["columns"]) != 1:
        return []
    cells = [(row["name"], row["values"][0]) for row in section["rows"]]
    return [
        (name, cell["value"], cell.get("low", cell["value"]), cell.get("high", cell["value"]))
        for name, cell in cells
        if isinstance(cell, Mapping) and cell.get("value") is not None
    ]


def _intervals(axes: Axes, section: Mapping[str, Any], say: Callable[[Any], str]) -> None:
    """A dot and its interval for each row."""
    found = _estimates(section)
    for place, (_, value, low, high) in enumerate(found):
        ink = INKS["tuned"] if place == 0 else INKS["untuned"]
        axes.plot([low, high], [place, place], color=ink, alpha=0.5, linewidth=3)
        axes.plot(value, place, "o", color=ink, markersize=8)
    axes.set_yticks(range(len(found)), [say(name) for name, *_ in found])
    axes.set_ylim(len(found) - 0.5, -0.5)
    axes.grid(visible=False, axis="y")
    axes.grid(visible=True, axis="x")
    axes.set_xlabel(say(section["columns"][0]["title"]))
