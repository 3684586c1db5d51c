"""Judged answers: the formulas of KTO and APO, the mismatched pairs that its zero is of, and one gradient however a step is cut."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

import weitiao as wt
from tests.compared import liked, preferred
from tests.conftest import write_jsonl
from tests.tasks.steps import alike
from weitiao.core import registry
from weitiao.core.contracts import Record
from weitiao.core.errors import WeitiaoError
from weitiao.core.files import read_lines
from weitiao.core.recipe import Train
from weitiao.data.formats.preferences import kto
from weitiao.data.layout import Layout
from weitiao.data.pack import Batches, beside
from weitiao.evaluate.findings.evidence import Evidence
from weitiao.evaluate.findings.preferences import liked_answers_fell
from weitiao.evaluate.judge import judge
from weitiao.models import load, store
from weitiao.tasks.kto import mismatched
from weitiao.train.loop import Training, accumulate

pytestmark = pytest.mark.whole  # a training each

LOSSES = {
    "kto": {},
    "weighed": {"beta": 0.4, "desirable_weight": 1.5, "undesirable_weight": 0.6},
    "apo": {"loss_type": "apo_zero_unpaired", "beta": 0.4, "desirable_weight": 1.3},
}


def records(rows=6):
    return [Record("toy.jsonl", line, kto(row, [])) for line, row in enumerate(liked(rows), start=1)]


def learnt_from(task, rows):
    found = task.gathered(rows, trains=True, seed=3)
    return rows if found is None else [record for _, record in found]


def opened(folder, task):
    """The toy with a LoRA that has learnt something, in double precision, and weights so large that answers differ."""
    loaded = load.load(folder, task)
    method = registry.build("method", {"name": "lora"})
    store.prepare(loaded, method, seed=0)
    rng = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in loaded.model.parameters():
            if weight.requires_grad:
                weight.copy_(torch.randn(weight.shape, generator=rng) * 0.3)
            elif weight.dim() == 2:
                weight.mul_(6)
    loaded.model.eval()
    return loaded, method


def log_probability(model, ids, labels):
    """One row alone, through the model's own logits: the sum over its answer."""
    wanted = torch.tensor(labels)[1:]
    log_p = model(input_ids=torch.tensor([ids])).logits[0, :-1].double().log_softmax(-1)
    answer = wanted != -100
    return log_p[torch.arange(len(wanted)), wanted.clamp(min=0)][answer].sum()


def sides_of(example):
    ends = np.cumsum(example.inputs["texts"])
    return [
        [list(example.inputs[name][start:end]) for name in ("input_ids", "labels")]
        for start, end in zip([0, *ends[:-1]], ends, strict=True)
    ]


def by_hand(words, liked_rows, policy, reference, others):
    """The papers' losses, summed; `others` are the log-ratios of the mismatched pairs."""
    beta = words.get("beta", 0.1)
    zero = max(0.0, sum(others) / len(others)) if others else 0.0
    total = 0.0
    for good, own, known in zip(liked_rows, policy, reference, strict=True):
        r = own - known
        weight = words.get("desirable_weight" if good else "undesirable_weight", 1.0)
        if words.get("loss_type") == "apo_zero_unpaired":
            value = 1 - torch.sigmoid(beta * r) if good else torch.sigmoid(beta * r)
        else:
            value = 1 - torch.sigmoid(beta * (r - zero) if good else beta * (zero - r))
        total = total + weight * value
    return total


def training(loaded, method, task, collate, examples, **words):
    batches = Batches(examples, collate, words.pop("batch"), words.pop("accumulation"), strategy="random")
    weights = {name: weight for name, weight in loaded.model.named_parameters() if weight.requires_grad}
    optimizer = torch.optim.SGD(weights.values(), lr=0.1)
    return Training(loaded.model, method, task, batches, Train(bf16=False), optimizer, weights)


@pytest.mark.parametrize("sign", [1, -1], ids=["moved-nearer", "moved-away"])
@pytest.mark.parametrize("words", LOSSES.values(), ids=LOSSES)
@pytest.mark.parametrize("layout", [Layout.PACKED, Layout.PADDED])
def test_loss_and_gradient_are_the_papers_however_the_step_is_cut(llama, words, layout, sign):
    """The zero is over all rows of the step, and above 0 in one of the signs."""
    task = registry.build("task", {"name": "kto", **words})
    loaded, method = opened(llama, task)
    examples = list(task.encode(learnt_from(task, records()), loaded.processor, limit=64))
    assert len({len(example) for example in examples}) > 2
    pairs = [sides_of(example) for example in examples]
    with torch.no_grad():
        said = [[log_probability(loaded.model, *side) for side in pair] for pair in pairs]
        # What the reference says is planted, so that the zero is of the sign that is wanted.
        rng = torch.Generator().manual_seed(4)
        reference = [[one - sign * 3 * torch.rand((), generator=rng) for one in row] for row in said]
    others = [float(own[1] - known[1]) for own, known in zip(said, reference, strict=True) if len(own) == 2]
    policy = [log_probability(loaded.model, *pair[0]) for pair in pairs]
    marks = [bool(example.target) for example in examples]
    expected = by_hand(words, marks, policy, [known[0] for known in reference], others) / len(examples)
    weights = [weight for weight in loaded.model.parameters() if weight.requires_grad]
    wanted = torch.autograd.grad(expected, weights)
    size = max(float(each.abs().max()) for each in wanted)
    numbers = np.array([[float(one) for one in row] for row in reference])
    collate = beside(replace(loaded, layout=layout).collate(task), numbers)
    for batch, accumulation, parts in ((6, 1, 1), (2, 3, 1), (1, 6, 1), (6, 1, 2)):
        run = training(loaded, method, task, collate, examples, batch=batch, accumulation=accumulation)
        for weight in weights:
            weight.grad = None
        batches = run.batches.step(0, parts=parts)
        assert sum(len(each.rows) for each in batches) == 6
        loss = accumulate(run, batches)
        loaded.model.eval()
        assert loss == pytest.approx(expected.item(), rel=1e-5)
        for weight, each in zip(weights, wanted, strict=True):
            torch.testing.assert_close(weight.grad, each.float(), rtol=1e-4, atol=1e-5 * size)


