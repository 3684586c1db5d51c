"""Rows that are too long are cut, left out or refused, as asked; and what is lost is counted."""

from __future__ import annotations

import pytest

from tests.conftest import dialogues, reviews
from weitiao.core import registry
from weitiao.core.contracts import Example, Record
from weitiao.core.errors import WeitiaoError
from weitiao.core.recipe import Data
from weitiao.data.chat import IGNORE
from weitiao.data.check import Ledger
from weitiao.data.encode import encode, token_table


@pytest.fixture(params=["text_classification", "sft"])
def kind(request, bert, llama):
    """(task, records, processor) of a task; rows of 5 to 20 tokens."""
    from transformers import AutoTokenizer

    if request.param == "sft":
        rows = [
            {
                "messages": [
                    {"role": "user", "content": d["prompt"]},
                    {"role": "assistant", "content": d["completion"]},
                ]
            }
            for d in dialogues(40)
        ]
    else:
        rows = reviews(40)
    records = [Record("a.csv", i, row) for i, row in enumerate(rows, start=2)]
    task = registry.build("task", {"name": request.param}).learn(records)
    return task, records, AutoTokenizer.from_pretrained(llama if request.param == "sft" else bert)


def encoded(kind, *, limit: int, overlong: str = "truncate"):
    task, records, processor = kind
    ledger = Ledger(files=[], total=len(records))
    kept, examples = encode(
        records, task, processor, data=Data(overlong=overlong), limit=limit, ledger=ledger
    )
    return kept, examples, ledger


def lengths(kind) -> dict[int, Example]:
    kept, examples, _ = encoded(kind, limit=1000)
    return {record.line: example for record, example in zip(kept, examples, strict=True)}


@pytest.fixture
def limit(kind) -> int:
    """Some rows are longer, some are not."""
    sizes = sorted(map(len, lengths(kind).values()))
    assert sizes[0] < sizes[20] < sizes[-1]
    return sizes[20]


def test_short_rows_pass_as_they_are(kind):
    kept, examples, ledger = encoded(kind, limit=1000)
    assert kept == kind[1]
    assert len(examples) == len(kept)
    assert ledger.rows == []
    assert all(example.tokens_lost == example.trained_lost == 0 for example in examples)


def test_long_rows_are_cut_to_the_limit_and_counted(kind, limit):
    whole = lengths(kind)
    kept, examples, ledger = encoded(kind, limit=limit)
    cut = {line for line, example in whole.items() if len(example) > limit}
    assert 0 < len(cut) < 40
    for record, example in zip(kept, examples, strict=True):
        before = whole[record.line]
        assert len(example) == min(len(before), limit)
        assert all(len(values) == len(example) for values in example.inputs.values())
        assert example.tokens_lost == len(before) - len(example)
        assert example.trained + example.trained_lost == before.trained
    gone = {row["line"] for row in ledger.rows if row["status"] == "dropped"}
    assert {row["line"] for row in ledger.rows} == cut
    assert {record.line for record in kept} == set(whole) - gone
    assert ledger.counts()["kept"] + ledger.counts().get("truncated", 0) == len(kept)
    assert sum(ledger.counts().values()) == 40


def test_the_ledger_says_how_much_was_lost(kind, limit):
    kept, examples, ledger = encoded(kind, limit=limit)
    by_line = {record.line: example for record, example in zip(kept, examples, strict=True)}
    for row in ledger.rows:
        if row["status"] == "truncated":
            example = by_line[row["line"]]
            assert (
                row["reason"]
                == f"{example.tokens_lost} tokens lost, {example.trained_lost} of them trained on"
            )
        else:
            assert "nothing to train on would be left" in row["reason"]


