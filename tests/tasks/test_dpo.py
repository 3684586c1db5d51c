"""Preference learning: formulas from the papers, a reference that is asked once, and pairs that say nothing."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.functional import logsigmoid

import weitiao as wt
from tests.compared import preferred
from tests.conftest import write_jsonl
from tests.tasks.steps import alike
from weitiao.core import registry
from weitiao.core.contracts import Record
from weitiao.core.errors import WeitiaoError
from weitiao.data.formats.preferences import preference
from weitiao.data.layout import Layout
from weitiao.data.pack import beside
from weitiao.evaluate.findings.evidence import Evidence
from weitiao.evaluate.findings.preferences import likelihood_displacement
from weitiao.evaluate.judge import judge
from weitiao.models import load, store

pytestmark = pytest.mark.whole  # each loss, and trainings

LOSSES = {
    "sigmoid": {},
    "smoothed": {"loss_type": "sigmoid", "label_smoothing": 0.2, "gamma": 0.3, "beta": 0.5, "rpo_alpha": 0.7},
    "per_token": {"loss_type": "sigmoid", "length_normalization": True, "beta": 0.8},
    "hinge": {"loss_type": "hinge", "beta": 0.3},
    "ipo": {"loss_type": "ipo"},
    "robust": {"loss_type": "robust", "label_smoothing": 0.1},
    "apo_zero": {"loss_type": "apo_zero", "beta": 0.4},
    "simpo": {"loss_type": "simpo"},
    "cpo": {"loss_type": "cpo"},
    "orpo": {"loss_type": "orpo", "beta": 0.2},
}


def records(rows=6):
    values = [preference(row, []) for row in preferred(rows)]
    return [Record("toy.jsonl", line, each) for line, each in enumerate(values, start=1)]


def opened(folder, task, *, scale=8.0):
    """The toy with a LoRA that has learnt something, and weights so large that answers differ."""
    loaded = load.load(folder, task)
    method = registry.build("method", {"name": "lora"})
    store.prepare(loaded, method, seed=0)
    rng = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in loaded.model.parameters():
            if weight.requires_grad:
                weight.copy_(torch.randn(weight.shape, generator=rng) * 0.3)
            elif weight.dim() == 2:
                weight.mul_(scale)
    loaded.model.eval()
    return loaded, method


def log_probabilities(model, side):
    """One row alone, through the model's own logits: sum over its answer, and how many tokens that has."""
    ids = torch.tensor([side[0]])
    labels = torch.tensor(side[1])[1:]
    logits = model(input_ids=ids).logits[0, :-1].double()
    answer = labels != -100
    log_p = logits.log_softmax(-1)[torch.arange(len(labels)), labels.clamp(min=0)]
    return log_p[answer].sum(), int(answer.sum())


def by_hand(kind, beta, gamma, smoothing, alpha, mean, policy, reference, lengths):
    """The loss of one pair, from the papers."""
    (w, v), (rw, rv), (nw, nv) = policy, reference, lengths
    if kind in ("simpo", "cpo", "orpo"):
        rw = rv = 0.0
    a, b = w - rw, v - rv
    if mean:
        a, b = a / nw, b / nv
    d = beta * (a - b)
    if kind == "sigmoid":
        found = -logsigmoid(d - gamma) * (1 - smoothing) - logsigmoid(-(d - gamma)) * smoothing
    elif kind in ("simpo", "cpo"):
        found = -logsigmoid(d - gamma)
    elif kind == "hinge":
        found = torch.relu(1 - d)
    elif kind == "ipo":
        found = (a - b - 1 / (2 * beta)) ** 2
    elif kind == "robust":
        found = -logsigmoid(d) * (1 - smoothing) + logsigmoid(-d) * smoothing
        found = found / (1 - 2 * smoothing)
    elif kind == "apo_zero":
        found = (1 - torch.sigmoid(beta * a)) + torch.sigmoid(beta * b)
    else:
        odds = [torch.exp(x) / (1 - torch.exp(x)) for x in (a, b)]
        found = -beta * logsigmoid(torch.log(odds[0] / odds[1]))
    return found - alpha * w / nw


