"""Every metric of the shelf against scikit-learn, SciPy or a count by hand, to 1e-9; and where it is not defined."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as reference

from tests.evaluate.judging import judged, shelf
from weitiao.core import registry
from weitiao.evaluate.judge import value

LABELS = ("ant", "bee", "cat", "dog")


def told(names, which, *, scores=None, seed=0, rows=60, accuracy=0.6):
    """References and predictions over some of the labels, with scores that have ties."""
    rng = np.random.default_rng(seed)
    true = rng.choice(which, rows)
    raw = np.round(rng.dirichlet(np.ones(len(names)), rows), 1) + 0.05
    raw[np.arange(rows), true] += (rng.random(rows) < accuracy) * 1.0
    raw /= raw.sum(1, keepdims=True)
    said = raw.argmax(1)
    references = [{"label": names[place]} for place in true]
    predictions = [
        {"label": names[place], "scores": dict(zip(names, row.tolist(), strict=True))}
        for place, row in zip(said, raw, strict=True)
    ]
    return references, predictions, true, said, raw


def of(name, references, predictions, labels=(), **settings):
    metric = registry.build("metric", {"name": name, **settings})
    return value(metric, np.asarray(metric.rows(references, predictions, labels)))


def by_class(average):
    def scores(true, said, raw):
        options = {"average": average, "zero_division": 0}
        if average == "weighted":
            options["labels"] = [0, 1, 2, 3]
        return reference.precision_recall_fscore_support(true, said, **options)[:3]

    return scores


ONE_LABEL = {
    "accuracy": lambda true, said, raw: reference.accuracy_score(true, said),
    "balanced_accuracy": lambda true, said, raw: reference.balanced_accuracy_score(true, said),
    "mcc": lambda true, said, raw: reference.matthews_corrcoef(true, said),
    "kappa": lambda true, said, raw: reference.cohen_kappa_score(true, said),
    "kappa_linear": lambda true, said, raw: reference.cohen_kappa_score(
        true, said, labels=range(4), weights="linear"
    ),
    "kappa_quadratic": lambda true, said, raw: reference.cohen_kappa_score(
        true, said, labels=range(4), weights="quadratic"
    ),
    **{
        f"{name}{ending}": lambda true, said, raw, place=place, average=average: by_class(average)(
            true, said, raw
        )[place]
        for place, name in enumerate(("precision", "recall", "f1"))
        for ending, average in (("", "macro"), ("_micro", "micro"), ("_weighted", "weighted"))
    },
    "log_loss": lambda true, said, raw: reference.log_loss(true, raw, labels=range(4)),
    "brier": lambda true, said, raw: reference.brier_score_loss(true, raw, labels=range(4)),
    "top_3": lambda true, said, raw: reference.top_k_accuracy_score(true, raw, k=3, labels=range(4)),
    "roc_auc": lambda true, said, raw: np.mean(
        [reference.roc_auc_score(true == c, raw[:, c]) for c in np.unique(true)]
    ),
    "pr_auc": lambda true, said, raw: np.mean(
        [reference.average_precision_score(true == c, raw[:, c]) for c in np.unique(true)]
    ),
}


@pytest.mark.parametrize("name", ONE_LABEL)
@pytest.mark.parametrize("which", [(0, 1, 2, 3), (0, 2), (1, 3)])
def test_metrics_of_labels_equal_scikit_learn_also_where_classes_are_absent(name, which):
    references, predictions, true, said, raw = told(LABELS, which, seed=len(name))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of classes that do not occur
        expected = ONE_LABEL[name](true, said, raw)
    assert of(name, references, predictions, LABELS) == pytest.approx(expected, abs=1e-9)


def test_a_model_that_says_one_class_has_no_correlation_and_a_truth_of_one_class_none_that_is_defined():
    some = [{"label": name} for name in "aabb"]
    one = [{"label": "a"}] * 4
    assert of("mcc", some, one, ("a", "b")) == reference.matthews_corrcoef([0, 0, 1, 1], [0, 0, 0, 0]) == 0
    for name in ("mcc", "kappa"):
        assert math.isnan(of(name, one, one, ("a", "b")))


BINARY = {
    "roc_auc": lambda true, said, p: reference.roc_auc_score(true, p),
    "pr_auc": lambda true, said, p: reference.average_precision_score(true, p),
    "brier": lambda true, said, p: reference.brier_score_loss(true, p),
    "log_loss": lambda true, said, p: reference.log_loss(true, p),
    "precision_binary": lambda true, said, p: reference.precision_score(true, said, zero_division=0),
    "recall_binary": lambda true, said, p: reference.recall_score(true, said),
    "f1_binary": lambda true, said, p: reference.f1_score(true, said),
    "mcc": lambda true, said, p: reference.matthews_corrcoef(true, said),
}


@pytest.mark.parametrize("name", BINARY)
@pytest.mark.parametrize("rows", [2, 7, 80])
def test_metrics_of_two_labels_are_about_the_second(name, rows):
    references, predictions, true, said, raw = told(("no", "yes"), (0, 1), seed=3, rows=rows)
    references[0], references[1] = {"label": "no"}, {"label": "yes"}
    true[:2] = 0, 1
    expected = BINARY[name](true, said, raw[:, 1])
    assert of(name, references, predictions, ("no", "yes")) == pytest.approx(expected, abs=1e-9)


def test_one_class_of_many_can_be_meant():
    references, predictions, true, said, raw = told(LABELS, (0, 1, 2, 3), seed=8)
    cases = {
        "f1_binary": reference.f1_score(true == 2, said == 2),
        "roc_auc": reference.roc_auc_score(true == 2, raw[:, 2]),
        "pr_auc": reference.average_precision_score(true == 2, raw[:, 2]),
    }
    for name, expected in cases.items():
        assert of(name, references, predictions, LABELS, positive="cat") == pytest.approx(expected, abs=1e-9)
    beta = of("f1", references, predictions, LABELS, beta=2.0)
    assert beta == pytest.approx(reference.fbeta_score(true, said, beta=2, average="macro"), abs=1e-9)


def test_rows_with_several_labels_are_counted_label_by_label():
    rng = np.random.default_rng(5)
    true, said = (rng.random((50, 4)) < 0.3 for _ in range(2))
    raw = np.round(rng.random((50, 4)), 1)
    references = [{"labels": [LABELS[place] for place in np.flatnonzero(row)]} for row in true]
    predictions = [
        {
            "labels": [LABELS[place] for place in np.flatnonzero(row)],
            "scores": dict(zip(LABELS, scores.tolist(), strict=True)),
        }
        for row, scores in zip(said, raw, strict=True)
    ]
    for ending, average in (("", "macro"), ("_micro", "micro"), ("_weighted", "weighted")):
        expected = reference.precision_recall_fscore_support(true, said, average=average, zero_division=0)
        for name, wanted in zip(("precision", "recall", "f1"), expected[:3], strict=True):
            assert of(f"{name}{ending}", references, predictions, LABELS) == pytest.approx(wanted, abs=1e-9)
    for name, score in (("roc_auc", reference.roc_auc_score), ("pr_auc", reference.average_precision_score)):
        expected = score(true, raw, average="macro")
        assert of(name, references, predictions, LABELS) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("width", ["probability", "rows"])
def test_calibration_is_what_bins_say_one_by_one(width):
    references, predictions, true, said, raw = told(LABELS, (0, 1, 2, 3), seed=4, rows=97)
    sure, right = raw.max(1), said == true
    if width == "probability":
        bins = [(low / 15 < sure) & (sure <= (low + 1) / 15) for low in range(15)]
    else:
        first = np.array([(sure < one).sum() for one in sure])
        bins = [(first * 15 // 97) == place for place in range(15)]
    expected = sum(abs(right[b].mean() - sure[b].mean()) * b.mean() for b in bins if b.any())
    name = "ece" if width == "probability" else "ece_equal_mass"
    assert of(name, references, predictions, LABELS) == pytest.approx(expected, abs=1e-9)


def test_a_calibrated_model_lies_within_what_is_shown_beside_it_and_a_boastful_one_above():
    rng = np.random.default_rng(6)
    sure, inside = rng.uniform(0.5, 1, 200), 0
    for trial in range(60):
        right = rng.random(200) < sure
        rows = [{"label": "a" if hit else "b"} for hit in right]
        said = [{"label": "a", "scores": {"a": p, "b": 1 - p}} for p in sure]
        found = judged(("ece",), rows, {"tuned": said}, resamples=200, seed=trial)["metrics"]["tuned"]["ece"]
        inside += found["by_chance"]["low"] <= found["value"] <= found["by_chance"]["high"]
    assert inside >= 52  # 57 expected; below 52 has a chance under 2 %
    boastful = [{"label": "a", "scores": {"a": 0.99, "b": 0.01}}] * 200
    found = judged(("ece",), rows, {"tuned": boastful}, resamples=200)["metrics"]["tuned"]["ece"]
    assert found["value"] > found["by_chance"]["high"]


NUMBERS = {
    "mae": reference.mean_absolute_error,
    "mse": reference.mean_squared_error,
    "rmse": reference.root_mean_squared_error,
    "r2": reference.r2_score,
    "pearson": lambda true, said: stats.pearsonr(true, said)[0],
    "spearman": lambda true, said: stats.spearmanr(true, said)[0],
}


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize(("rows", "digits", "shift"), [(2, 3, 0), (40, 1, 0), (40, 0, 0), (300, 3, 1e4)])
def test_metrics_of_numbers_equal_scikit_learn_and_scipy(name, rows, digits, shift):
    rng = np.random.default_rng(rows)
    true = np.round(rng.normal(size=rows), digits) + shift  # few digits: many ties
    said = np.round(true + rng.normal(size=rows), digits)
    pair = [[{"number": float(number)} for number in side] for side in (true, said)]
    assert of(name, *pair) == pytest.approx(NUMBERS[name](true, said), abs=1e-9)


@pytest.mark.parametrize(
    ("name", "true", "said"),
    [
        ("r2", [2.0, 2.0], [1.0, 3.0]),
        ("r2", [2.0], [2.0]),
        ("pearson", [1.0, 2.0], [5.0, 5.0]),
        ("spearman", [7.1, 7.1, 7.1], [1.0, 2.0, 3.0]),
        ("spearman", [7.1], [1.0]),
    ],
)
def test_what_is_not_defined_is_no_number_and_says_why(name, true, said):
    rows, tuned = ([{"number": number} for number in side] for side in (true, said))
    found = judged((name, "mae"), rows, {"tuned": tuned, "other": tuned}, resamples=20)
    one = found["metrics"]["tuned"][name]
    assert (one["value"], one["low"], one["high"]) == (None, None, None)
    assert "equal" in one["why"]
    assert found["comparisons"]["other"]["p_value"] is None
    assert found["metrics"]["tuned"]["mae"]["value"] == pytest.approx(
        np.mean(np.abs(np.subtract(true, said)))
    )


def test_every_metric_answers_for_one_row_and_draws_like_it_counts():
    """`over` with rows drawn twice or never is `rows` of the rows that were drawn, repeated."""
    rng = np.random.default_rng(9)
    references, predictions, *_ = told(LABELS, (0, 1, 2, 3), rows=30, seed=1)
    for row, other in zip(references, predictions, strict=True):
        row["number"], other["number"] = np.round(rng.normal(size=2), 1)
        other["loss"], other["tokens"] = float(rng.uniform(1, 9)), int(rng.integers(1, 9))
    for name in registry.names("metric"):
        metric = registry.build("metric", {"name": name})
        if (
            metric.lacks([*predictions[0], *references[0]])
            or name.startswith("ece")
            or metric.refuses(LABELS)
        ):
            continue
        whole = np.asarray(metric.rows(references, predictions, LABELS))
        weights = rng.multinomial(30, np.ones(30) / 30, size=4).astype(float)
        each = np.repeat(np.arange(30), weights[0].astype(int))
        again = metric.rows([references[i] for i in each], [predictions[i] for i in each], LABELS)
        drawn = metric.over(whole, weights)
        assert drawn.shape == (4,)
        assert drawn[0] == pytest.approx(value(metric, np.asarray(again)), abs=1e-9), name
        alone = judged((name,), references[:1], {"tuned": predictions[:1]}, labels=LABELS, resamples=5)
        one = alone["metrics"]["tuned"][name]
        assert one["low"] is not None or one["why"], name
        assert one["value"] is None or math.isfinite(one["value"]), name
        least, most = metric.bounds
        for each in (*drawn[np.isfinite(drawn)], *([] if one["value"] is None else [one["value"]])):
            assert least - 1e-9 <= each <= most + 1e-9, name


@pytest.mark.parametrize("rows", [1, 400])
def test_calibration_of_preferences_equals_scikit_learn_and_bins_by_hand(rows):
    """Each pair shown either way round is a row of two classes."""
    rng = np.random.default_rng(rows)
    margins = rng.normal(0.6, 1.5, size=rows)
    margins[0] = 0.0
    p = 1 / (1 + np.exp(-margins))
    said = [{"margin": float(margin)} for margin in margins]
    assert of("preference_log_loss", [{}] * rows, said) == pytest.approx(
        reference.log_loss(np.ones(rows), np.stack([1 - p, p], 1), labels=[0, 1]), abs=1e-9
    )
    sure, right = np.maximum(p, 1 - p), (np.sign(margins) + 1) / 2
    gap = 0.0
    for low in np.arange(0.5, 1.0, 0.05):
        there = (sure > low + (1e-12 if low > 0.5 else -1)) & (sure <= low + 0.05 + 1e-12)
        gap += abs(right[there].sum() - sure[there].sum())
    assert of("preference_ece", [{}] * rows, said) == pytest.approx(gap / rows, abs=1e-9)


UNBOUNDED = ("pair_loss", "reward_margin", "reward_gap", "reference_kl", "reward", "missed_reward")


def test_the_shelf_says_what_every_metric_is():
    for name, metric in shelf(*registry.names("metric")).items():
        assert any(map(math.isfinite, metric.bounds)) or name in UNBOUNDED, name
        assert all([metric.summary, metric.source, metric.needs, *metric.undefined]), name