@pytest.mark.parametrize("kind", ["kto", "apo_zero_unpaired"])
def test_a_step_has_trls_own_loss(llama, kind, tmp_path):
    trl = pytest.importorskip("trl", reason="a peer: pip install trl==1.16.0 datasets")
    datasets = pytest.importorskip("datasets")
    from transformers import AutoModelForCausalLM, AutoTokenizer

    words = {"loss_type": kind, "beta": 0.3, "desirable_weight": 1.2, "undesirable_weight": 0.7}
    task = registry.build("task", {"name": "kto", **words})
    loaded = load.load(llama, task)
    rows = records(4)
    # As TRL has them: the completion of the row before, in a circle.
    rows = [
        replace(row, values={**row.values, "other": rows[place - 1].values["completion"]})
        for place, row in enumerate(rows)
    ]
    examples = list(task.encode(rows, loaded.processor, limit=64))
    policy, other = (AutoModelForCausalLM.from_pretrained(llama) for _ in range(2))
    with torch.no_grad():
        for weight in policy.parameters():
            weight.add_(0.2 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(2)))
    loaded.model.load_state_dict(other.state_dict())
    batch = loaded.collate(task)(examples, range(4))
    told = task.predict(loaded.model.eval(), batch)
    batch.extra["reference"] = torch.tensor([[one[key] for key in task.hears] for one in told])
    loaded.model.load_state_dict(policy.state_dict())
    mine = task.loss(loaded.model, batch) / 4
    arguments = trl.KTOConfig(
        output_dir=str(tmp_path), use_cpu=True, per_device_train_batch_size=4, bf16=False, report_to="none",
        disable_dropout=True, gradient_checkpointing=False, train_sampling_strategy="sequential", **words,
    )  # fmt: skip
    tokenizer = AutoTokenizer.from_pretrained(llama)
    # The same turns, but TRL would score the line end behind an answer's end token, too.
    tokenizer.chat_template = (
        "{% for message in messages %}{{ '' if loop.first else '\n' }}{{ '<|im_start|>' + message['role'] + '\n' "
        "+ message['content'] + '<|im_end|>' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '\n<|im_start|>assistant\n' }}{% endif %}"
    )
    columns = ("prompt", "completion", "label")
    trainer = trl.KTOTrainer(
        policy, other, args=arguments, processing_class=tokenizer,
        train_dataset=datasets.Dataset.from_list([{name: row.values[name] for name in columns} for row in rows]),
    )  # fmt: skip
    (theirs,) = trainer.get_train_dataloader()
    alike(mine, loaded.model, trainer.compute_loss(trainer.model, theirs), trainer.model)


# ------------------------------------------------------------------ mismatched pairs


def test_every_row_gets_an_answer_to_another_prompt_and_the_seed_says_which():
    rows = [Record("t", line, kto(row, [])) for line, row in enumerate(liked(40), start=1)]
    first = [record.values["other"] for _, record in mismatched(rows, seed=1)]
    own = [row.values["completion"] for row in rows]
    assert all(other != mine for other, mine in zip(first, own, strict=True))
    # Every answer is used once, as all prompts are different.
    assert sorted(map(str, first)) == sorted(map(str, own))
    assert first == [record.values["other"] for _, record in mismatched(rows, seed=1)]
    assert first != [record.values["other"] for _, record in mismatched(rows, seed=2)]
    assert [place for place, _ in mismatched(rows, seed=1)] == list(range(40))


def test_answers_to_the_same_prompt_are_not_mismatched():
    rows = [
        Record("t", n, kto({"prompt": f"q{n // 5}", "completion": f"a{n}", "label": bool(n % 2)}, []))
        for n in range(20)
    ]
    for place, record in mismatched(rows, seed=0):
        other = record.values["other"][0]["content"]
        assert int(other[1:]) // 5 != place // 5
    alone = [Record("t", n, kto({"prompt": "q", "completion": f"a{n}", "label": True}, [])) for n in range(3)]
    for place, record in mismatched(alone, seed=0):
        assert record.values["other"] != alone[place].values["completion"]