def settings(words):
    kind = words.get("loss_type", "sigmoid")
    beta = words.get("beta", 2.0 if kind == "simpo" else 0.1)
    gamma = words.get("gamma", 1.0 if kind == "simpo" else 0.0)
    alpha = words.get("rpo_alpha", 1.0 if kind in ("cpo", "orpo") else 0.0)
    mean = words.get("length_normalization", kind in ("ipo", "simpo", "orpo"))
    return kind, beta, gamma, words.get("label_smoothing", 0.0), alpha, mean


@pytest.mark.parametrize("words", LOSSES.values(), ids=LOSSES)
@pytest.mark.parametrize("layout", [Layout.PACKED, Layout.PADDED])
def test_loss_and_gradient_are_the_papers_in_one_piece_and_in_four(llama, words, layout):
    task = registry.build("task", {"name": "dpo", **words})
    loaded, method = opened(llama, task)
    examples = list(task.encode(records(), loaded.processor, limit=64))
    assert len({len(example) for example in examples}) > 2
    sides = [
        [(one.inputs["input_ids"][part], one.inputs["labels"][part]) for part in (slice(n), slice(n, None))]
        for one in examples
        for n in one.inputs["texts"][:1]
    ]
    with torch.no_grad(), method.off(loaded.model, {}):
        reference = [[log_probabilities(loaded.model, side)[0] for side in pair] for pair in sides]
    expected, logps = 0.0, []
    for pair, known in zip(sides, reference, strict=True):
        said = [log_probabilities(loaded.model, side) for side in pair]
        policy, lengths = zip(*said, strict=True)
        logps.append([one.item() for one in policy])
        expected = expected + by_hand(*settings(words), policy, known, lengths)
    weights = [weight for weight in loaded.model.parameters() if weight.requires_grad]
    wanted = torch.autograd.grad(expected, weights)
    collate = beside(replace(loaded, layout=layout).collate(task), np.array(reference, dtype=float))
    for parts in ([[0, 1, 2, 3, 4, 5]], [[5, 2], [0], [4, 1], [3]]):
        loss = torch.zeros(())
        for weight in weights:
            weight.grad = None
        for rows in parts:
            batch = collate([examples[row] for row in rows], rows)
            part = task.loss(loaded.model, batch)
            for column, side in enumerate(("chosen", "rejected")):
                told = sum(logps[row][column] for row in rows)
                assert batch.told[f"logps/{side}"] == (pytest.approx(told, rel=1e-4), len(rows))
            part.backward()
            loss = loss + part.detach()
        torch.testing.assert_close(loss.double(), expected.detach(), rtol=1e-5, atol=1e-5)
        size = max(float(each.abs().max()) for each in wanted)
        for weight, each in zip(weights, wanted, strict=True):
            torch.testing.assert_close(weight.grad, each.float(), rtol=1e-4, atol=1e-5 * size)


@pytest.mark.parametrize("kind", ["sigmoid", "hinge", "ipo", "robust", "apo_zero", "sigmoid_norm"])
def test_a_step_has_trls_own_loss(llama, kind, tmp_path):
    trl = pytest.importorskip("trl", reason="a peer: pip install trl==1.16.0 datasets")
    datasets = pytest.importorskip("datasets")
    from transformers import AutoModelForCausalLM, AutoTokenizer

    ours = {"sigmoid_norm": {"loss_type": "sigmoid", "length_normalization": True}}.get(
        kind, {"loss_type": kind}
    )
    smoothing = {"label_smoothing": 0.1} if kind == "robust" else {}
    task = registry.build("task", {"name": "dpo", "beta": 0.3, **ours, **smoothing})
    loaded = load.load(llama, task)
    rows = records(4)
    examples = list(task.encode(rows, loaded.processor, limit=64))
    policy, other = (AutoModelForCausalLM.from_pretrained(llama) for _ in range(2))
    with torch.no_grad():
        for weight in policy.parameters():
            weight.add_(0.2 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(2)))
    loaded.model.load_state_dict(other.state_dict())
    batch = loaded.collate(task)(examples, range(4))
    told = task.predict(loaded.model.eval(), batch)
    batch.extra["reference"] = torch.tensor([[one["chosen_logp"], one["rejected_logp"]] for one in told])
    loaded.model.load_state_dict(policy.state_dict())
    mine = task.loss(loaded.model, batch) / 4
    arguments = trl.DPOConfig(
        output_dir=str(tmp_path), beta=0.3, loss_type=kind, use_cpu=True, per_device_train_batch_size=4,
        bf16=False, report_to="none", disable_dropout=True, gradient_checkpointing=False, **smoothing,
    )  # fmt: skip
    tokenizer = AutoTokenizer.from_pretrained(llama)
    # The same turns, but TRL would score the line end behind an answer's end token, too.
    tokenizer.chat_template = (
        "{% for message in messages %}{{ '' if loop.first else '\n' }}{{ '<|im_start|>' + message['role'] + '\n' "
        "+ message['content'] + '<|im_end|>' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '\n<|im_start|>assistant\n' }}{% endif %}"
    )
    trainer = trl.DPOTrainer(
        policy, other, args=arguments, processing_class=tokenizer,
        train_dataset=datasets.Dataset.from_list([dict(row.values) for row in rows]),
    )  # fmt: skip
    (theirs,) = trainer.get_train_dataloader()
    alike(mine, loaded.model, trainer.compute_loss(trainer.model, theirs), trainer.model)


