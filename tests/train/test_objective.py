"""What a step makes small: R-Drop against its paper, each loss over micro-batches, and what is refused."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import weitiao as wt
from tests.train.test_loop import KillAt, Killed, events, same, steps
from weitiao.core import registry
from weitiao.core.contracts import Batch, Task
from weitiao.core.errors import WeitiaoError
from weitiao.core.recipe import Train
from weitiao.train.objective import divergence, refuse_unfit, summed

LABELS = ("a", "b", "c")


def classifier(**settings):
    return registry.build("task", {"name": "text_classification", "labels": LABELS, **settings})


class Scores(nn.Module):
    """A linear model with dropout, called as Transformers' are; remembers what it answered."""

    def __init__(self, dropout: float = 0.5):
        super().__init__()
        torch.manual_seed(0)
        self.linear, self.dropout = nn.Linear(8, 3), nn.Dropout(dropout)
        self.said: list[torch.Tensor] = []

    def forward(self, x):
        self.said.append(self.linear(self.dropout(x)))
        return type("Output", (), {"logits": self.said[-1]})


def batch(weights=None) -> Batch:
    draw = torch.Generator().manual_seed(1)
    target = torch.randint(3, (6,), generator=draw)
    found = None if weights is None else torch.tensor(weights)[target]
    trained = 6 if found is None else float(found.sum())
    return Batch(
        {"x": torch.randn(6, 8, generator=draw)}, target, trained, list(range(6)), 6, 0, weights=found
    )


# ------------------------------------------------------------------ R-Drop


def paper(one: torch.Tensor, two: torch.Tensor, target: torch.Tensor, alpha: float) -> torch.Tensor:
    """Equation 4 of each row: -log P1 - log P2 + alpha / 2 (KL(P1 || P2) + KL(P2 || P1)), by torch's own functions."""
    p, q = one.log_softmax(-1), two.log_softmax(-1)
    kl = sum(F.kl_div(a, b, log_target=True, reduction="none").sum(-1) for a, b in ((p, q), (q, p)))
    entropy = sum(F.cross_entropy(scores, target, reduction="none") for scores in (one, two))
    return entropy + alpha / 2 * kl


@pytest.mark.parametrize("alpha", [0.5, 5.0])
def test_r_drop_is_half_the_papers_equation_and_its_gradient(alpha):
    model, rows = Scores(), batch()
    found = summed(classifier(), Train(r_drop_alpha=alpha))(model, rows)
    one, two = model.said
    assert not torch.equal(one, two), "other masks"
    expected = paper(one, two, rows.target, alpha).sum() / 2
    torch.testing.assert_close(found, expected)
    ours, theirs = (torch.autograd.grad(loss, [one, two], retain_graph=True) for loss in (found, expected))
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b)


def test_each_row_of_r_drop_counts_by_its_weight():
    model, rows = Scores(), batch(weights=[3.0, 1.0, 0.5])
    task = classifier(class_weights={"a": 3.0, "c": 0.5})
    found = summed(task, Train(r_drop_alpha=2.0))(model, rows)
    expected = (paper(*model.said, rows.target, 2.0) * rows.weights).sum() / 2
    torch.testing.assert_close(found, expected)


def test_without_dropout_r_drop_is_the_plain_loss():
    model, rows = Scores().eval(), batch()
    found = summed(classifier(), Train(r_drop_alpha=4.0))(model, rows)
    torch.testing.assert_close(found, classifier().loss(model, rows))


def test_the_divergence_is_finite_where_the_passes_are_far_apart():
    one, two = torch.tensor([[300.0, -300.0]], requires_grad=True), torch.tensor([[-300.0, 300.0]])
    found = divergence(one, two)
    assert found.item() == pytest.approx(1200)
    found.sum().backward()
    assert one.grad.isfinite().all()


def test_smoothing_and_r_drop_go_together():
    model, rows = Scores(), batch()
    found = summed(classifier(), Train(r_drop_alpha=2.0, label_smoothing_factor=0.1))(model, rows)
    one, two = model.said
    smooth = sum(
        F.cross_entropy(scores, rows.target, label_smoothing=0.1, reduction="sum") for scores in (one, two)
    )
    plain = sum(F.cross_entropy(scores, rows.target, reduction="sum") for scores in (one, two))
    expected = (paper(one, two, rows.target, 2.0).sum() - plain + smooth) / 2
    torch.testing.assert_close(found, expected)


