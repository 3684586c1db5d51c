"""A student learns from a teacher: its loss and gradient, whose words are learnt, and what is refused."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

import weitiao as wt
from tests.conftest import dialogues, rarely
from tests.tasks.test_dpo import opened
from tests.tasks.test_every_task import chat_records
from tests.train.test_loop import events, same, steps
from tests.train.test_rollouts import EXACT
from tests.train.test_several_processes import command, end_at
from weitiao.core import registry
from weitiao.core.errors import WeitiaoError
from weitiao.data.layout import Layout
from weitiao.evaluate.predict import predict
from weitiao.models import load, output_loss
from weitiao.tasks.parts.divergences import generalised_jsd

JUDGED = {"split": {"test": 0.2, "validation": 0.1}}
BETAS = [0.0, 0.3, 0.5, 1.0]


@pytest.fixture(scope="session")
def teacher(llama, tmp_path_factory):
    """A larger Llama with the student's words, and outputs of which no word knows; it is sure of what it says."""
    from transformers import LlamaConfig, LlamaForCausalLM

    folder = tmp_path_factory.mktemp("teacher") / "teacher"
    shutil.copytree(llama, folder)
    torch.manual_seed(5)
    model = LlamaForCausalLM(
        LlamaConfig.from_pretrained(llama, vocab_size=72, hidden_size=48, intermediate_size=96)
    )
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() == 2:
                weight.mul_(6)
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder)
    return str(folder)


@pytest.fixture
def distil(converse, teacher, tmp_path):
    """Recipes of distillation on the toy Llama."""

    def recipe(output="run", task=None, **words):
        named = {"name": "distillation", "teacher_model_name_or_path": teacher, "max_new_tokens": 5}
        where = str(tmp_path / output)
        return converse(task={**named, **(task or {})}, output_dir=where, **{**EXACT, **words})

    return recipe


def built(**words):
    return registry.build("task", {"name": "distillation", **words})


def theirs(student_V, teacher_V, beta):
    """TRL 1.16's formula, of one token, in double precision: by `kl_div` of a mixture."""
    student, teacher = (scores[:64].double().log_softmax(-1) for scores in (student_V, teacher_V))
    if beta == 0:
        return F.kl_div(student, teacher, reduction="sum", log_target=True)
    if beta == 1:
        return F.kl_div(teacher, student, reduction="sum", log_target=True)
    mixed = ((1 - beta) * student.exp() + beta * teacher.exp()).log()
    apart = [F.kl_div(mixed, one, reduction="sum", log_target=True) for one in (teacher, student)]
    return beta * apart[0] + (1 - beta) * apart[1]


def by_hand(model, teacher, example, beta):
    """Summed over the answer's tokens of a row alone, by both models' own logits."""
    ids = torch.as_tensor(example.inputs["input_ids"])[None]
    labels = torch.as_tensor(example.inputs["labels"])[1:]
    own, other = model(input_ids=ids).logits[0, :-1], teacher(input_ids=ids).logits[0, :-1].detach()
    return sum(theirs(own[place], other[place], beta) for place in (labels != -100).nonzero()[:, 0])


@pytest.mark.parametrize(
    ("beta", "layout"),
    [
        (0.3, Layout.PACKED),
        (1.0, Layout.PADDED),
        *(rarely(beta, layout) for beta in BETAS for layout in (Layout.PACKED, Layout.PADDED)),
    ],
)
def test_loss_and_gradient_are_the_formulas_in_one_piece_and_in_three(
    llama, teacher, beta, layout, monkeypatch
):
    """Parts of 3 tokens; with adapters in parts, and with an output layer that trains by logits that are all there."""
    monkeypatch.setattr(output_loss, "PART", 3)
    task = built(beta=beta)
    loaded, _ = opened(llama, task, scale=3.0)
    taught = load.load(teacher, task)
    taught.model.eval().requires_grad_(False)
    taught = replace(taught, layout=Layout.PADDED if layout is Layout.PACKED else Layout.PACKED)
    examples = list(task.encode(chat_records(dialogues(6)), loaded.processor, limit=64))
    whole = sum(example.trained for example in examples)
    collate = replace(loaded, layout=layout).collate(task)
    for trains_all in (False, True):
        loaded.model.get_output_embeddings().weight.requires_grad_(trains_all)
        assert output_loss.keeps_logits(loaded.model) is trains_all
        weights = [weight for weight in loaded.model.parameters() if weight.requires_grad]
        wanted = sum(by_hand(loaded.model, taught.model, one, beta) for one in examples) / whole
        gradients = torch.autograd.grad(wanted, weights)
        assert max(float(each.abs().max()) for each in gradients) > 1e-3
        for parts in ([[*range(6)]], [[5, 2], [1], [0, 3, 4]]):
            loss = torch.zeros(())
            for weight in weights:
                weight.grad = None
            for rows in parts:
                batch = collate([examples[row] for row in rows], rows)
                batch.extra["teacher"] = taught
                part = task.loss(loaded.model, batch) / whole
                part.backward()
                loss = loss + part.detach()
            torch.testing.assert_close(loss.double(), wanted.detach(), rtol=1e-5, atol=1e-5)
            size = max(float(each.abs().max()) for each in gradients)
            for weight, each in zip(weights, gradients, strict=True):
                torch.testing.assert_close(weight.grad, each.float(), rtol=1e-4, atol=1e-5 * size)


