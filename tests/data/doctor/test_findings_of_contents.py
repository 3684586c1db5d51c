"""What texts hold and whether they suit is found: near rows, lengths, languages, conversations, preferences."""

from __future__ import annotations

import random
import string
from typing import Any

import numpy as np
import pytest

from tests.data.doctor.test_findings import codes, found, record, reviews, seen, talk, talks
from weitiao.data.doctor import examine
from weitiao.data.near import Texts, near_groups
from weitiao.data.shapes import CONVERSATION, LABELLED, PLAIN, PREFERENCE, TAGGED, UNPAIRED

# --- near, lengths


def test_near_rows_are_counted_and_suspected():
    rows = reviews(300)
    rows[200] = {"text": rows[10]["text"] + "!", "label": rows[11]["label"]}
    groups = near_groups(Texts([record(row, 0) for row in rows], lambda one: one.values["text"]))
    diagnosis = seen(rows, groups=groups, splits={"train": range(150), "test": range(150, 300)})
    assert found(diagnosis, "near_duplicates").count == 1
    assert found(diagnosis, "near_other_label").places == ["f.csv line 12", "f.csv line 202"]
    assert found(diagnosis, "near_across").count == 2
    assert diagnosis.tables["near"]["biggest"][0]["examples"][0]["text"] == rows[10]["text"]
    inside = seen(rows, groups=groups, splits={"train": range(250), "test": range(250, 300)})
    assert found(inside, "near_across") is None


def test_texts_that_spell_special_tokens_are_named_with_their_lines():
    rows = reviews(300)
    rows[10]["text"] += " </s> and </s>"
    rows[20]["text"] += " <|im_end|>"
    one = found(seen(rows, marks=["</s>", "<|im_end|>", "<s>"]), "spelt_specials")
    assert (one.count, one.places) == (2, ["f.csv line 12", "f.csv line 22"])
    assert "</s>, <|im_end|>." in one.text
    assert found(seen(rows), "spelt_specials") is None


def test_two_spellings_of_one_label_are_no_contradiction():
    rows = reviews(300)
    rows[200] = {"text": rows[10]["text"] + "!", "label": rows[10]["label"].upper()}
    diagnosis = seen(rows, groups=near_groups([row["text"] for row in rows]))
    assert found(diagnosis, "near_duplicates").count == 1
    assert found(diagnosis, "near_other_label") is None


def test_rows_over_the_limit_are_counted_with_what_is_lost():
    lengths = [10] * 298 + [15, 30]
    diagnosis = seen(reviews(300), lengths=lengths, limit=12)
    one = found(diagnosis, "over_limit")
    assert (one.count, one.places) == (2, ["f.csv line 300", "f.csv line 301"])
    assert "21 tokens" in one.text
    histogram = diagnosis.tables["histogram"]
    assert sum(histogram["counts"]) == 300
    quantiles = np.quantile(lengths, [0, 0.5, 1], method="inverted_cdf").tolist()
    assert [diagnosis.tables["tokens"][name] for name in ("min", "median", "max")] == quantiles


# --- languages


def test_languages_and_both_ways_of_writing_chinese():
    french = "le film est une histoire que je ne vous raconte pas dans le détail"
    rows = reviews(300)
    for i, row in enumerate(rows[:80]):
        row["text"] = f"{french} {i}"
    rows[90]["text"], rows[91]["text"] = "这部电影的开头说得很好", "這部電影的開頭說得很好"
    diagnosis = seen(rows)
    assert diagnosis.tables["languages"]["fr"] == 80
    assert found(diagnosis, "several_languages")
    assert diagnosis.tables["han"] == {"simplified": 1, "traditional": 1}
    assert found(diagnosis, "other_script").count == 2


# --- conversations, tags, preferences


def test_conversations_out_of_order_and_repeated_answers():
    rows = talks(300)
    rows[5]["messages"].insert(0, {"role": "user", "content": "one more"})
    rows[6]["messages"].append({"role": "user", "content": "and then?"})
    rows[7]["messages"][1]["content"] = "I'm sorry, but I can't help with that."
    for row in rows[100:130]:
        row["messages"][1]["content"] = "It depends, as most things do."
    diagnosis = seen(rows, CONVERSATION)
    assert found(diagnosis, "roles").places == ["f.csv line 7"]
    assert found(diagnosis, "unanswered").places == ["f.csv line 8"]
    assert found(diagnosis, "refusals").places == ["f.csv line 9"]
    assert found(diagnosis, "same_answer").count == 30
    assert diagnosis.tables["turns"]["max"] == 3