def test_an_answer_never_sees_its_sibling(llama):
    """The rejected answer is changed: what is said of the chosen one stays, to the last bit."""
    task = registry.build("task", {"name": "dpo"})
    loaded, _ = opened(llama, task)
    one = records(1)[0]
    other = replace(
        one, values={**one.values, "rejected": [{"role": "assistant", "content": "dull music the"}]}
    )
    pairs = [next(task.encode([row], loaded.processor, limit=64)) for row in (one, other)]
    said = [task.predict(loaded.model, loaded.collate(task)([pair], [0]))[0] for pair in pairs]
    assert said[0]["chosen_logp"] == said[1]["chosen_logp"]
    assert said[0]["rejected_logp"] != said[1]["rejected_logp"]


def test_nothing_is_learnt_of_answers_in_the_prompt(llama):
    turn = lambda role, content: {"role": role, "content": content}  # noqa: E731
    asked = [turn("user", "the film"), turn("assistant", "great"), turn("user", "the plot")]
    values = {
        "prompt": asked,
        "chosen": [turn("assistant", "lovely")],
        "rejected": [turn("assistant", "dull")],
    }
    task = registry.build("task", {"name": "dpo"})
    loaded = load.load(llama, task)
    (example,) = task.encode([Record("t", 1, values)], loaded.processor, limit=64)
    learnt = [token for token in example.inputs["labels"] if token != -100]
    assert loaded.processor.convert_ids_to_tokens(learnt) == ["lovely", "<|im_end|>", "dull", "<|im_end|>"]


# ------------------------------------------------------------------ bad input


def test_pairs_that_say_nothing_are_located_and_counted(prefer, tmp_path):
    rows = preferred(60)
    long = " ".join(["film"] * 30)
    rows[3] = {**rows[3], "rejected": rows[3]["chosen"]}
    rows[5] = {**rows[5], "chosen": "  "}
    rows[7] = {**rows[7], "prompt": long}
    rows[9] = {
        **rows[9],
        "chosen": f"{long} great",
        "rejected": f"{long} dull",
    }  # differ behind the limit alone
    rows[11] = {**rows[11], "rejected": f" {rows[11]['chosen']}\n"}
    file = write_jsonl(tmp_path / "rows.jsonl", rows)
    data = {"train": str(file), "max_length": 24, "max_dropped_fraction": 0.2}
    run = wt.train(prefer(data=data, max_steps=1))
    ledger = json.loads((run.path / "data" / "ledger.json").read_text())
    lost = {line["line"]: (line["status"], line["reason"]) for line in ledger["rows"]}
    assert "same" in lost[4][1]
    assert "empty" in lost[6][1]
    assert lost[8] == ("dropped", lost[8][1])
    assert "nothing to train on would be left" in lost[8][1]
    assert "same tokens as far as they are read" in lost[10][1]
    assert "same" in lost[12][1]
    assert sum(ledger["split"].values()) == 55


def test_the_limit_is_said_to_be_that_of_each_side(prefer, capsys):
    """Lengths are those of a row, and both of its sides may come near the limit."""
    run = wt.train(prefer(data={"max_length": 24}, max_steps=1))
    tokens = json.loads((run.path / "data" / "ledger.json").read_text())["tokens"]
    assert tokens["max"] > tokens["limit"] == 24
    assert tokens["limit_of"] == "text"
    assert "limit of each 24" in capsys.readouterr().err
    assert "The limit of each text is 24." in (run.path / "report.html").read_text(encoding="utf-8")


