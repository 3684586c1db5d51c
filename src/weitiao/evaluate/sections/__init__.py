"""Shelf: what there is to be seen of judged rows, beside their metrics.  One file a section of the page.

    Judged  ->  analysis.section  ->  Table, Matrix, Curve or Rows

A section is there when predictions hold what it `needs`; no task is asked for.  How tables and curves look is nobody's
business here: the page, the terminal and `evaluate.report.drawn` draw any section by its kind.
"""