def test_tags_that_begin_in_the_middle():
    rows = [{"tokens": ["Li", "Wei", "came"], "tags": ["B-PER", "I-PER", "O"]} for _ in range(299)]
    rows.append({"tokens": ["to", "Bei", "jing"], "tags": ["O", "I-LOC", "I-LOC"]})
    diagnosis = seen(rows, TAGGED)
    assert found(diagnosis, "loose_tags").places == ["f.csv line 301"]
    assert diagnosis.tables["tags"]["I-LOC"] == 2
    # Where no span has a beginning, the file is of another scheme.
    assert found(seen([rows[-1]] * 300, TAGGED), "loose_tags") is None


def pair(chosen: str, rejected: str) -> dict[str, Any]:
    prompt = [{"role": "user", "content": f"tell me about {chosen[:9]}"}]
    answers = [[{"role": "assistant", "content": text}] for text in (chosen, rejected)]
    return {"prompt": prompt, "chosen": answers[0], "rejected": answers[1]}


@pytest.mark.parametrize(("share", "code"), [(0.9, "chosen_longer"), (0.1, "chosen_shorter"), (0.5, None)])
def test_a_bias_of_length_in_preferences(share, code):
    texts = [row["text"] for row in reviews(600)]
    rows = [
        pair(text + " and so on", text) if i < share * 600 else pair(text, text + " so")
        for i, text in enumerate(texts)
    ]
    diagnosis = seen(rows, PREFERENCE)
    assert [one.code for one in diagnosis.findings if one.code.startswith("chosen")] == [code] * bool(code)


def test_other_shapes_pass_too():
    prompt = [{"role": "user", "content": "hello there"}]
    liked = [
        {"prompt": prompt, "completion": talk("", row["text"])["messages"][1:], "label": i % 2 == 0}
        for i, row in enumerate(reviews(600))
    ]
    assert seen(liked, UNPAIRED).tables["labels"]["counts"] == {"true": 300, "false": 300}
    assert codes(seen([{"text": row["text"]} for row in reviews(300)], PLAIN)) == []
    assert examine([], LABELLED, ledger={}).rows == 0


# --- does it suit


def test_few_rows_are_said_with_the_rule():
    assert {"few_rows_a_label", "unsuited_few"} <= set(codes(seen(reviews(12))))
    assert "few_rows" in codes(seen(talks(100), CONVERSATION))
    assert "unsuited_few" not in codes(seen(talks(100), CONVERSATION))


def test_answers_that_change_daily():
    rows = talks(300)
    for i, row in enumerate(rows[:120]):
        row["messages"][1]["content"] = f"As of today the share costs ${i}.20."
    one = found(seen(rows, CONVERSATION), "unsuited_daily")
    assert one.count == 120
    assert "may not suit" in one.text


def test_prompts_about_everything():
    letters = string.ascii_lowercase
    rng = random.Random(0)

    def word() -> str:
        return "".join(rng.choices(letters, k=7))

    rows = [talk(" ".join(word() for _ in range(8)), " ".join(word() for _ in range(8))) for _ in range(300)]
    assert found(seen(rows, CONVERSATION), "unsuited_broad")
    assert found(seen(talks(300), CONVERSATION), "unsuited_broad") is None


def test_labels_that_contradict_each_other():
    dropped = [
        {"file": "f", "line": i, "status": "dropped", "reason": "the same text is labelled so here"}
        for i in range(60)
    ]
    ledger = {"total": 360, "counts": {"kept": 300, "dropped": 60}, "rows": dropped, "files": []}
    assert found(seen(reviews(300), ledger=ledger), "unsuited_unclear").count == 60


def test_labels_that_no_word_tells():
    rng = random.Random(0)
    rows = reviews(300)
    for row in rows:
        row["label"] = rng.choice(["x", "y"])
    assert found(seen(rows, labels=True), "unsuited_blind")