def test_a_row_whose_answer_is_cut_off_is_no_row(llama):
    """What would be left is a question alone: its loss would be 0 / 0."""
    from transformers import AutoTokenizer

    processor = AutoTokenizer.from_pretrained(llama)
    task = registry.build("task", {"name": "sft"})
    turns = [{"role": "user", "content": "film " * 10}, {"role": "assistant", "content": "plot"}]
    short = [{"role": "user", "content": "film"}, {"role": "assistant", "content": "plot story"}]
    records = [Record("a", 1, {"messages": turns}), Record("a", 2, {"messages": short})]
    ledger = Ledger(files=[], total=2)
    kept, examples = encode(records, task, processor, data=Data(), limit=10, ledger=ledger)
    assert [record.line for record in kept] == [2]
    assert ledger.rows[0]["line"] == 1
    assert "21 tokens, 10 fit, and nothing to train on" in ledger.rows[0]["reason"]
    # By hand: <start> user \n film <end> \n <start> assistant \n plot | story <end> \n
    assert examples[0].inputs["labels"][:-1] == [IGNORE] * 9
    assert (examples[0].trained, examples[0].trained_lost, examples[0].tokens_lost) == (1, 2, 3)


def test_a_row_with_nothing_to_learn_is_left_out(llama):
    from transformers import AutoTokenizer

    processor = AutoTokenizer.from_pretrained(llama)
    turns = [{"role": "assistant", "content": "plot"}, {"role": "user", "content": "film"}]
    ledger = Ledger(files=[], total=1)
    task, record = registry.build("task", {"name": "sft"}), Record("a", 1, {"messages": turns})
    kept, _ = encode([record], task, processor, data=Data(), limit=64, ledger=ledger)
    assert kept == []
    assert ledger.rows[0]["reason"] == "there is no assistant turn to learn from"


def test_the_special_tokens_of_an_encoder_stay(bert):
    from transformers import AutoTokenizer

    processor = AutoTokenizer.from_pretrained(bert)
    task = registry.build("task", {"name": "text_classification", "labels": ["a", "b"]})
    records = [Record("a", 1, {"text": "film " * 20, "label": "b"})]
    ledger = Ledger(files=[], total=1)
    _, (example,) = encode(records, task, processor, data=Data(), limit=6, ledger=ledger)
    words = processor.convert_ids_to_tokens(example.inputs["input_ids"])
    assert words == ["[CLS]", "film", "film", "film", "film", "[SEP]"]
    assert (example.tokens_lost, example.target) == (16, 1)


def test_long_rows_are_left_out_when_asked(kind, limit):
    whole = lengths(kind)
    kept, examples, ledger = encoded(kind, limit=limit, overlong="drop")
    fit = [line for line, example in whole.items() if len(example) <= limit]
    assert [record.line for record in kept] == fit
    assert [example.inputs for example in examples] == [whole[line].inputs for line in fit]
    assert {row["line"]: row["reason"].partition(", and")[0] for row in ledger.rows} == {
        line: f"{len(example)} tokens, {limit} fit" for line, example in whole.items() if line not in fit
    }
    assert ledger.counts() == {"kept": len(fit), "dropped": 40 - len(fit)}


def test_long_rows_are_refused_when_asked(kind, limit):
    over = {line: len(example) for line, example in lengths(kind).items() if len(example) > limit}
    first = min(over)
    with pytest.raises(WeitiaoError) as caught:
        encoded(kind, limit=limit, overlong="fail")
    assert caught.value.code == "overlong_rows"
    assert caught.value.values == {
        "count": len(over),
        "limit": limit,
        "place": f"a.csv line {first}",
        "length": over[first],
    }
    kept, _, ledger = encoded(kind, limit=max(over.values()), overlong="fail")
    assert (len(kept), ledger.rows) == (40, [])


def test_the_token_table_counts(kind, limit):
    _, examples, _ = encoded(kind, limit=limit)
    table = token_table(examples, limit=limit)
    sizes = sorted(map(len, examples))
    assert table["limit"] == table["max"] == limit
    assert sizes[len(sizes) // 2 - 1] <= table["median"] <= sizes[len(sizes) // 2]
    assert table["median"] <= table["p95"] <= limit
    assert table["truncated_rows"] == sum(example.tokens_lost > 0 for example in examples) > 0
    assert table["truncated_tokens"] == sum(example.tokens_lost for example in examples)
    assert table["truncated_trained_tokens"] == sum(example.trained_lost for example in examples)