def test_nothing_asked_is_the_tasks_own_loss():
    task = classifier()
    assert summed(task, Train()) == task.loss


# ------------------------------------------------------------------ what is refused


class Plain(Task):
    """A task whose loss is not over classes."""

    def encode(self, *_, **__): ...
    def collate(self, *_): ...
    def loss(self, *_): ...
    def predict(self, *_): ...
    def reference(self, *_): ...


@pytest.mark.parametrize(
    ("task", "settings", "why"),
    [
        (Plain(), {"label_smoothing_factor": 0.1}, "label_smoothing_factor: 0.1.*not over classes"),
        (Plain(), {"r_drop_alpha": 1}, "r_drop_alpha: 1.*not over classes"),
        (classifier(loss_type="focal"), {"label_smoothing_factor": 0.1}, "loss_type focal"),
        (classifier(loss_type="own.py:f"), {"label_smoothing_factor": 0.1}, "loss_type own.py:f"),
        (classifier(loss_type="mse"), {"r_drop_alpha": 1}, "loss_type mse"),
    ],
)
def test_a_task_to_which_a_key_makes_no_sense_refuses_it(task, settings, why):
    with pytest.raises(WeitiaoError, match=f"unfit_training.*{why}"):
        refuse_unfit(task, Train(**settings), Scores())


def test_r_drop_of_a_model_in_which_nothing_drops_out_is_refused_before_data_are_read(converse):
    # Llama's attention dropout is 0 in its configuration, and LoRA's is by default.
    recipe = converse(r_drop_alpha=1.0, data={"train": "absent.jsonl"})
    with pytest.raises(WeitiaoError, match="unfit_training.*two passes are one") as caught:
        wt.train(recipe)
    assert "train.dropout=0.1" in caught.value.text("en")


@pytest.mark.whole
@pytest.mark.parametrize(
    "words",
    [
        {"dropout": 0.1},
        {"method": {"name": "lora", "lora_dropout": 0.1}},
        {"neftune_noise_alpha": 5},
    ],
    ids=str,
)
def test_the_ways_out_are_ways_out(converse, words, tmp_path):
    wt.train(converse(max_steps=3, r_drop_alpha=1.0, output_dir=str(tmp_path / "r"), **words))
    wt.train(converse(max_steps=3, output_dir=str(tmp_path / "plain"), **words))
    assert steps(tmp_path / "r") != steps(tmp_path / "plain")


# ------------------------------------------------------------------ whole runs

OWN = "def loss(logits, target):\n    return (logits.logsumexp(1) - logits.gather(1, target[:, None])[:, 0]) ** 2\n"


@pytest.mark.whole
@pytest.mark.parametrize(
    ("task", "words"),
    [
        ({"loss_type": "focal"}, {}),
        ({"loss_type": "mse"}, {"label_smoothing_factor": 0.1}),
        ({"loss_type": "OWN"}, {}),
        ({"class_weights": "balanced"}, {}),
        ({"class_weights": {"bad": 5.0}, "loss_type": "focal"}, {}),
        ({"class_weights": {"bad": 5.0}}, {"label_smoothing_factor": 0.2}),
        ({}, {"label_smoothing_factor": 0.2}),
    ],
    ids=str,
)
def test_micro_batches_equal_one_batch_with_each_loss(classify, tmp_path, task, words):
    """Steps of 12 rows of 140, the last one ragged; no dropout, whose masks are drawn for each micro-batch."""
    (tmp_path / "own.py").write_text(OWN, encoding="utf-8")
    task = {"name": "text_classification", **task}
    if task.get("loss_type") == "OWN":
        task["loss_type"] = f"{tmp_path / 'own.py'}:loss"
    plain = {
        "train_sampling_strategy": "random",
        "learning_rate": 1e-3,
        "dropout": 0.0,
        "method": "full",
        "task": task,
        "data": {"max_dropped_fraction": 0, "split": {"stratify": False}},
        "evaluate": {"untuned": False, "baseline": "none"},
    }
    plain |= words
    wt.train(classify(output_dir=str(tmp_path / "one"), per_device_train_batch_size=12, **plain))
    split = {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 3}
    wt.train(classify(output_dir=str(tmp_path / "three"), **split, **plain))
    one, three = events(tmp_path / "one", "step"), events(tmp_path / "three", "step")
    assert one[-1]["rows"] < 12
    for name in ("loss", "grad_norm", "trained"):
        assert [line[name] for line in three] == pytest.approx([line[name] for line in one], rel=1e-4)


