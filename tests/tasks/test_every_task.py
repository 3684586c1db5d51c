"""The promises that every task keeps, and what each one alone must do."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from tests.boxed import boxed
from tests.compared import alike, liked, preferred, prompts, queries
from tests.conftest import asked, dialogues, many_labels, paired, rarely, rated, reviews, tagged
from tests.drawn import captioned
from tests.drawn import denoiser as denoiser
from tests.masked import masked
from tests.pictures import pictured
from weitiao.cli.show import prediction
from weitiao.core import registry
from weitiao.core.contracts import Example, Record, Sampling
from weitiao.core.errors import WeitiaoError
from weitiao.core.recipe import Data
from weitiao.data.check import check
from weitiao.data.formats.preferences import kto, preference
from weitiao.data.formats.prompts import OTHERS, prompt_only
from weitiao.evaluate import judge
from weitiao.evaluate.chosen import judged, watched
from weitiao.evaluate.predict import predict
from weitiao.models import load

MODELS = {
    "image_classification": "vit",
    "object_detection": "yolos",
    "image_generation": "denoiser",
    "semantic_segmentation": "segformer",
    "text_classification": "bert",
    "multi_label_classification": "bert",
    "text_regression": "bert",
    "token_classification": "bert",
    "embedding": "bert",
    "similarity": "bert",
    "reranking": "bert",
    "question_answering": "bert",
    "sft": "llama",
    "distillation": "llama",
    "dpo": "llama",
    "grpo": "llama",
    "rloo": "llama",
    "ppo": "llama",
    "reward": "bert",
    "kto": "llama",
    "language_modeling": "llama",
    "seq2seq": "t5",
}


def chat_records(rows):
    turns = [
        [{"role": "user", "content": d["prompt"]}, {"role": "assistant", "content": d["completion"]}]
        for d in rows
    ]
    return [Record("toy", i, {"messages": m}) for i, m in enumerate(turns, start=1)]


def toy_records(name):
    if name in ("sft", "distillation"):
        return chat_records(dialogues(10))
    if name == "kto":
        rows = [kto(row, []) for row in liked(10)]
        return [Record("toy", i, row) for i, row in enumerate(rows, start=1)]
    if name in ("dpo", "reward"):
        rows = [preference(row, []) for row in preferred(10)]
        return [Record("toy", i, row) for i, row in enumerate(rows, start=1)]
    if name in ("grpo", "rloo", "ppo"):
        rows = [
            prompt_only({"prompt": row["prompt"], OTHERS: {"answer": row["answer"]}}, [])
            for row in prompts(10)
        ]
        return [Record("toy", i, row) for i, row in enumerate(rows, start=1)]
    if name == "seq2seq":
        pairs = [{"source": row["prompt"], "target": row["completion"]} for row in dialogues(10)]
        return [Record("toy", i, row) for i, row in enumerate(pairs, start=1)]
    if name == "token_classification":
        return [Record("toy", i, row) for i, row in enumerate(tagged(10), start=1)]
    if name == "question_answering":
        return [Record("toy", i, row) for i, row in enumerate(asked(10), start=1)]
    if name == "multi_label_classification":
        rows = [{"text": row["text"], "label": row["labels"]} for row in many_labels(10)]
        return [Record("toy", i, row) for i, row in enumerate(rows, start=1)]
    if name == "text_regression":
        return [Record("toy", i, row) for i, row in enumerate(rated(10), start=1)]
    if name == "embedding":
        return [Record("toy", i, row) for i, row in enumerate(paired(10), start=1)]
    if name == "reranking":
        return [Record("toy", i, row) for i, row in enumerate(queries(10), start=1)]
    if name == "similarity":
        return [Record("toy", i, row) for i, row in enumerate(alike(10), start=1)]
    if name == "object_detection":
        return [Record("toy", i, row) for i, row in enumerate(boxed(10), start=1)]
    if name == "image_generation":
        return [Record("toy", i, row) for i, row in enumerate(captioned(10), start=1)]
    if name == "semantic_segmentation":
        return [Record("toy", i, row) for i, row in enumerate(masked(10), start=1)]
    if name == "image_classification":
        return [Record("toy", i, row) for i, row in enumerate(pictured(10), start=1)]
    rows = [{"text": row["text"]} for row in reviews(10)] if name == "language_modeling" else reviews(10)
    return [Record("toy", i, row) for i, row in enumerate(rows, start=1)]


# A denoiser takes as long as all other tasks, and its own tests stand beside it.
@pytest.fixture(
    params=[rarely(name) if name == "image_generation" else name for name in registry.names("task")]
)
def toy(request):
    rows = toy_records(request.param)
    task = registry.build("task", {"name": request.param}).learn(rows)
    loaded = load.load(request.getfixturevalue(MODELS[request.param]), task)
    task.extend(loaded.model)
    loaded.model.eval()
    return task, loaded, rows, list(task.encode(rows, loaded.processor, limit=64))


def learnt_from(task, examples):
    """What the loss is of: of prompts the answers to them."""
    if isinstance(task, Sampling):
        longest = {"max_completion_length", "response_length", "max_new_tokens"} & {
            *task.__dataclass_fields__
        }
        task = replace(task, **dict.fromkeys(longest, 7))
        return [task.stand_in(example, place) for place, example in enumerate(examples)]
    return examples


def one_by_one(task, loaded, examples):
    return [loaded.collate(task)([example], [i]) for i, example in enumerate(examples)]


def of_one_step(task, loaded, batches):
    """The same batches, told what their step has, as the loop tells them."""
    if task.tallies:
        step = tuple(map(sum, zip(*(task.tally(loaded.model, batch) for batch in batches), strict=True)))
        for batch in batches:
            batch.extra["step"] = step
    return batches


def same(ours, others):
    """The same words, and numbers as near as two sums of them are."""
    if isinstance(ours, np.ndarray):
        np.testing.assert_allclose(ours, others, rtol=1e-4, atol=1e-5)
        return
    if isinstance(ours, dict | list | tuple):
        assert type(ours) is type(others)
        assert len(ours) == len(others)
        for key in ours if isinstance(ours, dict) else range(len(ours)):
            same(ours[key], others[key])
    else:
        assert ours == (pytest.approx(others, rel=1e-4, abs=1e-6) if isinstance(ours, float) else others)


def test_settings_go_to_a_file_and_back():
    for name in registry.names("task"):
        task = registry.build("task", {"name": name})
        assert registry.build("task", registry.settings_of(name, task)) == task


@pytest.mark.parametrize("name", registry.names("task"))
def test_missing_columns_are_refused_by_name(name, tmp_path):
    file = tmp_path / "rows.csv"
    file.write_text("colour,size\nred,3\nblue,4\n", encoding="utf-8")
    with pytest.raises(WeitiaoError) as caught:
        check(Data(train=[str(file)]), registry.build("task", {"name": name}).shape)
    assert caught.value.code in ("missing_column", "unknown_row_format")
    assert "colour" in str(caught.value)


def test_the_loss_of_a_batch_is_the_sum_of_its_rows(toy):
    task, loaded, _, examples = toy
    if task.couples:
        return  # `test_embedding.py` has what holds instead
    examples = learnt_from(task, examples)
    whole = loaded.collate(task)(examples, list(range(len(examples))))
    with torch.no_grad():
        together = task.loss(loaded.model, whole)
        parts = of_one_step(task, loaded, one_by_one(task, loaded, examples))
        apart = sum(task.loss(loaded.model, batch) for batch in parts)
    assert whole.trained == sum(example.trained for example in examples)
    torch.testing.assert_close(together, apart, rtol=1e-5, atol=1e-5)


def test_the_gradient_of_a_batch_is_the_sum_of_its_rows(toy):
    task, loaded, _, examples = toy
    if task.couples:
        return
    examples = learnt_from(task, examples)
    task.loss(loaded.model, loaded.collate(task)(examples, list(range(len(examples))))).backward()
    together = {n: w.grad.clone() for n, w in loaded.model.named_parameters() if w.grad is not None}
    loaded.model.zero_grad()
    for batch in of_one_step(task, loaded, one_by_one(task, loaded, examples)):
        task.loss(loaded.model, batch).backward()
    for name, weight in loaded.model.named_parameters():
        if name in together:
            torch.testing.assert_close(weight.grad, together[name], rtol=1e-4, atol=1e-5)


def test_metrics_equal_the_loss_and_predictions_keep_the_order(toy):
    task, loaded, _, examples = toy
    if isinstance(task, Sampling):
        return  # prompts are answered: `tests/train/test_rollouts.py`
    found = predict(loaded, task, examples, batch_size=3)
    alone = [task.predict(loaded.model, batch)[0] for batch in one_by_one(task, loaded, examples)]
    for a, b in zip(found, alone, strict=True):
        same(a, b)
    asked, found = watched(task), task.together(found, examples)
    if task.couples:
        total = sum(told["loss"] for told in found)  # of all rows together
    else:
        with torch.no_grad():
            total = sum(task.loss(loaded.model, batch).item() for batch in one_by_one(task, loaded, examples))
    # Those of answers in words, and those that no step is chosen by.
    others = {
        name
        for name, metric in judged(task).items()
        if metric.lacks(task.predicts) or metric.ideal is not None
    }
    assert {"loss", *task.metrics} - others == {*asked}
    measured = judge.measured(task, asked, found, examples)
    assert {*measured} == {*asked, "loss_se"}
    assert measured["loss"] == pytest.approx(total / sum(example.trained for example in examples), rel=1e-5)


def test_what_is_said_of_a_row_is_a_line(toy):
    """As `weitiao predict` prints it, with nothing of a row but what it asks."""
    task, loaded, rows, _ = toy
    if task.generates:
        return  # it is asked for words
    asked = [
        Record("", n, task.record("") | task.shape.asks(row.values)) for n, row in enumerate(rows, start=1)
    ]
    examples = list(task.encode(asked, loaded.processor, limit=64))
    told = task.together(predict(loaded, task, examples, batch_size=3), examples)
    for row, one in zip(asked, told, strict=True):
        assert prediction(["the text"], task.shown(row, one), task=task).strip()


def test_rows_longer_than_the_limit_are_cut_and_counted(toy):
    task, loaded, rows, examples = toy
    cut = list(task.encode(rows, loaded.processor, limit=5))
    for whole, short in zip(examples, cut, strict=True):
        # Of texts that are read apart each may be as long as the limit.
        sizes = whole.inputs["texts"] if task.apart else [len(whole)]
        assert len(short) == sum(min(5, size) for size in sizes)
        assert short.tokens_lost == len(whole) - len(short)


# ------------------------------------------------------------------ classification


def classifier(labels):
    rows = [
        Record("t.csv", i, {"text": f"row {i}", "label": label}) for i, label in enumerate(labels, start=2)
    ]
    return registry.build("task", {"name": "text_classification"}).learn(rows)


def test_labels_are_sorted_numbers_as_numbers():
    assert classifier(["10", "2", "1", "2"]).labels == ("1", "2", "10")
    assert classifier(["差评", "好评"]).labels == tuple(sorted(("好评", "差评")))


def test_numbers_beside_words_are_refused_with_the_place_of_the_rarer_kind():
    with pytest.raises(WeitiaoError, match="mixed_labels") as caught:
        classifier(["1", "0", "1", "yes", "0"])
    assert "t.csv line 5" in str(caught.value)


def test_given_labels_fix_the_order_and_refuse_others():
    task = registry.build("task", {"name": "text_classification", "labels": ["positive", "negative"]})
    rows = [
        Record("t.csv", 2, {"text": "a", "label": "negative"}),
        Record("t.csv", 3, {"text": "b", "label": "negativ"}),
    ]
    assert task.learn(rows[:1]).labels == ("positive", "negative")
    with pytest.raises(WeitiaoError, match='line 3: label "negativ".*Did you mean "negative"'):
        task.learn(rows)


def test_classification_equals_transformers_own_loss(bert):
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    rows = toy_records("text_classification")
    task = registry.build("task", {"name": "text_classification"}).learn(rows)
    loaded = load.load(bert, task, seed=3)
    again = load.load(bert, task, seed=3)
    other = load.load(bert, task, seed=4)
    assert torch.equal(loaded.model.classifier.weight, again.model.classifier.weight)
    assert not torch.equal(loaded.model.classifier.weight, other.model.classifier.weight)
    theirs = AutoModelForSequenceClassification.from_pretrained(bert, num_labels=2)
    theirs.load_state_dict(loaded.model.state_dict())
    encoded = AutoTokenizer.from_pretrained(bert)(
        [r.values["text"] for r in rows], padding=True, return_tensors="pt"
    )
    target = torch.tensor([task.labels.index(r.values["label"]) for r in rows])
    examples = list(task.encode(rows, loaded.processor, limit=64))
    batch = loaded.collate(task)(examples, list(range(10)))
    with torch.no_grad():
        expected = theirs.eval()(**encoded, labels=target).loss * len(rows)
        torch.testing.assert_close(task.loss(loaded.model.eval(), batch), expected)


# ------------------------------------------------------------------ supervised fine-tuning


def test_packed_rows_equal_padded_rows_of_transformers(llama):
    """Rows end to end with positions that start again, against one padded row at a time and HF's own labels."""
    rows = chat_records(dialogues(6))
    task = registry.build("task", {"name": "sft"})
    loaded = load.load(llama, task)
    loaded.model.eval()
    examples = list(task.encode(rows, loaded.processor, limit=64))
    longest = max(map(len, examples))
    ids = torch.tensor([[*e.inputs["input_ids"], *[1] * (longest - len(e))] for e in examples])
    mask = torch.tensor([[1] * len(e) + [0] * (longest - len(e)) for e in examples])
    labels = torch.tensor([[*e.inputs["labels"], *[-100] * (longest - len(e))] for e in examples])
    with torch.no_grad():
        logits = loaded.model(input_ids=ids, attention_mask=mask).logits
        expected = F.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), reduction="sum")
        packed = task.loss(loaded.model, loaded.collate(task)(examples, list(range(6))))
    torch.testing.assert_close(packed, expected, rtol=1e-5, atol=1e-4)


