"""One way from axes to a drawing in a page.

draw(axes)  ->  svg  ->  inline SVG of numbers and lines, its colours those of the page

The SVG holds numbers only.  Every word of a legend is HTML, so a chart needs no Chinese font to be measured,
and every colour is a CSS variable, so one drawing serves light, dark and paper.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Matplotlib must be given real colours; each stands for the CSS variable of that name.
INKS = {"soft": "#000001", "line": "#000002", "tuned": "#000003", "other": "#000004", "untuned": "#000005"}

PAPER = {"soft": "#4d555c", "line": "#c9c5bb", "tuned": "#12708a", "other": "#b5701f", "untuned": "#8d959b"}
"""The colours of a page in the light, for drawings that stand alone."""

WIDE, NARROW = (520, 330), (320, 165)  # pixels


def style(inks: Mapping[str, str]) -> dict[Any, Any]:
    """What the user's own matplotlibrc must not decide."""
    return {
        "svg.fonttype": "none",
        "text.usetex": False,
        "font.family": "DejaVu Sans",  # only to measure numbers; the page's own font is set by its CSS
        "font.size": 11,
        "axes.unicode_minus": False,
        "axes.facecolor": "none",
        "axes.edgecolor": inks["line"],
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.spines.left": False,
        "axes.grid": True,
        "axes.grid.axis": "y",
        "axes.axisbelow": True,
        "axes.ymargin": 0.08,
        "grid.color": inks["line"],
        "grid.linewidth": 0.8,
        "xtick.color": inks["line"],
        "ytick.color": inks["line"],
        "xtick.labelcolor": inks["soft"],
        "ytick.labelcolor": inks["soft"],
        "ytick.major.size": 0,
    }


def svg(draw: Callable[[Axes], None], *, size: tuple[int, int], salt: str) -> str:
    """What `draw` draws, as SVG to be put inside HTML; the same drawing and `salt` give the same bytes."""
    import matplotlib
    from matplotlib.figure import Figure

    width, height = size
    with matplotlib.rc_context({**style(INKS), "svg.hashsalt": salt}):
        figure = Figure(figsize=(width / 72, height / 72), facecolor="none")
        axes = figure.add_axes(frame(size))
        axes.locator_params(nbins=height // 55)
        draw(axes)
        page = io.StringIO()
        figure.savefig(page, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    text = re.sub(r"<!--.*?-->|<style.*?</style>", "", page.getvalue(), flags=re.DOTALL)
    text = re.sub(r"<g id=\"[^\"]*\">", "<g>", text[text.index("<svg") :])
    text = re.sub(r"<svg[^>]*>", f'<svg viewBox="0 0 {width} {height}" aria-hidden="true">', text, count=1)
    for name, colour in INKS.items():
        text = text.replace(colour, f"var(--{name})")
    return re.sub(r">\s+<", "><", text).strip()


def frame(size: tuple[int, int]) -> tuple[float, float, float, float]:
    """Where the axes stand in a drawing: left, bottom, width and height, as shares of it."""
    width, height = size
    return 46 / width, 26 / height, 1 - 54 / width, 1 - 36 / height