def test_what_is_said_of_a_row_is_its_divergence_and_its_loss(llama, teacher):
    task = built(beta=0.3)
    loaded, _ = opened(llama, task, scale=3.0)
    taught = load.load(teacher, task)
    taught.model.eval()
    examples = list(task.encode(chat_records(dialogues(5)), loaded.processor, limit=64))
    found = predict(loaded, task, examples, batch_size=2, teacher=taught)
    bare = predict(loaded, task, examples, batch_size=2)
    with torch.no_grad():
        for one, plain, example in zip(found, bare, examples, strict=True):
            wanted = by_hand(loaded.model, taught.model, example, 0.3)
            assert one["divergence"] == pytest.approx(float(wanted), rel=1e-5)
            assert one["loss"] == pytest.approx(plain["loss"], rel=1e-5)
            assert one["tokens"] == example.trained


@pytest.mark.parametrize("beta", BETAS)
def test_the_formula_is_trls(beta):
    gkd = pytest.importorskip("trl.experimental.gkd", reason="a peer: pip install trl==1.16.0 datasets")
    scores = torch.randn(2, 7, 11, generator=torch.Generator().manual_seed(0)) * 4
    wanted = gkd.GKDTrainer.generalized_jsd_loss(scores[:1], scores[1:], beta=beta, reduction="sum")
    found = generalised_jsd(scores[0], scores[1], beta).sum()
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)


def test_the_same_model_is_no_teacher_at_all_and_far_ones_stay_finite():
    scores = torch.randn(5, 9, generator=torch.Generator().manual_seed(0))
    for beta in BETAS:
        assert generalised_jsd(scores, scores + 3, beta).abs().max() < 1e-6
        sure = torch.full((1, 9), -200.0).scatter(1, torch.tensor([[3]]), 200.0).requires_grad_()
        other = torch.full((1, 9), -200.0).scatter(1, torch.tensor([[4]]), 200.0)
        apart = generalised_jsd(sure, other, beta)
        assert 0.5 < float(apart.detach()) < 500
        assert torch.autograd.grad(apart.sum(), sure)[0].isfinite().all()


class Seen(wt.Watcher):
    """What every step learns from, by its rows."""

    def __init__(self):
        self.ids, self.labels, self.teachers = [], [], []

    def on_gradients(self, training):
        held = training.batches._held
        bounds = held["bounds/input_ids"].tolist()
        for name, into in (("input_ids", self.ids), ("labels", self.labels)):
            values = held[f"inputs/{name}"].tolist()
            into.append([values[a:b] for a, b in zip(bounds, bounds[1:], strict=False)])
        self.teachers.append(training.objective.objective.teacher.model)


@pytest.mark.whole
def test_its_own_answers_and_those_of_rows_are_learnt_as_often_as_is_asked(distil, tmp_path):
    """An answer of a row stands in the data; one that was drawn is as long as it may be, and nothing of a prompt is learnt."""
    shares = {}
    for name, lmbda in (("own", 1.0), ("given", 0.0), ("both", 0.5)):
        sees = Seen()
        wt.train(distil(name, {"lmbda": lmbda}, max_steps=6), watchers=[sees])
        task = built()
        rows = list(task.encode(chat_records(dialogues(80)), load.processor(distil()["model"])[0], limit=64))
        there = {tuple(i for i in row.inputs["labels"] if i != -100): row for row in rows}
        for ids, labels in zip(sees.ids, sees.labels, strict=True):
            for row, each in zip(ids, labels, strict=True):
                learnt = [place for place, one in enumerate(each) if one != -100]
                assert learnt == [*range(learnt[0], len(row))]
                assert row[learnt[0] :] == each[learnt[0] :]
                assert 1 not in each[learnt[0] : -1]  # nothing behind an end
        told = events(tmp_path / name, "step")
        shares[name] = [line["on_policy"] for line in told]
        if name == "given":
            assert all(tuple(one for one in each if one != -100) in there for each in sum(sees.labels, []))
            assert "completion_length" not in told[0]
        else:
            assert all(line["completion_length"] <= 5 for line in told if line["on_policy"])
        assert not any(weight.requires_grad for weight in sees.teachers[0].parameters())
        assert not sees.teachers[0].training
    assert set(shares["own"]) == {1.0}
    assert set(shares["given"]) == {0.0}
    assert 0.25 < sum(shares["both"]) / 6 < 0.75


