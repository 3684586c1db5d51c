"""Labels as they are meant, whatever a file made of them.

{"0", "1", "1.0", "true", "TRUE", "a\\u200b"}  ->  one_spelling(labels)  ->  {"1.0": "1", "TRUE": "true", "a\\u200b": "a"}
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from weitiao.core.contracts import Shape
from weitiao.core.why import reason
from weitiao.data.boxed import OBJECTS
from weitiao.data.equal_text import UNSEEN, looks, spelt_out
from weitiao.data.masked import MASK
from weitiao.data.rows import Rows

# A whole number and what pandas makes of it in a column with a hole.  "1.50" is no such number: it may be a version.
WHOLE = re.compile(r"(-?(?:0|[1-9]\d*))(?:\.0*)?")
TRUTHS = ("true", "false")


def one_spelling(labels: Iterable[str]) -> dict[str, str]:
    """Label -> how it is written, for labels that stand there in several spellings of one number or truth value, or
    that look alike.

    Where there is one spelling alone it stays, unless there is something in it that nobody sees.
    """
    spelt: defaultdict[str, list[str]] = defaultdict(list)
    for label in labels:
        plain = looks(label)
        whole = WHOLE.fullmatch(plain)
        spelt[whole[1] if whole else plain.lower() if plain.lower() in TRUTHS else plain].append(label)
    return {
        label: meant
        for meant, each in spelt.items()
        for label in each
        if label != meant and (len(each) > 1 or UNSEEN.search(label))
    }


def label_names(values: Mapping[str, Any]) -> list[str]:
    """The labels of a converted row that are words; a number or a truth value is none.  Of a picture those of its things, or
    of its pixels."""
    if things := values.get(OBJECTS):
        return list(dict.fromkeys(one["label"] for one in things))
    if mask := values.get(MASK):
        return list(dict.fromkeys(mask["labels"]))
    label = values.get("label")
    return [label] if isinstance(label, str) else label if isinstance(label, list) else []


def relabelled(values: Mapping[str, Any], mapping: Mapping[str, str], repairs: list[str]) -> dict[str, Any]:
    """A copy of a converted row with its labels written as `mapping` has them; `repairs` hears of it."""
    found = [name for name in label_names(values) if name in mapping]
    if not found:
        return dict(values)
    repairs += [reason("label_read_as", label=spelt_out(name), meant=mapping[name]) for name in found]
    if things := values.get(OBJECTS):
        meant = [{**one, "label": mapping.get(one["label"], one["label"])} for one in things]
        return {**values, OBJECTS: meant}
    if mask := values.get(MASK):
        return {**values, MASK: {**mask, "labels": [mapping.get(name, name) for name in mask["labels"]]}}
    label = values["label"]
    if isinstance(label, str):
        return {**values, "label": mapping[label]}
    return {**values, "label": list(dict.fromkeys(mapping.get(name, name) for name in label))}


def _strata(values: Mapping[str, Any], shape: Shape) -> list[str]:
    """Each of several labels, or the one stratum of the row, if any."""
    if values.get(OBJECTS) or values.get(MASK) or isinstance(values.get("label"), list):
        return label_names(values)
    return [found] if (found := shape.stratum(values)) else []


def label_table(sides: Mapping[str, Rows], shape: Shape) -> dict[str, dict[str, int]]:
    """Rows per label in every split; empty for shapes without labels."""
    table = {}
    for name, rows in sides.items():
        counts = Counter(label for record in rows for label in _strata(record.values, shape))
        if counts:
            table[name] = dict(sorted(counts.items()))
    return table
