"""The report page of a finished run: one file, no network, light and dark, in English or Chinese.

    run folder  ->  write_report(folder)  ->  folder/report.html

`page.py` reads the folder and decides what there is to show, `charts.py` draws the curves, `intervals.py`
places the intervals, `words.py` holds every label in both languages, and the two templates set the type.
"""

from weitiao.evaluate.report.page import write_report

__all__ = ["write_report"]
