"""What `results.json` holds: the schema that its readers may rely on.

Results.model_validate(json)  ->  fails where a key is missing, of another kind, or said nowhere

`docs/results.schema.json` is made from it.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from weitiao.core.contracts.section import AnySection, Finite, Part

VERSION = 2
"""Of this schema; it changes when a reader of an older one could not read it."""


class Span(Part):
    """An interval."""

    low: Finite
    high: Finite


class Value(Part):
    """One metric of one system."""

    value: Finite | None
    """On all test rows; null where it is not defined."""
    low: Finite | None
    """Lower end of the interval; null where there is none."""
    high: Finite | None
    """Upper end."""
    why: str | None = None
    """Why there is no value, or no interval, in the language of the moment."""
    by_chance: Span | None = None
    """What a flawless model would show on so few rows, of metrics that few rows make look bad (calibration)."""
    rows: int | None = None
    """How many rows it is of, where it is not of all."""


class Beside(Part):
    """The tuned model's value less another system's, on the same rows."""

    difference: Finite | None
    """Null where one of the two is not defined."""
    p_value: Annotated[float, Field(ge=0, le=1)] | None
    """Two-sided."""
    test: str | None
    """`exact McNemar` or `paired permutation`."""
    gained: int | None = None
    """Rows that the tuned model alone has right, of accuracies."""
    lost: int | None = None
    """Rows that the other alone has right."""


class Comparison(Beside):
    """The same of the primary metric, and of each under `metrics`."""

    metrics: dict[str, Beside]
    """By metric."""


class Verdict(Part):
    """Did it learn?"""

    learned: bool | None
    """Null where nothing stands beside it."""
    sentence: str


class GeneralText(Part):
    """One general text."""

    text: str
    """Its beginning."""
    untuned: Finite
    """Perplexity before."""
    tuned: Finite
    """After."""
    known: bool
    """Did the untuned model know something of it?  Else it does not count."""


class Rise(Span):
    """A factor."""

    value: Finite


class General(Part):
    """What a model that writes has forgotten."""

    texts: list[GeneralText]
    rise: Rise | None
    """By what factor perplexity rose on those that count, the geometric mean; null where fewer than two do."""


class Noise(Part):
    """How far the primary metric moves with the seed alone: runs of this recipe on the same rows, this one among them."""

    metric: str
    runs: int
    seeds: list[int]
    """This run's first."""
    scores: list[Finite]
    """In their order."""
    mean: Finite
    sd: Finite
    """Standard deviation."""
    low: Finite
    """The least score."""
    high: Finite
    """The largest."""
    reach: Span
    """Where one more seed would land, with the confidence of the intervals: what another system scores within it is no
    proven difference."""


class Finding(Part):
    """Something that is the matter with the run."""

    name: str
    """Such as `over_fitting`."""
    why: str
    """What was seen, in the language of the moment."""
    advice: str
    """What helps."""
    numbers: dict[str, Finite | str]
    """What it was seen by."""


class Unknown(Part):
    """A label that rows carry and the model does not know: it gets them wrong."""

    label: str
    rows: int
    places: list[str]
    """Where the first of them stand, in the language of the moment."""


class Given(Part):
    """Rows that were given to be judged by, instead of the locked ones."""

    name: str
    """Of the evaluation."""
    files: list[str]
    total: int
    """Rows in them."""
    counts: dict[str, int]
    """Of all rows, what they ended as, as in the ledger."""
    seen: int
    """Rows left out, among those `dropped`, because the run was trained on them, or chose by them."""
    ungrouped: str | None = None
    """The column of `data.split.group_by`, where the files have none: rows count as independent of one another."""
    unknown: list[Unknown]
    """Labels that the model does not know."""


class Results(Part):
    """What the judge found."""

    version: Literal[2]
    """Of this schema."""
    task: str
    model: str
    method: str
    primary: str
    """The metric that the verdict is about."""
    higher_is_better: bool
    """Is more of it better?"""
    lower_is_better: list[str]
    """Those of all metrics of which less is better."""
    labels: list[str]
    """That metrics tell apart, in order; none where the task has none."""
    rows: int
    """Test rows."""
    given: Given | None = None
    """Where they are not the locked ones."""
    cut: dict[str, int] | None
    """How many `rows` were longer than the `limit` that the model read; null: none."""
    advice: dict[str, float] | None = None
    """Where many test rows lose much: `rows` that do, of `all`, the share of all tokens `lost`, and at how many times the
    tokens `windows` (`data.overlong`) would read them whole, or `longer` a `max_length` more of them; null elsewhere."""
    metrics: dict[str, dict[str, Value]]
    """By system (`tuned`, `untuned`, the baselines) and metric."""
    comparisons: dict[str, Comparison]
    """By the system that stands beside the tuned model."""
    sections: dict[str, AnySection]
    """By name, in the order of the page: what else there is to be seen of the test rows."""
    answers: dict[str, int] | None = None
    """How many rows were answered in words, and how many answers did not come to their end, of tasks that generate."""
    trainable: dict[str, int]
    """`trained` parameters of `total`."""
    seconds: dict[str, float]
    """By stage."""
    usage: list[dict[str, str]]
    """Lines that load the model."""
    general: General | None = None
    """Of tasks that generate; null where it was not asked."""
    noise: Noise | None = None
    """Null: no other run of this recipe and these rows is known."""
    missing: list[dict[str, str]]
    """What could not be made, and why."""
    findings: list[Finding] = []
    """What is the matter; none for a sound run."""
    verdict: Verdict
