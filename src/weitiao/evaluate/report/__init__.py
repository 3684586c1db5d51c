"""The report page of a finished run: one file, no network, light and dark, in English or Chinese.

    run folder  ->  write_report(folder)  ->  folder/report.html

`page.py` reads the folder and decides what there is to show, `charts.py` draws the curves, `intervals.py`
places the intervals, `evaluate/words.py` holds every label in both languages, and the template sets the type.
`parts.html.j2` is what this page and that of a comparison share.
"""

from pathlib import Path

from weitiao.evaluate.report.page import write_report

TEMPLATES = Path(__file__).parent
"""Where the parts of a page lie, for pages of other rooms."""

__all__ = ["TEMPLATES", "write_report"]
