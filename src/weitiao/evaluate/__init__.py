"""The judge: the locked test rows, tuned beside untuned beside a classical baseline, with intervals; and what can be learnt
from what it saw.

    what was said of every row   ->  judge.py (metrics/, baselines/)   numbers, intervals, paired tests: one table of sums per row
    numbers, log, rows           ->  findings/, verdict.py             what is the matter, by name, and whether it learned
    rows and what was said       ->  sections/, analysis/              what there is to be seen: worst rows, slices, thresholds
    the same rows otherwise      ->  stress/                           whether it holds
    one row                      ->  explain/                          which words it hangs on
    all of it                    ->  report/                           one page
"""
