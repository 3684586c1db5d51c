"""The report page of a finished run: one file, no network, light and dark, in English or Chinese.

    run folder       ->  write_report(folder)      ->  folder/report.html
    comparison.json  ->  comparison_page(results)  ->  the HTML of comparison.html

`page.py` reads the folder and decides what there is to show, `charts.py` draws the curves, `intervals.py`
places the intervals, `words.py` holds every label in both languages, and the two templates set the type.
`comparison.py` does the same for methods side by side; `parts.html.j2` is what both pages share.
"""

from weitiao.evaluate.report.comparison import comparison_page
from weitiao.evaluate.report.page import write_report

__all__ = ["comparison_page", "write_report"]