def test_rows_of_one_sequence_do_not_see_each_other(llama):
    rows = chat_records(dialogues(2))
    task = registry.build("task", {"name": "sft"})
    loaded = load.load(llama, task)
    loaded.model.eval()
    first, second = task.encode(rows, loaded.processor, limit=64)
    changed = chat_records([{**dialogues(1)[0], "prompt": "boring boring"}])
    (other,) = task.encode(changed, loaded.processor, limit=64)
    before = task.predict(loaded.model, loaded.collate(task)([first, second], [0, 1]))[1]
    after = task.predict(loaded.model, loaded.collate(task)([other, second], [0, 1]))[1]
    assert before["loss"] == pytest.approx(after["loss"], rel=1e-5)


def test_the_mask_covers_the_answer_and_its_end_alone(llama):
    rows = chat_records([{"prompt": "the film", "completion": "great plot"}])
    task = registry.build("task", {"name": "sft"})
    loaded = load.load(llama, task)
    (example,) = task.encode(rows, loaded.processor, limit=64)
    trained = [i for i in example.inputs["labels"] if i != -100]
    assert loaded.processor.convert_ids_to_tokens(trained) == ["great", "plot", "<|im_end|>"]
    assert example.trained == 3


def test_perplexity_is_the_exponential_of_the_mean_loss():
    task = registry.build("task", {"name": "sft"})
    told = [{"loss": 6.0, "tokens": 2}, {"loss": 2.0, "tokens": 2}]
    measured = judge.measured(task, watched(task), told, [Example({}), Example({})])
    assert measured["loss"] == 2
    assert measured["perplexity"] == pytest.approx(math.e**2)


def test_rows_that_ask_the_same_count_as_one_group_but_not_as_one_row():
    task = registry.build("task", {"name": "sft"})
    a, b = chat_records(
        [{"prompt": "the film", "completion": "great"}, {"prompt": "the film", "completion": "dull"}]
    )
    assert task.shape.group(a.values) == task.shape.group(b.values)
    assert task.shape.key(a.values) != task.shape.key(b.values)