def test_answers_to_one_prompt_stay_on_one_side(prefer, tmp_path):
    pool = preferred(30)
    rows = [{**row, "chosen": f"{row['chosen']} {word}"} for row in pool for word in ("the", "was", "and")]
    run = wt.train(prefer(data={"train": str(write_jsonl(tmp_path / "r.jsonl", rows))}, max_steps=1))
    split = json.loads((run.path / "data" / "split.json").read_text())
    asked = {
        side: {rows[int(place.rpartition(":")[2].partition(".")[0]) - 1]["prompt"] for place in places}
        for side, places in split.items()
    }
    assert all(asked.values())
    assert not asked["train"] & asked["test"]
    assert not asked["train"] & asked["validation"]


@pytest.mark.parametrize(
    ("words", "key"),
    [
        ({"loss_type": "ipo", "gamma": 0.5}, "task.gamma"),
        ({"loss_type": "hinge", "label_smoothing": 0.1}, "task.label_smoothing"),
        ({"loss_type": "simpo", "ref_model": "smollm2-135m"}, "task.ref_model"),
        ({"loss_type": "kto"}, "task.loss_type"),
        ({"beta": 0}, "task.beta"),
        ({"label_smoothing": 0.5}, "task.label_smoothing"),
    ],
)
def test_a_setting_that_the_loss_does_not_know_is_refused(prefer, words, key):
    with pytest.raises(WeitiaoError) as caught:
        wt.train(prefer(task={"name": "dpo", **words}))
    assert caught.value.code == "wrong_value"
    assert caught.value.values["key"] == key


def test_smoothing_of_classes_is_refused_by_name(prefer):
    with pytest.raises(WeitiaoError, match="label_smoothing_factor"):
        wt.train(prefer(label_smoothing_factor=0.1))


# ------------------------------------------------------------------ judged


def test_the_longer_answer_is_a_baseline_that_learns_which_length_is_preferred():
    rows = [
        Record("t", n, preference({"prompt": f"q{n}", "chosen": "a" * a, "rejected": "a" * b}, []))
        for n, (a, b) in enumerate([(5, 2), (4, 1), (2, 6), (3, 3)])
    ]
    longer = registry.build("baseline", {"name": "longer"})
    shape = registry.build("task", {"name": "dpo"}).shape
    assert [one["preferred"] for one in longer.fit(rows, shape)(rows)] == [1, 1, 0, 0.5]
    assert [one["preferred"] for one in longer.fit(rows[2:], shape)(rows)] == [0, 0, 1, 0.5]


@pytest.mark.parametrize(("chosen", "named"), [(-9.0, True), (2.0, False), (-0.01, False)])
def test_chosen_answers_that_fall_are_named(chosen, named):
    """Of both sides some nats are planted, beside a noise of one."""
    rng = np.random.default_rng(0)
    before = [{"chosen_logp": -30 - rng.random(), "rejected_logp": -31 - rng.random()} for _ in range(60)]
    moves = rng.normal(size=60)
    after = [
        {"chosen_logp": one["chosen_logp"] + chosen + move, "rejected_logp": one["rejected_logp"] - 20}
        for one, move in zip(before, moves, strict=True)
    ]
    metrics = {name: registry.build("metric", {"name": name}) for name in ("chosen_logp", "rejected_logp")}
    results = judge([{}] * 60, {"tuned": after, "untuned": before}, metrics)
    found = likelihood_displacement(Evidence(results, [], [{}] * 60, {"tuned": after, "untuned": before}))
    assert (found is not None) == named
    if found:
        assert found["after"] - found["before"] == pytest.approx(chosen, abs=0.5)
        assert found["rejected_after"] - found["rejected_before"] == pytest.approx(-20)


def test_an_answer_is_explained_as_of_a_conversation(prefer):
    """Words of the prompt and of training rows that are alike; rows of pairs are no conversations."""
    pytest.importorskip("captum")
    run = wt.train(prefer(max_steps=10, learning_rate=2e-2))
    (found,) = run.explain(["the film was"], similar=1, steps=16, max_new_tokens=12)
    assert [word.text for word in found.targets[0].words] == ["the", "film", "was"]
    assert len(found.similar) == 1
