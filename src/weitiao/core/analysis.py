"""What `analysis.json` holds: the schema that its readers may rely on.

Found.model_validate(json)  ->  fails where a key is missing, of another kind, or said nowhere

`docs/analysis.schema.json` is made from it.
"""

from __future__ import annotations

from typing import Literal

from weitiao.core.contracts.section import AnySection, Finite, Part, Words
from weitiao.core.results import Value

VERSION = 1
"""Of this schema; it changes when a reader of an older one could not read it."""


class Undefined(Part):
    """What stands in the place of a part that the task or the rows do not bear."""

    why: str
    """In the language of the moment."""


class Few(Part):
    """A part of the rows that is too small to be looked at."""

    by: str
    name: Words
    rows: int


class Slice(Part):
    """A part of the test rows."""

    by: str
    """`length`, `file`, `language`, `label`, or a column."""
    name: Words
    """Which value of it."""
    rows: int
    value: Finite | None
    """Of the metric on them."""
    low: Finite | None
    """Lower end of its interval."""
    high: Finite | None
    """Upper end."""
    why: str | None = None
    """Why there is no value, or no interval."""
    rest: Finite | None
    """Of the metric on all other rows."""
    difference: Finite | None
    """Value less rest."""
    p_value: Finite
    """How often the worst of all parts is as bad by chance."""
    named: bool
    """Is it worse than by chance?"""


class Slices(Part):
    """The metric on parts of the test rows, the worst first."""

    metric: str
    rows: int
    value: Finite | None
    """Of all rows."""
    undefined: dict[str, str]
    """By what parts are cut, and why the metric is another thing on them."""
    too_few: list[Few]
    slices: list[Slice]
    named: int
    """How many are worse than by chance."""
    deals: int
    """How often rows were dealt anew for the p-values."""


class Losses(Part):
    """Mean negative log-likelihood."""

    before: Finite | None
    after: Finite | None


class Calibrated(Part):
    """How far probabilities are from how often they are right."""

    ece: Value
    loss: Finite | None
    """Mean negative log-likelihood."""


class Looks(Part):
    """The test rows."""

    before: Calibrated
    after: Calibrated


class Temperature(Part):
    """What the model's logits are divided by."""

    temperature: Finite
    rows: int
    """Validation rows that chose it."""
    validation: Losses
    test: Looks


class Counted(Part):
    """What a threshold gives on the rows that chose it."""

    precision: Finite
    recall: Finite
    said: int
    """Rows of which the label is said."""
    true: int
    """Rows that carry it."""


class Tested(Part):
    """What it gives on the test rows."""

    precision: Value
    recall: Value
    said: int
    true: int


class Threshold(Part):
    """Of one label and wish."""

    label: str
    wished: Literal["precision", "recall"]
    at_least: Finite
    threshold: Finite | None = None
    """From which probability on the label is said."""
    validation: Counted | None = None
    test: Tested | None = None
    why: str | None = None
    """Why there is none."""


class Thresholds(Part):
    """A threshold a label and wish, chosen by validation rows."""

    rows: int
    """Validation rows."""
    thresholds: list[Threshold]


class Sure(Part):
    """The rows of which the model is surest."""

    share: Finite
    """Of all rows."""
    rows: int
    confidence: Finite
    """Of the least sure of them."""
    error: Value
    """The share of them that is wrong."""


class Surest(Part):
    """Errors by confidence."""

    rows: int
    error: Finite
    """Of all rows."""
    area: Finite
    """Mean of the share of wrong rows among the surest, over how many are taken."""
    surest: list[Sure]


class Example(Part):
    """A row that was mistaken."""

    text: str
    place: str
    score: Finite | None
    """With which probability."""


class Pair(Part):
    """A label that was taken for another one."""

    true: str
    said: str
    rows: int
    examples: list[Example]
    """The rows of which the model was surest."""


class Confused(Part):
    """The pairs that are mistaken most often."""

    pairs: list[Pair]


class Suspect(Part):
    """A row whose label is likely wrong."""

    place: str
    text: str
    label: str
    """That stands there."""
    rather: str
    """That the model and another system give."""
    probability: Finite
    """Of that, by the model."""


class WrongLabels(Part):
    """Rows with a likely wrong label, the most certain first."""

    judge: str
    """The system that agrees with the model."""
    rows: int
    by_chance: Finite
    """How many the two would agree on if every label were right."""
    suspects: list[Suspect]


class Found(Part):
    """What an analysis found."""

    version: Literal[1]
    """Of this schema."""
    by: list[str]
    """The columns that were asked for."""
    columns: dict[str, dict[str, str | int | Finite | None]]
    """Of the rows that the page shows one by one what stands in these columns, by place and column."""
    rows: int
    """Test rows."""
    slices: Slices | Undefined
    temperature: Temperature | Undefined
    thresholds: Thresholds | Undefined
    surest: Surest | Undefined
    confused: Confused | Undefined
    wrong_labels: WrongLabels | Undefined
    sections: dict[str, AnySection]
    """By name, in the order of the page."""