# ------------------------------------------------------------------ a run


def test_a_run_learns_which_answers_were_liked(like):
    recipe = like(method="lora", learning_rate=2e-2, max_steps=25, task={"name": "kto", "beta": 0.5})
    plan = wt.plan(recipe)  # a step is gone through on shapes, where no number has a value
    run = wt.train(recipe)
    found = run.results["metrics"]
    assert {*found} == {"tuned", "untuned", "tfidf_liked", "length"}
    assert not run.results["missing"]
    assert found["untuned"]["reward_auc"]["value"] == 0.5
    assert found["untuned"]["reward_gap"]["value"] == 0
    assert found["tuned"]["reward_auc"]["value"] > 0.8
    steps = [line["loss"] for line in read_lines(run.path / "log.jsonl") if line["event"] == "step"]
    assert plan.steps == len(steps)
    assert steps[0] == pytest.approx(0.5, abs=1e-6)  # the model is its own reference, and z is 0
    first, *_, last = (line for line in read_lines(run.path / "log.jsonl") if line["event"] == "step")
    assert first["rewards/chosen"] == first["rewards/rejected"] == first["kl"] == 0
    assert last["rewards/chosen"] > last["rewards/rejected"]
    assert last["logps/chosen"] < 0
    lines = [json.loads(line) for line in (run.path / "predictions.jsonl").read_text().splitlines()]
    rewards = {
        side: [one["tuned"]["reward"] for one in lines if one["liked"] == side] for side in (True, False)
    }
    gap = np.mean(rewards[True]) - np.mean(rewards[False])
    assert found["tuned"]["reward_gap"]["value"] == pytest.approx(gap)
    wins = np.mean([a > b for a in rewards[True] for b in rewards[False]])
    assert found["tuned"]["reward_auc"]["value"] == pytest.approx(wins)
    zero = 0.5 * max(0.0, np.mean([one["tuned"]["kl"] for one in lines]))
    losses = [
        1 / (1 + np.exp((1 if one["liked"] else -1) * (one["tuned"]["reward"] - zero))) for one in lines
    ]
    assert found["tuned"]["answer_loss"]["value"] == pytest.approx(np.mean(losses), abs=1e-9)
    (told,) = run.predict(["the film"], max_new_tokens=3)
    assert {*told} == {"answer", "ending"}


def test_without_mismatched_pairs_it_learns_too_and_says_that_nothing_was_asked(like):
    run = wt.train(like(max_steps=4, task={"name": "kto", "loss_type": "apo_zero_unpaired"}))
    kl = run.results["metrics"]["tuned"]["reference_kl"]
    assert kl["value"] is None
    assert kl["why"] == "it gives no kl"


@pytest.mark.parametrize(("moved", "named"), [(-9.0, True), (2.0, False)])
def test_liked_answers_that_fall_are_named(moved, named):
    rng = np.random.default_rng(0)
    references = [{"liked": bool(n % 2)} for n in range(80)]
    before = [{"logp": -30 - rng.random()} for _ in references]
    after = [
        {"logp": one["logp"] + (moved if row["liked"] else -20) + rng.normal()}
        for one, row in zip(before, references, strict=True)
    ]
    metrics = {
        name: registry.build("metric", {"name": name}) for name in ("desirable_logp", "undesirable_logp")
    }
    results = judge(references, {"tuned": after, "untuned": before}, metrics)
    found = liked_answers_fell(Evidence(results, [], references, {"tuned": after, "untuned": before}))
    assert (found is not None) == named
    if found:
        assert found["after"] - found["before"] == pytest.approx(moved, abs=0.5)
        assert found["rejected_after"] - found["rejected_before"] == pytest.approx(-20, abs=0.5)


# ------------------------------------------------------------------ bad input


def test_rows_that_say_nothing_are_located_and_counted(like, tmp_path):
    rows, long = liked(60), " ".join(["film"] * 30)
    rows[3] = {**rows[3], "label": "perhaps"}
    rows[5] = {**rows[5], "completion": "  "}
    rows[7] = {**rows[7], "prompt": long}
    file = write_jsonl(tmp_path / "rows.jsonl", rows)
    run = wt.train(
        like(data={"train": str(file), "max_length": 24, "max_dropped_fraction": 0.2}, max_steps=1)
    )
    ledger = json.loads((run.path / "data" / "ledger.json").read_text())
    lost = {line["line"]: line["reason"] for line in ledger["rows"]}
    assert "perhaps" in lost[4]
    assert "empty" in lost[6]
    assert "nothing to train on would be left" in lost[8]
    assert sum(ledger["split"].values()) == 57


def test_one_kind_of_answers_alone_is_refused(like, tmp_path):
    rows = [{"prompt": row["prompt"], "completion": row["chosen"], "label": True} for row in preferred(60)]
    with pytest.raises(WeitiaoError) as caught:
        wt.train(like(data={"train": str(write_jsonl(tmp_path / "one.jsonl", rows))}))
    assert caught.value.code == "one_kind_of_answers"