@pytest.mark.whole
def test_a_student_comes_nearer_to_its_teacher_and_the_page_says_so(distil, tmp_path):
    """With the reverse divergence, on its own words."""
    done = wt.train(
        distil(
            "run", {"beta": 1.0, "lmbda": 0.5}, method="full", max_steps=60, num_train_epochs=9, learning_rate=0.01,
            eval_strategy="steps", eval_steps=30, data=JUDGED,
        )
    )  # fmt: skip
    tuned, untuned = (done.results["metrics"][name]["teacher_divergence"] for name in ("tuned", "untuned"))
    assert tuned["value"] < 0.8 * untuned["value"]
    assert tuned["high"] < untuned["low"] if "high" in tuned else tuned["value"] < untuned["value"]
    seen = [line["validation/loss"] for line in events(tmp_path / "run", "evaluate")]
    assert seen[-1] < seen[0]
    assert done.results["metrics"]["tuned"]["perplexity"]["value"] is not None
    assert done.results["missing"] == []


@pytest.mark.whole
def test_micro_batches_are_one_batch(distil, tmp_path):
    words = {"max_steps": 3, "per_device_train_batch_size": 8}
    wt.train(distil("one", **words))
    wt.train(distil("four", **{**words, "per_device_train_batch_size": 2, "gradient_accumulation_steps": 4}))
    alike(tmp_path / "one", tmp_path / "four")


def alike(a, b):
    one, other = events(a, "step"), events(b, "step")
    for name in ("rows", "tokens", "trained", "on_policy"):
        assert [line[name] for line in one] == [line[name] for line in other]
    for name in ("loss", "grad_norm"):
        assert [line[name] for line in one] == pytest.approx([line[name] for line in other], rel=1e-4)


@pytest.mark.whole
def test_two_processes_equal_one(distil, two_processes, tmp_path):
    words = {"max_steps": 4, "eval_strategy": "steps", "eval_steps": 4, "data": JUDGED}
    wt.train(distil("one", gradient_accumulation_steps=2, **words))
    two_processes.train(distil("two", **words))
    alike(tmp_path / "one", tmp_path / "two")


@pytest.mark.whole
def test_kill_9_in_the_midst_and_resume_is_the_unbroken_run(distil, tmp_path):
    words = {"max_steps": 14, "save_steps": 1, "num_train_epochs": 9}
    wt.train(distil("whole", **words))
    broken = distil("broken", **words)
    with subprocess.Popen(command(broken), stderr=subprocess.PIPE) as process:
        end_at(tmp_path / "broken", 6, process, lambda pid: os.kill(pid, signal.SIGKILL))
    assert len(steps(tmp_path / "broken")) < 14
    wt.train(broken, resume=True)
    assert steps(tmp_path / "broken") == steps(tmp_path / "whole")
    assert same(tmp_path / "broken", tmp_path / "whole")


def test_a_teacher_that_is_not_there_or_speaks_other_words_is_refused_before_anything_is_read(
    distil, bert, llama, tmp_path
):
    other = tmp_path / "other"
    shutil.copytree(llama, other)
    text = (other / "tokenizer.json").read_text(encoding="utf-8")
    (other / "tokenizer.json").write_text(text.replace('"film"', '"movie"'), encoding="utf-8")
    for ref, said in (
        ("", "nobody is there to learn from"),
        (str(other), "other tokens"),
        (str(tmp_path / "nowhere"), "nowhere"),
    ):
        with pytest.raises(WeitiaoError) as caught:
            wt.train(distil(task={"teacher_model_name_or_path": ref}))
        assert said in str(caught.value)
        assert "teacher_model_name_or_path" in str(caught.value) or "nowhere" in said
        assert not (tmp_path / "run").exists()
    for words in ({"beta": 1.5}, {"lmbda": -0.1}, {"temperature": 0}, {"max_new_tokens": 0}):
        with pytest.raises(WeitiaoError, match=next(iter(words))):
            wt.train(distil(task=words))
