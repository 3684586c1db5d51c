"""Rows that are too long are cut, split, left out or refused, as asked; what is lost is counted; the cache never lies."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import FILL, dialogues, reviews
from weitiao.core import registry
from weitiao.core.contracts import Example, Record
from weitiao.core.errors import WeitiaoError
from weitiao.core.recipe import Data
from weitiao.data.chat import IGNORE
from weitiao.data.encode import Encoder, token_table
from weitiao.data.encoded import Encoded
from weitiao.data.ledger import Ledger
from weitiao.data.rows import Rows

TASKS = ("text_classification", "sft", "language_modeling")
ROWS = 40


def chat(asked: str, answer: str) -> dict:
    return {"messages": [{"role": "user", "content": asked}, {"role": "assistant", "content": answer}]}


def table(values: list[dict]) -> Rows:
    return Rows(Record("a.csv", i, row) for i, row in enumerate(values, start=2))


def processor_of(folder):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder)


@pytest.fixture(params=TASKS)
def kind(request, bert, llama):
    """(task, rows, processor) of a task; rows of 5 to 20 tokens."""
    if request.param == "sft":
        rows = [chat(d["prompt"], d["completion"]) for d in dialogues(ROWS)]
    else:
        rows = reviews(ROWS)
    made = table(rows)
    task = registry.build("task", {"name": request.param}).learn(made)
    return task, made, processor_of(bert if request.param == "text_classification" else llama)


def encoded(kind, *, limit: int, side: str = "train", cache=None, **data) -> tuple[Encoded, Ledger]:
    task, rows, processor = kind
    ledger = Ledger(files=[{"path": "a.csv"}], total=len(rows))
    return Encoder(task, processor, Data(**data), limit, cache)(rows, ledger, side=side), ledger


def plain(example: Example) -> dict:
    inputs = {name: np.asarray(values).tolist() for name, values in example.inputs.items()}
    return {**inputs, "target": example.target, "trained": example.trained, "lost": example.tokens_lost}


def whole(kind) -> dict[int, Example]:
    """Every row as the task gives it, by its line, with nothing cut."""
    task, rows, processor = kind
    return {r.line: e for r, e in zip(rows, task.encode(rows, processor, limit=1000), strict=True)}


@pytest.fixture
def limit(kind) -> int:
    """Some rows are longer, some are not."""
    sizes = sorted(map(len, whole(kind).values()))
    assert sizes[0] < sizes[20] < sizes[-1]
    return sizes[20]


# --- as they are


def test_what_is_read_back_is_what_the_task_gave(kind):
    found, ledger = encoded(kind, limit=1000)
    assert [plain(example) for example in found] == [plain(example) for example in whole(kind).values()]
    assert found.rows.tolist() == list(range(ROWS))
    assert found.lengths.tolist() == [len(example) for example in found]
    assert found.counts("trained").tolist() == [example.trained for example in found]
    assert plain(found[-1]) == plain(found[ROWS - 1])
    assert [plain(example) for example in found[5:9]] == [plain(found[i]) for i in range(5, 9)]
    for beyond in (ROWS, -ROWS - 1):
        with pytest.raises(IndexError):
            found[beyond]
    assert ledger.rows == []


class Odd:
    """A task whose examples are given to it."""

    apart = False

    def __init__(self, examples):
        self.examples = examples

    def encode(self, records, processor, *, limit):
        return iter(self.examples)


@pytest.mark.parametrize("target", [0, 3, 0.5, [1, 0, 1], [0.5, 2.0], None])
def test_targets_of_every_kind_are_read_back(target):
    rows = table([{"text": "t"}] * 3)
    examples = [Example({"input_ids": [1] * n}, target=target) for n in (1, 2, 3)]
    found, _ = encoded((Odd(examples), rows, None), limit=10)
    assert [example.target for example in found] == [target] * 3
    assert type(found[0].target) is type(target)


@pytest.mark.parametrize("count", [1, 3])
def test_a_task_that_loses_rows_is_found_out(count):
    examples = [Example({"input_ids": [1]})] * count
    with pytest.raises(ValueError, match="zip"):
        encoded((Odd(examples), table([{"text": "t"}] * 2), None), limit=10)


# --- too long


@pytest.mark.parametrize(
    ("side", "overlong"), [("train", "truncate"), ("validation", "truncate"), ("test", "split")]
)
def test_long_rows_are_cut_to_the_limit_and_counted(side, overlong, kind, limit):
    before = whole(kind)
    found, ledger = encoded(kind, limit=limit, side=side, overlong=overlong)
    long = {line for line, example in before.items() if len(example) > limit}
    assert 0 < len(long) < ROWS
    lines = [kind[1][row].line for row in found.rows.tolist()]
    assert len(set(lines)) == len(lines), "a row that judges stays one row"
    status = {row["line"]: (row["status"], row["reason"]) for row in ledger.rows}
    for line, example in zip(lines, found, strict=True):
        lost = max(0, len(before[line]) - limit)
        assert len(example) == min(len(before[line]), limit)
        assert all(len(values) == len(example) for values in example.inputs.values())
        assert example.tokens_lost == lost
        assert example.trained + example.trained_lost == before[line].trained
        if lost:
            assert status[line] == (
                "truncated",
                f"{lost} tokens lost, {example.trained_lost} of them trained on",
            )
    gone = {line for line, (ended, _) in status.items() if ended == "dropped"}
    assert all("nothing to train on would be left" in status[line][1] for line in gone)
    assert set(status) == long
    assert set(lines) == set(before) - gone
    counts = ledger.counts()
    assert sum(counts.values()) == ROWS
    assert counts["kept"] + counts.get("truncated", 0) == len(found)


def test_long_training_rows_go_on_in_further_rows(kind, limit):
    before = whole(kind)
    found, ledger = encoded(kind, limit=limit, overlong="split")
    parts: dict[int, list[Example]] = {}
    for row, example in zip(found.rows.tolist(), found, strict=True):
        parts.setdefault(kind[1][row].line, []).append(example)
    assert found.rows.tolist() == sorted(found.rows.tolist())
    assert set(parts) == set(before), "no row is lost"
    for line, pieces in parts.items():
        assert all(len(piece) <= limit and piece.tokens_lost == 0 for piece in pieces)
        if len(before[line]) <= limit:
            assert [plain(piece) for piece in pieces] == [plain(before[line])]
        elif "labels" in before[line].inputs:
            learnt = [int(x) for piece in pieces for x in piece.inputs["labels"] if x != IGNORE]
            assert learnt == [x for x in before[line].inputs["labels"] if x != IGNORE], "each once, in order"
        else:
            assert {piece.target for piece in pieces} == {before[line].target}
            words = [int(x) for piece in pieces for x in piece.inputs["input_ids"][1:-1]]
            assert words == list(before[line].inputs["input_ids"][1:-1])
    long = {line: len(example) for line, example in before.items() if len(example) > limit}
    assert {row["line"]: (row["status"], row["reason"]) for row in ledger.rows} == {
        line: ("repaired", f"{length} tokens, gone on in {len(parts[line])} rows")
        for line, length in long.items()
    }


def test_long_rows_are_left_out_when_asked(kind, limit):
    before = whole(kind)
    found, ledger = encoded(kind, limit=limit, overlong="drop")
    fit = [line for line, example in before.items() if len(example) <= limit]
    assert [plain(example) for example in found] == [plain(before[line]) for line in fit]
    assert {row["line"]: row["reason"].partition(", and")[0] for row in ledger.rows} == {
        line: f"{len(example)} tokens, {limit} fit" for line, example in before.items() if line not in fit
    }
    assert ledger.counts() == {"kept": len(fit), "dropped": ROWS - len(fit)}


@pytest.mark.parametrize("side", ["train", "test"])
def test_long_rows_are_refused_when_asked(side, kind, limit, tmp_path):
    over = {line: len(example) for line, example in whole(kind).items() if len(example) > limit}
    first = min(over)
    with pytest.raises(WeitiaoError) as caught:
        encoded(kind, limit=limit, overlong="fail", side=side, cache=tmp_path)
    assert caught.value.code == "overlong_rows"
    assert caught.value.values == {
        "count": len(over),
        "limit": limit,
        "place": f"a.csv line {first}",
        "length": over[first],
    }
    assert list(tmp_path.iterdir()) == [], "and nothing half done stays"
    found, ledger = encoded(kind, limit=max(over.values()), overlong="fail")
    assert (len(found), ledger.rows) == (ROWS, [])


@pytest.mark.parametrize("overlong", ["truncate", "split", "drop"])
def test_every_row_is_an_example_or_a_line_of_the_ledger(overlong, kind):
    for limit in (3, 5, 8, 12):
        found, ledger = encoded(kind, limit=limit, overlong=overlong)
        counts = ledger.counts()
        assert sum(counts.values()) == ROWS
        assert len(set(found.rows.tolist())) == ROWS - len(ledger.lost())
        assert counts.get("dropped", 0) == len(ledger.lost())
        assert all(0 < len(example) <= limit and example.trained for example in found)


# --- nothing to learn


def conversation(llama, rows: list[dict]):
    return registry.build("task", {"name": "sft"}), table(rows), processor_of(llama)


def test_a_row_whose_answer_is_cut_off_is_no_row(llama):
    """What would be left is a question alone: its loss would be 0 / 0."""
    kind = conversation(llama, [chat("film " * 10, "plot"), chat("film", "plot story")])
    found, ledger = encoded(kind, limit=10)
    assert found.rows.tolist() == [1]
    assert ledger.rows[0]["line"] == 2
    assert "21 tokens, 10 fit, and nothing to train on" in ledger.rows[0]["reason"]
    # By hand: <start> user \n film <end> \n <start> assistant \n plot | story <end> \n
    assert found[0].inputs["labels"][:-1].tolist() == [IGNORE] * 9
    assert (found[0].trained, found[0].trained_lost, found[0].tokens_lost) == (1, 2, 3)


@pytest.mark.parametrize(("bad_rows", "status"), [("quarantine", "quarantined"), ("drop", "dropped")])
def test_a_row_with_nothing_to_learn_is_left_out(bad_rows, status, llama):
    turns = [{"role": "assistant", "content": "plot"}, {"role": "user", "content": "film"}]
    kind = conversation(llama, [{"messages": turns}])
    found, ledger = encoded(kind, limit=64, bad_rows=bad_rows)
    assert len(found) == 0
    assert [(row["status"], row["reason"]) for row in ledger.rows] == [
        (status, "there is no assistant turn to learn from")
    ]
    assert [row["row"] for row in ledger.quarantine()] == [{"messages": turns}] * (bad_rows == "quarantine")


def test_a_row_that_the_task_refuses_is_set_aside_with_its_reason():
    examples = [Example({"input_ids": [1]}), Example({}, refused="it rhymes")]
    _, ledger = encoded((Odd(examples), table([{"text": "a"}, {"text": "b"}]), None), limit=4)
    assert [(row["line"], row["reason"], row["row"]) for row in ledger.quarantine()] == [
        (3, "it rhymes", {"text": "b"})
    ]


# --- classification


@pytest.fixture(scope="module")
def paired(bert):
    """The toy tokenizer, which also knows how two texts stand together."""
    from tokenizers import processors

    made = processor_of(bert)
    marks = [(word, made.convert_tokens_to_ids(word)) for word in ("[CLS]", "[SEP]")]
    made.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=marks
    )
    made.model_input_names = ["input_ids", "token_type_ids", "attention_mask"]
    return made


LABELS = registry.build("task", {"name": "text_classification", "labels": ["a", "b"]})


def test_the_special_tokens_of_an_encoder_stay(bert):
    processor = processor_of(bert)
    kind = LABELS, table([{"text": "film " * 20, "label": "b"}]), processor
    (example,), _ = encoded(kind, limit=6)
    words = processor.convert_ids_to_tokens(example.inputs["input_ids"].tolist())
    assert words == ["[CLS]", "film", "film", "film", "film", "[SEP]"]
    assert (example.tokens_lost, example.target) == (16, 1)


WORDS = st.lists(st.sampled_from(FILL), min_size=1, max_size=25)


@settings(max_examples=80, deadline=None, derandomize=True, database=None)
@given(words=WORDS, limit=st.integers(3, 30))
def test_windows_of_a_text_hold_every_token_once(paired, words, limit):
    record = Record("a", 1, {"text": " ".join(words), "label": "b"})
    windows = LABELS.windows(record, Example({}, target=1), paired, limit=limit)
    pieces = [paired.convert_ids_to_tokens(window.inputs["input_ids"]) for window in windows]
    assert [word for piece in pieces for word in piece[1:-1]] == words
    assert all(piece[0] == "[CLS]" and piece[-1] == "[SEP]" and len(piece) <= limit for piece in pieces)
    assert all(window.target == 1 and not window.tokens_lost for window in windows)


@settings(max_examples=80, deadline=None, derandomize=True, database=None)
@given(first=WORDS, second=WORDS, limit=st.integers(4, 40))
def test_windows_of_a_pair_go_on_in_the_second_beside_the_whole_first(paired, first, second, limit):
    record = Record("a", 1, {"text": " ".join(first), "text_pair": " ".join(second), "label": "a"})
    windows = LABELS.windows(record, Example({}, target=1), paired, limit=limit)
    if len(first) + 4 > limit:  # three marks, and one word of the second
        assert windows == []
        return
    heard = []
    for window in windows:
        assert len(window) <= limit
        words = paired.convert_ids_to_tokens(window.inputs["input_ids"])
        assert words[: len(first) + 2] == ["[CLS]", *first, "[SEP]"]
        assert words[-1] == "[SEP]"
        heard += words[len(first) + 2 : -1]
        assert window.inputs["token_type_ids"] == [0] * (len(first) + 2) + [1] * (len(words) - len(first) - 2)
    assert heard == second


def test_a_pair_without_room_is_lost_and_said(paired):
    rows = table([{"text": "film " * 10, "text_pair": "plot", "label": "a"}])
    found, ledger = encoded((LABELS, rows, paired), limit=8, overlong="split")
    assert len(found) == 0
    assert [(row["status"], row["reason"]) for row in ledger.rows] == [
        ("dropped", "14 tokens, no room to split")
    ]


@pytest.mark.parametrize("first_is_pair", [True, False])
def test_pairs_and_single_texts_do_not_mix(first_is_pair, paired):
    one, two = {"text": "film", "label": "a"}, {"text": "film", "text_pair": "plot", "label": "b"}
    rows = table([two, one, two] if first_is_pair else [one, two, one])
    found, ledger = encoded((LABELS, rows, paired), limit=20)
    assert found.rows.tolist() == [0, 2]
    assert [(row["line"], row["status"]) for row in ledger.rows] == [(3, "quarantined")]
    assert "this one not" in ledger.rows[0]["reason"]


# --- the token table


@pytest.mark.parametrize("overlong", ["truncate", "drop", "split"])
def test_the_token_table_counts_rows_as_they_came(kind, limit, overlong, tmp_path):
    """A median of what was left would say that all is well where most was cut off."""
    for _ in range(2):  # the second time from the cache
        train, _ = encoded(kind, limit=limit, overlong=overlong, cache=tmp_path)
        test, _ = encoded((kind[0], kind[1][:7], kind[2]), limit=limit, side="test", cache=tmp_path)
        found = token_table([train, test], limit=limit)
        sizes = [len(example) for example in whole(kind).values()]
        sizes += [len(example) for example in whole((kind[0], kind[1][:7], kind[2])).values()]
        assert found["limit"] == limit < found["max"] == max(sizes)
        assert found["median"] == int(np.median(sizes))
        assert found["p95"] == int(np.percentile(sizes, 95))


def test_the_token_table_counts_what_was_cut(kind, limit):
    train, _ = encoded(kind, limit=limit)
    test, _ = encoded((kind[0], kind[1][:7], kind[2]), limit=limit, side="test")
    examples = [*train, *test]
    found = token_table([train, test], limit=limit)
    assert found["truncated_rows"] == sum(example.tokens_lost > 0 for example in examples) > 0
    assert found["truncated_tokens"] == sum(example.tokens_lost for example in examples)
    assert found["truncated_trained_tokens"] == sum(example.trained_lost for example in examples)
