"""Texts longer than the model reads: in windows, or by their beginnings and ends; the same in training and in use."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import processors
from torch.nn import functional as F

import weitiao as wt
from tests.conftest import BAD, FILL, GOOD, write_csv
from tests.train.test_loop import KillAt, Killed
from weitiao import api
from weitiao.core import registry
from weitiao.core.contracts import Record
from weitiao.core.errors import WeitiaoError
from weitiao.core.files import read_lines
from weitiao.core.recipe import Data, Recipe, Train
from weitiao.data.encode import Encoder
from weitiao.data.ledger import Ledger
from weitiao.data.overlong import as_read
from weitiao.data.rows import Rows
from weitiao.evaluate.predict import predict
from weitiao.models import load
from weitiao.stages.prepare import micro_batches
from weitiao.train import objective

TASK = registry.build("task", {"name": "text_classification", "labels": ["bad", "good"]})
WORDS = st.lists(st.sampled_from(FILL), min_size=1, max_size=60)
QUIET = {"untuned": False, "baseline": "none"}


@pytest.fixture(scope="module")
def loaded(bert):
    found = load.load(bert, TASK)
    marks = [(word, found.processor.convert_tokens_to_ids(word)) for word in ("[CLS]", "[SEP]")]
    found.processor.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=marks
    )
    found.processor.model_input_names = ["input_ids", "token_type_ids", "attention_mask"]
    found.model.eval()
    return found


def row(text: str, pair: str | None = None) -> Record:
    return Record("a.csv", 2, {"text": text, "label": "good"} | ({} if pair is None else {"text_pair": pair}))


def read(loaded, *rows: Record, limit: int, task=TASK, **data):
    return [example for _, example in as_read(task, rows, loaded.processor, Data(**data), limit=limit)]


def passes(loaded, example) -> list[list[str]]:
    ends = np.cumsum(example.inputs["windows"])
    words = loaded.processor.convert_ids_to_tokens(example.inputs["input_ids"])
    return [words[start:end] for start, end in zip([0, *ends[:-1]], ends, strict=True)]


# --- what is read


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(words=WORDS, limit=st.integers(3, 30), most=st.integers(1, 9))
def test_windows_are_full_as_few_as_can_be_and_hold_every_word(loaded, words, limit, most):
    (example,) = read(loaded, row(" ".join(words)), limit=limit, overlong="windows", max_windows=most)
    found, room = passes(loaded, example), limit - 2
    assert len(found) == min(most, -(-len(words) // room))
    assert all(each[0] == "[CLS]" and each[-1] == "[SEP]" for each in found)
    heard = words[: room * most]
    assert {len(each) - 2 for each in found} == {min(room, len(heard))}
    # Laid where they fit last: every window begins behind the beginning of the one before it, within or at its end.
    start = 0
    for each in found:
        own = each[1:-1]
        begins = [place for place in range(start + 1) if heard[place : place + len(own)] == own]
        assert begins
        start = begins[-1] + len(own)
    assert start == len(heard)
    assert example.tokens_lost == len(words) - len(heard)
    assert (example.target, example.trained) == (1, 1)


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(first=WORDS, second=WORDS, limit=st.integers(11, 40))
def test_of_a_pair_the_longer_text_goes_on_beside_the_whole_of_the_shorter(loaded, first, second, limit):
    pair = row(" ".join(first), " ".join(second))
    (example,) = read(loaded, pair, limit=limit, overlong="windows", max_windows=99)
    shorter = min(len(first), len(second))
    room = limit - 3
    fits = len(first) + len(second) <= room or shorter <= room - room // 4
    assert (example.tokens_lost == 0) == fits
    types = np.split(np.asarray(example.inputs["token_type_ids"]), np.cumsum(example.inputs["windows"]))
    for words, kinds in zip(passes(loaded, example), types, strict=False):
        middle = words.index("[SEP]")
        one, two = words[1:middle], words[middle + 1 : -1]
        assert len(words) <= limit
        assert kinds.tolist() == [0] * (len(one) + 2) + [1] * (len(two) + 1)
        if fits:
            assert one == first or two == second
    if fits and len(first) + len(second) > room:
        (example,) = read(loaded, pair, limit=limit, overlong="head_tail")
        assert len(example) == limit
        assert example.tokens_lost == len(first) + len(second) - room


def test_the_beginning_is_a_quarter_of_what_is_read_and_the_end_the_rest(loaded):
    words = [FILL[place % 12] for place in range(1000)]
    (example,) = read(loaded, row(" ".join(words)), limit=512, overlong="head_tail")
    shown = loaded.processor.convert_ids_to_tokens(example.inputs["input_ids"])
    # 128 and 382 of 510, as Sun et al. (2019) have it.
    assert shown == ["[CLS]", *words[:128], *words[-382:], "[SEP]"]
    assert example.tokens_lost == 490


def test_where_no_word_has_room_the_row_is_refused(loaded):
    for way in ("windows", "head_tail"):
        (example,) = read(loaded, row("film plot"), limit=2, overlong=way)
        assert example.refused


# --- what is said


LONG = [row(" ".join(FILL[:n])) for n in (3, 12, 7, 10, 5)]


@pytest.mark.parametrize("pooling", ["mean", "max"])
def test_a_row_is_what_its_windows_say_together_alone_and_among_others(loaded, pooling):
    task = registry.build(
        "task", {"name": "text_classification", "labels": ["bad", "good"], "pooling": pooling}
    )
    examples = read(loaded, *LONG, limit=6, task=task, overlong="windows")
    among = predict(loaded, task, examples, batch_size=3)
    for example, told in zip(examples, among, strict=True):
        # By hand, each window through the plain model.
        parts = np.split(np.asarray(example.inputs["input_ids"]), np.cumsum(example.inputs["windows"])[:-1])
        with torch.no_grad():
            logits = torch.cat([loaded.model(torch.tensor(part)[None]).logits for part in parts])
        wanted = (logits.mean(0) if pooling == "mean" else logits.max(0).values).softmax(-1)
        assert list(told["scores"].values()) == pytest.approx(wanted.tolist(), abs=1e-6)
        (alone,) = predict(loaded, task, [example])
        assert list(alone["scores"].values()) == pytest.approx(list(told["scores"].values()), abs=1e-6)
    assert len({tuple(told["scores"].values()) for told in among}) == len(LONG)


def test_losses_are_over_rows_and_not_over_windows(loaded):
    examples = read(loaded, *LONG, limit=6, overlong="windows")
    batch = loaded.collate(TASK)(examples, range(len(LONG)))
    logits = TASK.logits(loaded.model, batch)
    assert logits.shape == (len(LONG), 2)
    assert (batch.trained, batch.tokens) == (len(LONG), sum(map(len, examples)))
    wanted = F.cross_entropy(logits, batch.target, label_smoothing=0.1, reduction="sum")
    assert TASK.loss(loaded.model, batch, label_smoothing=0.1).item() == pytest.approx(wanted.item())
    # Nothing drops out here, so the two passes of R-Drop agree, and what is left is the loss.
    twice = objective.summed(TASK, Train(r_drop_alpha=3, label_smoothing_factor=0.1))(loaded.model, batch)
    assert twice.item() == pytest.approx(wanted.item(), rel=1e-5)


def test_a_number_is_the_mean_of_what_its_windows_say(bert):
    task = registry.build("task", {"name": "text_regression", "mean": 2.0, "spread": 3.0})
    found = load.load(bert, task)
    rows = [Record("a", 2, {**each.values, "label": 1.0}) for each in LONG]
    examples = read(found, *rows, limit=6, task=task, overlong="windows")
    told = predict(found, task, examples)
    parts = np.split(
        np.asarray(examples[1].inputs["input_ids"]), np.cumsum(examples[1].inputs["windows"])[:-1]
    )
    with torch.no_grad():
        logits = [found.model(torch.tensor(part)[None]).logits.item() for part in parts]
    assert len(logits) == 3
    assert told[1]["number"] == pytest.approx(2 + 3 * np.mean(logits), abs=1e-5)


def test_a_forward_pass_holds_no_more_than_a_batch_of_rows_that_fit(loaded, bert):
    rows = Rows(row(" ".join(FILL * n)) for n in (1, 6, 6, 1, 5, 3))
    tree = {
        "model": bert,
        "task": "text_classification",
        "output_dir": "-",
        "train": {"per_device_train_batch_size": 6},
    }
    recipe = Recipe.read({**tree, "data": {"max_length": 14, "overlong": "windows"}})
    examples = Encoder(TASK, loaded.processor, recipe.data, 14)(rows, Ledger(), side="train")
    batches = micro_batches(recipe, TASK, loaded, examples)
    micro = batches.step(0)
    assert sorted(place for batch in micro for place in batch.rows) == list(range(6))
    assert len(micro) > 1
    assert all(batch.inputs["input_ids"].numel() <= 6 * 14 for batch in micro)
    # The windows of every row are full, so nothing is padding but beside the shorter ones.
    assert batches.positions() == 22 * 14
    assert batches.heaviest().tokens == max(batch.tokens for batch in micro)


# --- through the door


def tailed(rows: int, *, seed: int = 0) -> list[dict[str, str]]:
    """What a row is says its end, behind 14 to 17 words that say nothing."""
    rng = random.Random(seed)
    made = []
    for place in range(rows):
        label = ("bad", "good")[place % 2]
        words = [rng.choice(FILL) for _ in range(rng.randint(14, 17))]
        made.append(
            {"text": " ".join([*words, *rng.sample(GOOD if label == "good" else BAD, 3)]), "label": label}
        )
    return made


@pytest.fixture
def long(classify, tmp_path):
    """A maker of recipes on rows of which a model of 12 tokens sees only the beginning."""
    file = write_csv(tmp_path / "long.csv", tailed(160))

    def recipe(**words):
        data = {"train": str(file), "max_length": 12, "near_duplicates": "keep", **words.pop("data", {})}
        return classify(**{"data": data, "method": "full", "learning_rate": 3e-3, "evaluate": QUIET, **words})

    return recipe


@pytest.mark.whole
@pytest.mark.parametrize(("way", "pooling"), [("windows", "mean"), ("windows", "max"), ("head_tail", "mean")])
def test_a_run_learns_from_what_is_behind_the_limit_and_is_asked_as_it_was_judged(
    long, way, pooling, tmp_path
):
    task = {"name": "text_classification", "pooling": pooling}
    run = wt.train(long(num_train_epochs=4, task=task, data={"overlong": way}))
    assert run.results["metrics"]["tuned"]["accuracy"]["value"] >= 0.9
    judged = read_lines(run.path / "predictions.jsonl")
    assert len(judged) == run.results["rows"] == 24
    asked = wt.load(run.path).predict([line["text"] for line in judged])
    for line, told in zip(judged, asked, strict=True):
        assert told["scores"] == pytest.approx(line["tuned"]["scores"], abs=1e-5)
    assert (
        f"longer than 12 tokens weitiao reads more (data.overlong: {way})" in run.results["usage"][2]["code"]
    )
    ledger = run.folder.json("data/ledger.json")
    tokens = ledger["tokens"]
    assert 19 <= tokens["median"] <= 22
    if way == "windows":
        assert ledger["counts"] == {"kept": 160}
        assert tokens["windowed_rows"] == 160
        assert tokens["windows"] == 2 * 160
        assert run.results["cut"] is None
    else:
        assert ledger["counts"] == {"kept": 0, "truncated": 160}
        assert run.results["cut"] == {"rows": 24, "limit": 12}
    assert run.results["advice"] is None


@pytest.mark.whole
def test_cut_rows_teach_nothing_here_and_the_advice_names_what_helps(long, tmp_path):
    said = []
    run = wt.train(
        long(num_train_epochs=4),
        tell=lambda event, **facts: said.append(facts["text"]) if event == "notice" else None,
    )
    assert run.results["metrics"]["tuned"]["accuracy"]["value"] < 0.9
    (line,) = [line for line in said if "data.overlong=windows" in line]
    assert "112 of 112 training rows" in line
    assert "data.max_length=24" in line
    # The same rows in windows: as many times the tokens as was said.
    other = wt.train(long(max_steps=14, data={"overlong": "windows"}, output_dir=str(tmp_path / "other")))
    tokens = [
        sum(
            fact["tokens"]
            for fact in read_lines(each.path / "log.jsonl")
            if fact["event"] == "step" and fact["step"] <= 14
        )
        for each in (run, other)
    ]
    times = float(line.partition("about ")[2].partition(" times")[0])
    assert tokens[1] / tokens[0] == pytest.approx(times, rel=0.25)
    (remark,) = [remark for remark in run.remarks if "data.overlong=windows" in remark]
    assert "24 of 24 test rows were cut" in remark
    assert any(
        "data.overlong=windows" in line for line in api.plan(long(output_dir=str(tmp_path / "p"))).notices
    )
    assert not any(
        "data.overlong" in line
        for line in api.plan(long(data={"max_length": 64}, output_dir=str(tmp_path / "q"))).notices
    )


@pytest.mark.whole
def test_a_limit_on_windows_that_cuts_is_said(long):
    run = wt.train(long(max_steps=1, data={"overlong": "windows", "max_windows": 1}))
    ledger = run.folder.json("data/ledger.json")
    assert ledger["counts"] == {"kept": 0, "truncated": 160}
    assert "behind the 1 windows" in ledger["rows"][0]["reason"]
    assert ledger["tokens"]["windows"] == 0
    assert run.results["cut"]["rows"] == 24
    assert run.results["cut"]["limit"] == 12


def steps(run) -> list[float]:
    return [line["loss"] for line in read_lines(run.path / "log.jsonl") if line["event"] == "step"]


@pytest.mark.whole
def test_a_run_in_windows_goes_on_to_the_last_bit(long, tmp_path):
    whole = wt.train(long(max_steps=6, data={"overlong": "windows"}))
    halved = long(max_steps=6, data={"overlong": "windows"}, output_dir=str(tmp_path / "halved"))
    with pytest.raises(Killed):
        wt.train(halved, watchers=[KillAt(5)])
    assert steps(wt.train(halved, resume=True)) == steps(whole)


@pytest.mark.whole
def test_a_frozen_trunk_that_is_kept_gives_the_same_losses_in_windows(long, tmp_path):
    found = [
        wt.train(
            long(
                method="head",
                num_train_epochs=2,
                dropout=0.0,
                cache_frozen_trunk=kept,
                data={"overlong": "windows"},
                output_dir=str(tmp_path / str(kept)),
            )
        )
        for kept in (True, False)
    ]
    (fact,) = [line for line in read_lines(found[0].path / "log.jsonl") if line["event"] == "frozen_trunk"]
    assert fact["kept"]
    assert steps(found[0]) == pytest.approx(steps(found[1]), rel=1e-5)


@pytest.mark.parametrize(("task", "way"), [("token_classification", "windows"), ("sft", "head_tail")])
def test_a_task_that_cannot_is_told_what_it_can(task, way, tag, converse):
    recipe = {"token_classification": tag, "sft": converse}[task]
    with pytest.raises(WeitiaoError) as caught:
        wt.train(recipe(data={"overlong": way}))
    assert caught.value.code == "wrong_usage"
    assert f"data.overlong={way} does not suit task {task}" in str(caught.value)
    assert "truncate, split, drop, fail" in str(caught.value)
