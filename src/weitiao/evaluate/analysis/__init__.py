"""Where a judged model fails, and how surely: functions of what each row told, pure and without a run.

    rows, columns                      ->  slices.parts_of   ->  [Part("length", "1-34 characters", which rows), ...]
    parts, a metric of sums, its rows  ->  slices.slices     ->  the value on each against the rest, the worst first

Each gives a dict for `analysis.json`, and a section of the page made of it; what is not defined says why.  What is chosen
(thresholds, a temperature) is chosen by validation rows alone.
"""
