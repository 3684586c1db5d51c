"""The report page of a finished run: one file, no network, light and dark, in English or Chinese.

    run folder  ->  write_report(folder)  ->  folder/report.html

`page.py` reads the folder and decides what there is to show, `told.py` adds up what the run took and says how it is made
again, `charts.py` draws the curves of training, `intervals.py` places the intervals, `evaluate/words.py` holds the page's
own words in both languages, and the template sets the type.  `rows.js.j2` filters and sorts rows in a browser.
Sections that the judge made are drawn by kind: `kinds.html.j2`, `drawn.py`; `figures.py` writes them to files.
`parts.html.j2` is what this page and that of a comparison share; `side_by_side.py` makes sections of several runs,
`road.py` of those of which each begins where others ended.
"""

from pathlib import Path

from weitiao.evaluate.report.figures import write_figures
from weitiao.evaluate.report.page import pictured, write_report, write_road, write_side_by_side

TEMPLATES = Path(__file__).parent
"""Where the parts of a page lie, for pages of other rooms."""

__all__ = ["TEMPLATES", "pictured", "write_figures", "write_report", "write_road", "write_side_by_side"]
