"""Losses of labels and tokens, against torch, scikit-learn, Transformers and plain sums."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight
from torch.nn import functional as F

from tests.conftest import dialogues, reviews
from weitiao.core import registry
from weitiao.core.contracts import Batch, Categorical, Example, Record
from weitiao.core.errors import WeitiaoError
from weitiao.data.chat import IGNORE
from weitiao.evaluate.chosen import watched
from weitiao.evaluate.judge import measured
from weitiao.models import load

LABELS = ("a", "b", "c")
FILE = """
import torch
from torch.nn import functional as F

def hinge(logits, target):
    return F.multi_margin_loss(logits, target, reduction="none")

def mean(logits, target):
    return F.cross_entropy(logits, target)

def number(logits, target):
    return 1.0

def detached(logits, target):
    return logits.detach()[:, 0]

def fails(logits, target):
    return logits[:, 99]

thing = 3
"""


def classifier(**settings):
    return registry.build("task", {"name": "text_classification", "labels": LABELS, **settings})


def scores(rows: int = 6, *, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(seed)
    logits = torch.randn(rows, 3, generator=draw, dtype=torch.float64) * 2
    return logits.requires_grad_(), torch.randint(3, (rows,), generator=draw)


def batch_of(task, target: torch.Tensor) -> Batch:
    """As the task itself collates rows of those labels."""

    class Processor:
        pad_token_id = 0

    examples = [Example({"input_ids": [1, 2]}, target=int(label)) for label in target]
    return task.collate(examples, range(len(examples)), Processor())


def losses(task, logits, target, **options) -> torch.Tensor:
    return task.losses(logits, batch_of(task, target), **options)


# --- one row at a time, by hand


def by_hand(kind: str, row: list[float], label: int, *, gamma: float) -> float:
    total = sum(math.exp(score) for score in row)
    p = math.exp(row[label]) / total
    return {
        "cross_entropy": -math.log(p),
        "focal": -((1 - p) ** gamma) * math.log(p),
        "mse": sum((score - (place == label)) ** 2 for place, score in enumerate(row)) / len(row),
    }[kind]


@pytest.mark.parametrize("kind", ["cross_entropy", "focal", "mse"])
@pytest.mark.parametrize("gamma", [0.5, 2.0])
@pytest.mark.parametrize("weights", ["none", {"a": 2.0, "c": 0.25}])
def test_each_row_by_hand(kind, gamma, weights):
    logits, target = scores()
    found = losses(classifier(loss_type=kind, focal_gamma=gamma, class_weights=weights), logits, target)
    counts = {0: 2.0, 1: 1.0, 2: 0.25} if weights != "none" else dict.fromkeys(range(3), 1.0)
    expected = [
        counts[label] * by_hand(kind, row, label, gamma=gamma)
        for row, label in zip(logits.tolist(), target.tolist(), strict=True)
    ]
    assert found.tolist() == pytest.approx(expected, rel=1e-9)


def test_focal_loss_without_gamma_is_cross_entropy_and_turns_away_from_what_is_right():
    logits, target = scores()
    plain = losses(classifier(), logits, target)
    torch.testing.assert_close(losses(classifier(loss_type="focal", focal_gamma=0), logits, target), plain)
    eased = losses(classifier(loss_type="focal"), logits, target) / plain
    assert eased.max() < 1
    assert torch.equal(eased.argsort(), plain.argsort()), "the better a row is, the less is left of its loss"


@pytest.mark.parametrize("gamma", [0.3, 1.0, 2.0])
def test_the_slope_of_the_focal_loss_is_finite_where_a_row_is_wholly_right_or_wrong(gamma):
    logits = torch.tensor([[200.0, 0, 0], [0, 200.0, 0], [20.0, 0, 0]], requires_grad=True)
    losses(classifier(loss_type="focal", focal_gamma=gamma), logits, torch.tensor([0, 0, 0])).sum().backward()
    assert logits.grad.isfinite().all()


# --- class weights


def test_a_weighted_batch_is_torchs_weighted_mean():
    logits, target = scores(20)
    task = classifier(class_weights={"a": 3.0, "b": 0.5})
    batch = batch_of(task, target)
    weights = torch.tensor([3.0, 0.5, 1.0], dtype=torch.float64)
    expected = F.cross_entropy(logits, target, weight=weights)
    torch.testing.assert_close(task.losses(logits, batch).sum() / batch.trained, expected)
    torch.testing.assert_close(batch.weights.double(), weights[target])
    assert batch.trained == pytest.approx(float(weights[target].sum()))


@pytest.mark.parametrize("weights", ["none", {"b": 4.0}])
def test_smoothed_and_weighted_is_torchs(weights):
    logits, target = scores(20)
    task = classifier(class_weights=weights)
    batch = batch_of(task, target)
    theirs = None if weights == "none" else torch.tensor([1.0, 4.0, 1.0], dtype=torch.float64)
    expected = F.cross_entropy(logits, target, weight=theirs, label_smoothing=0.2)
    found = task.losses(logits, batch, label_smoothing=0.2).sum() / batch.trained
    torch.testing.assert_close(found, expected)


def test_smoothed_square_loss_moves_the_targets():
    logits, target = scores()
    wanted = F.one_hot(target, 3).double() * 0.7 + 0.1
    found = losses(classifier(loss_type="mse"), logits, target, label_smoothing=0.3)
    torch.testing.assert_close(found.mean(), F.mse_loss(logits, wanted))


def test_balanced_weights_are_scikit_learns_from_the_training_rows():
    targets = [0, 0, 0, 1, 2, 2, 0, 2]
    examples = [Example({"input_ids": [1]}, target=target) for target in targets]
    learnt = classifier(class_weights="balanced").learn_training(examples, None)
    expected = compute_class_weight("balanced", classes=np.arange(3), y=np.array(targets))
    assert list(learnt.class_weights.values()) == pytest.approx(list(expected))
    assert list(learnt.class_weights) == list(LABELS)
    doubled = classifier(class_weights="balanced").learn_training(examples[:5], [1, 1, 2, 2, 1])
    spelt_out = [examples[place] for place in (0, 1, 2, 2, 3, 3, 4)]
    assert doubled == classifier(class_weights="balanced").learn_training(spelt_out, None)
    assert classifier().learn_training(examples, None).class_weights == "none"


def test_a_label_that_no_training_row_carries_has_weight_one():
    examples = [Example({"input_ids": [1]}, target=target) for target in (0, 0, 0, 2)]
    learnt = classifier(class_weights="balanced").learn_training(examples, None)
    assert learnt.class_weights == {"a": pytest.approx(4 / 6), "b": 1.0, "c": pytest.approx(2.0)}


def test_a_weight_of_a_label_that_is_none_is_refused_by_name():
    rows = [Record("t.csv", i, {"text": "x", "label": label}) for i, label in enumerate("abc", start=2)]
    task = registry.build("task", {"name": "text_classification", "class_weights": {"a": 1, "bb": 2}})
    with pytest.raises(WeitiaoError, match=r'unknown_class.*"bb"[\s\S]*a, b, c'):
        task.learn(rows)


@pytest.mark.parametrize("weights", [{"a": 0}, {"a": -1}, "even"])
def test_weights_that_are_none_are_refused(weights):
    with pytest.raises(WeitiaoError, match="wrong_value.*task.class_weights"):
        classifier(class_weights=weights)


# --- a function of one's own


@pytest.fixture
def own(tmp_path):
    (tmp_path / "mine.py").write_text(FILE, encoding="utf-8")
    return lambda name: f"{tmp_path / 'mine.py'}:{name}"


def test_a_function_of_ones_own(own):
    logits, target = scores()
    found = losses(classifier(loss_type=own("hinge"), class_weights={"a": 2.0}), logits, target)
    expected = F.multi_margin_loss(logits, target, reduction="none") * torch.where(target == 0, 2.0, 1.0)
    torch.testing.assert_close(found, expected)


def test_the_function_on_the_page_is_one(tmp_path):
    page = (Path(__file__).parents[2] / "docs" / "losses.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (tmp_path / "page.py").write_text(code, encoding="utf-8")
    logits, target = scores()
    found = losses(classifier(loss_type=f"{tmp_path / 'page.py'}:hinge"), logits, target)
    torch.testing.assert_close(found, F.multi_margin_loss(logits, target, reduction="none"))


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("mean", r"it returned \(\) for 6 rows"),
        ("number", "it returned float for 6 rows"),
        ("detached", "no gradient"),
        ("fails", "IndexError: index 99"),
    ],
)
def test_what_a_function_may_not_do(own, name, why):
    with pytest.raises(WeitiaoError, match=f"bad_loss.*mine.py:{name}.*{why}"):
        losses(classifier(loss_type=own(name)), *scores())


@pytest.mark.parametrize("name", ["thing", "absent"])
def test_a_function_that_is_not_there_is_told_with_the_data(own, name):
    rows = [Record("t.csv", i, {"text": "x", "label": label}) for i, label in enumerate("abc", start=2)]
    with pytest.raises(WeitiaoError, match=f'no_such_function.*task.loss_type.*"{name}"'):
        classifier(loss_type=own(name)).learn(rows)


def test_a_task_is_built_without_its_function_for_those_who_only_predict():
    assert classifier(loss_type="/nowhere/gone.py:loss").loss_type == "/nowhere/gone.py:loss"


# --- label smoothing of tokens


def test_smoothed_tokens_are_transformers_label_smoother(llama):
    """Our packed rows against padded ones, Transformers' own class and torch's argument."""
    from transformers.trainer_pt_utils import LabelSmoother

    turns = [
        [{"role": "user", "content": row["prompt"]}, {"role": "assistant", "content": row["completion"]}]
        for row in dialogues(5)
    ]
    rows = [Record("toy", i, {"messages": messages}) for i, messages in enumerate(turns, start=1)]
    task = registry.build("task", {"name": "sft"})
    loaded = load.load(llama, task)
    loaded.model.eval()
    examples = list(task.encode(rows, loaded.processor, limit=64))
    longest = max(map(len, examples))
    ids = torch.tensor([[*e.inputs["input_ids"], *[1] * (longest - len(e))] for e in examples])
    mask = torch.tensor([[1] * len(e) + [0] * (longest - len(e)) for e in examples])
    labels = torch.tensor([[*e.inputs["labels"], *[-100] * (longest - len(e))] for e in examples])
    batch = task.collate(examples, range(5), loaded.processor)
    with torch.no_grad():
        logits = loaded.model(input_ids=ids, attention_mask=mask).logits
        theirs = LabelSmoother(epsilon=0.1)({"logits": logits}, labels, shift_labels=True)
        found = task.loss(loaded.model, batch, label_smoothing=0.1) / batch.trained
        plain = task.loss(loaded.model, batch) / batch.trained
    torch.testing.assert_close(found, theirs, rtol=1e-5, atol=1e-5)
    assert found != pytest.approx(float(plain), rel=1e-3)
    direct = F.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), label_smoothing=0.1)
    torch.testing.assert_close(found, direct, rtol=1e-5, atol=1e-5)


# --- the promise of every such task


@pytest.mark.parametrize("name", registry.names("task"))
def test_the_loss_of_a_categorical_task_is_the_sum_of_its_losses(name, request):
    from tests.tasks.test_every_task import MODELS, toy_records

    rows = toy_records(name)
    task = registry.build("task", {"name": name}).learn(rows)
    if not isinstance(task, Categorical):
        pytest.skip("its loss is not over classes")
    loaded = load.load(request.getfixturevalue(MODELS[name]), task)
    loaded.model.eval()
    batch = task.collate(list(task.encode(rows, loaded.processor, limit=64)), range(10), loaded.processor)
    with torch.no_grad():
        logits = task.logits(loaded.model, batch)
        assert logits.dtype == torch.float32
        for smoothing in (0.0, 0.3):
            apart = task.losses(logits, batch, label_smoothing=smoothing)
            assert len(apart) == len(logits) == batch.trained
            torch.testing.assert_close(apart.sum(), task.loss(loaded.model, batch, label_smoothing=smoothing))
            target = batch.target[batch.target != IGNORE]  # some hold places that nothing is learnt at
            expected = F.cross_entropy(logits, target, label_smoothing=smoothing, reduction="none")
            torch.testing.assert_close(apart, expected)


def test_validation_is_cross_entropy_whatever_the_loss_of_training_is():
    rows = reviews(4)
    found = [{"label": "b", "scores": {"a": 0.25, "b": 0.5, "c": 0.25}} for _ in rows]
    examples = [Example({"input_ids": [1]}, target=1) for _ in rows]
    for kind in ("mse", "focal", "cross_entropy"):
        task = classifier(loss_type=kind, class_weights={"b": 9})
        assert measured(task, watched(task), found, examples)["loss"] == pytest.approx(math.log(2))