def test_balanced_weights_are_those_of_the_training_rows_and_stand_in_the_card(classify, tmp_path):
    task = {"name": "text_classification", "class_weights": "balanced"}
    run = wt.train(classify(task=task, max_steps=2, data={"split": {"stratify": False}}))
    counts = run.folder.json("data/ledger.json")["labels"]["train"]
    total = sum(counts.values())
    expected = {label: pytest.approx(total / (2 * count)) for label, count in counts.items()}
    assert counts["good"] != counts["bad"], "or the test could not fail"
    assert run.folder.json("model/weitiao.json")["task"]["class_weights"] == expected
    assert "class_weights: balanced" in (tmp_path / "run" / "recipe.yaml").read_text()
    assert run.predict(["a great film"])[0]["label"] in counts


@pytest.mark.whole
def test_another_loss_neither_encodes_anew_nor_forbids_to_begin_with_a_run(classify, tmp_path, monkeypatch):
    monkeypatch.setenv("WEITIAO_CACHE", str(tmp_path / "cache"))
    task = {"name": "text_classification", "class_weights": "balanced"}
    wt.train(classify(output_dir=str(tmp_path / "one"), max_steps=2, task=task))
    kept = {path.name for path in (tmp_path / "cache" / "encoded").iterdir()}
    recipe = classify(output_dir=str(tmp_path / "two"), max_steps=2, task={**task, "loss_type": "focal"})
    wt.train({**recipe, "start_from": str(tmp_path / "one")})
    assert {path.name for path in (tmp_path / "cache" / "encoded").iterdir()} == kept


@pytest.mark.whole
def test_the_log_says_the_smoothed_loss_and_validation_the_plain_one(classify, tmp_path):
    """Of two classes, half of the target spread: no loss lies below the entropy of (3/4, 1/4), which is 0.562."""
    wt.train(classify(label_smoothing_factor=0.5, method="full", learning_rate=2e-3, num_train_epochs=6))
    assert min(line["loss"] for line in events(tmp_path / "run", "step")) > 0.562
    assert min(line["validation/loss"] for line in events(tmp_path / "run", "evaluate")) < 0.45


@pytest.mark.whole
@pytest.mark.parametrize(
    ("kind", "words", "at"),
    [
        ("classify", {"r_drop_alpha": 1.0, "ema_decay": 0.9, "neftune_noise_alpha": 5}, 6),
        ("classify", {"ema_decay": 0.8, "method": "full", "gradient_accumulation_steps": 2}, 7),
        ("classify", {"ema_decay": 0.8, "method": {"name": "adalora", "init_r": 4, "target_r": 2}}, 9),
        ("converse", {"r_drop_alpha": 1.0, "dropout": 0.1, "label_smoothing_factor": 0.1}, 5),
        ("converse", {"neftune_noise_alpha": 5, "ema_decay": 0.9, "method": "full"}, 7),
        ("classify", {"task": {"name": "text_classification", "class_weights": "balanced"}}, 6),
    ],
    ids=str,
)
def test_a_killed_and_resumed_run_equals_the_whole_one_bit_for_bit(request, kind, words, at, tmp_path):
    recipe = request.getfixturevalue(kind)
    wt.train(recipe(output_dir=str(tmp_path / "whole"), **words))
    halved = recipe(output_dir=str(tmp_path / "halved"), **words)
    with pytest.raises(Killed):
        wt.train(halved, watchers=[KillAt(at)])
    wt.train(halved, resume=True)
    assert steps(tmp_path / "halved") == steps(tmp_path / "whole")
    assert same(tmp_path / "halved", tmp_path / "whole")
    a, b = (
        [line["validation/loss"] for line in events(tmp_path / name, "evaluate")]
        for name in ("whole", "halved")
    )
    assert a == b
