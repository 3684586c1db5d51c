"""Each kind of trouble is planted once and must be found where it stands; sound data must be left in peace."""

from __future__ import annotations

import json
import random
import string
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weitiao.core.contracts import Record, Shape
from weitiao.core.errors import mistakes
from weitiao.data.clean import DEFAULT, repaired
from weitiao.data.doctor import Diagnosis, examine
from weitiao.data.doctor.contents import KINDS, kinds
from weitiao.data.doctor.finding import table
from weitiao.data.doctor.page import page
from weitiao.data.doctor.synonyms import propose
from weitiao.data.near import Texts, near_groups
from weitiao.data.shapes import CONVERSATION, LABELLED, NUMBERED, PLAIN, PREFERENCE, TAGGED, UNPAIRED

SUBJECTS = [
    "film",
    "movie",
    "plot",
    "ending",
    "actress",
    "director",
    "soundtrack",
    "camera",
    "dialogue",
    "script",
    "costume",
    "stunt",
]
WORDS = [
    "the",
    "a",
    "and",
    "was",
    "with",
    "for",
    "in",
    "that",
    "very",
    "quite",
    "rather",
    "never",
    "always",
    "almost",
    "once",
    "more",
    "than",
    "any",
    "other",
]
CHEER = ["great", "lovely", "charming", "brilliant", "delightful"]
GLOOM = ["dull", "awful", "boring", "dreadful", "tedious"]


def record(values: dict[str, Any], line: int) -> Record:
    return Record("f.csv", line, values)


def reviews(rows: int, *, seed: int = 0) -> list[dict[str, Any]]:
    rng = random.Random(seed)
    made: dict[str, str] = {}
    while len(made) < rows:
        label = ("good", "bad")[len(made) % 2]
        words = rng.choices(WORDS + SUBJECTS, k=rng.randint(14, 24))
        for _ in range(2):
            words.insert(rng.randrange(len(words)), rng.choice(CHEER if label == "good" else GLOOM))
        made["the film " + " ".join(words)] = label
    return [{"text": text, "label": label} for text, label in made.items()]


def talk(question: str, answer: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]}


def talks(rows: int, *, seed: int = 0) -> list[dict[str, Any]]:
    texts = [row["text"] for row in reviews(2 * rows, seed=seed)]
    return [talk(f"summarise: {a}", b) for a, b in zip(texts[:rows], texts[rows:], strict=True)]


def seen(rows: Sequence[dict[str, Any]], shape: Shape = LABELLED, **known: Any) -> Diagnosis:
    records = [record(values, line) for line, values in enumerate(rows, start=2)]
    ledger = {"total": len(records), "counts": {"kept": len(records)}, "rows": [], "files": []}
    return examine(records, shape, **({"ledger": ledger} | known))


def found(diagnosis: Diagnosis, code: str) -> Any:
    return next((one for one in diagnosis.findings if one.code == code), None)


def codes(diagnosis: Diagnosis) -> list[str]:
    return [one.code for one in diagnosis.findings if one.severity != "note"]


@pytest.mark.parametrize(("rows", "shape"), [(reviews(400), LABELLED), (talks(400), CONVERSATION)])
def test_sound_rows_are_left_in_peace(rows, shape):
    texts = [shape.key(row) for row in rows]
    splits = {"train": range(280), "validation": range(280, 340), "test": range(340, 400)}
    labels = shape is LABELLED
    known = {
        "groups": near_groups(texts),
        "lengths": [9] * 400,
        "limit": 10,
        "splits": splits,
        "labels": labels,
    }
    diagnosis = seen(rows, shape, **known)
    assert codes(diagnosis) == []
    assert json.loads(json.dumps(diagnosis.to_dict()))["rows"] == 400


def test_a_way_out_is_offered_where_it_mends_something_alone():
    """What a finding names as repair is tried on the text that it names."""
    texts = [
        "a caf\ufffd here",
        "a cafÃ© here",
        "a caf\ufffd and a cafÃ© here",
        "<b>a</b><br>film",
        "a  film\u200b",
    ]
    for text in texts:
        for kind in kinds(text):
            fix = KINDS[kind][1]
            names = [*DEFAULT, *(fix.partition("--fix-with ")[2].split() if fix else ())]
            assert bool(fix) == (kind in ("broken_characters", "markup", "untidy"))
            assert not fix or kind not in set(kinds(repaired(text, names)[0])), (text, kind)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("N/A", "placeholders"),
        ("the film was a cafÃ© by Ã‰ric", "broken_characters"),
        ("the film was a caf\ufffd by \ufffdric", "lost_characters"),
        ("the film was a cafï¿½ by ï¿½ric", "lost_characters"),
        ("<p>the film</p> <b>was</b> great", "markup"),
        ("https://www.example.org/a/very/long/path?x=1 see", "links"),
        ("1234 5678 90 12 a", "digits"),
        ("the film\u200b was  great ", "untidy"),
        ("это был очень хороший фильм", "other_script"),
        ("write to li.wei@example.org about the film", "personal"),
        ("ok", "short_texts"),
    ],
)
def test_a_planted_text_is_found_where_it_stands(text, code):
    rows = reviews(300)
    rows[77] = {"text": text, "label": "good"}
    one = found(seen(rows), code)
    assert (one.count, one.places) == (1, ["f.csv line 79"])
    assert found(seen(reviews(300)), code) is None


def test_the_way_out_names_the_file():
    rows = reviews(300)
    rows[3]["text"] += " li.wei@example.org"
    ledger = {"total": 300, "rows": [], "files": [{"path": "my rows.csv"}]}
    assert (
        found(seen(rows, ledger=ledger), "personal").fix
        == "weitiao data check 'my rows.csv' --fix --fix-with personal"
    )


def test_personal_data_itself_is_not_in_the_diagnosis():
    rows = reviews(300)
    for row in rows[3], rows[5]:
        row["text"] = "the one and only film, write to li.wei@example.org"
    rows[7] = {
        "text": rows[9]["text"] + " li.wei@example.org",
        "label": "bad" if rows[9]["label"] == "good" else "good",
    }
    groups = near_groups([row["text"] for row in rows])
    diagnosis = seen(rows, groups=groups, labels=True)
    assert diagnosis.tables["near"]["groups"] > 0
    assert "[EMAIL]" in json.dumps(diagnosis.to_dict())
    assert "li.wei" not in json.dumps(diagnosis.to_dict())
    spoken = talks(40)
    for row in spoken[:9]:
        row["messages"][1]["content"] = "write to li.wei@example.org"
    diagnosis = seen(spoken, CONVERSATION)
    assert "[EMAIL]" in found(diagnosis, "same_answer").text
    assert "li.wei" not in json.dumps(diagnosis.to_dict())


# --- the ledger


def test_the_ledger_speaks_by_kind_with_places():
    rows = [
        {"file": "f.csv", "line": 9, "status": "dropped", "reason": "the text is empty"},
        {"file": "f.csv", "line": 12, "status": "dropped", "reason": "3 cells where the header has 2"},
        {"file": "f.csv", "line": 15, "status": "dropped", "reason": "4 cells where the header has 2"},
        {"file": "f.csv", "line": 14, "status": "duplicate", "reason": "of f.csv line 2"},
        {
            "file": "f.csv",
            "line": 17,
            "status": "dropped",
            "reason": 'the same text is labelled "a" here and "b" in g',
        },
    ]
    ledger = {"total": 305, "counts": {"kept": 300, "dropped": 4, "duplicate": 1}, "rows": rows, "files": []}
    diagnosis = seen(reviews(300), ledger=ledger)
    places = {one.code: one.places for one in diagnosis.findings}
    assert places["empty_rows"] == ["f.csv line 9"]
    assert places["bad_rows"] == ["f.csv line 12", "f.csv line 15"]
    assert places["duplicate_rows"] == ["f.csv line 14"]
    assert places["contradictions"] == ["f.csv line 17"]
    assert diagnosis.tables["unused"]["reasons"]["n cells where the header has n"] == 2


# --- labels


def test_spellings_are_found_and_mapped_to_the_frequent_one():
    rows = reviews(400)
    for row in rows:
        row["label"] = {"good": "positive", "bad": "negative"}[row["label"]]
    rows[10]["label"], rows[20]["label"], rows[21]["label"] = "postive", "Negative", "正面"
    diagnosis = seen(rows)
    assert diagnosis.mapping == {"postive": "positive", "Negative": "negative", "正面": "positive"}
    one = found(diagnosis, "label_spellings")
    assert (one.count, one.places) == (3, ["f.csv line 12", "f.csv line 22", "f.csv line 23"])


@pytest.mark.parametrize(
    ("counts", "mapping"),
    [
        ({"yes": 50, "是": 40, "1": 3, "否": 60, "n": 2}, {"是": "yes", "1": "yes", "n": "否"}),
        ({"1": 10, "2": 10, "3": 10, "yes": 4}, {}),
        ({"typical": 100, "atypical": 3}, {}),
        ({"class1": 100, "class2": 1}, {}),
        ({"sports": 100, "sprots": 2, "ports": 90}, {"sprots": "sports"}),
        ({"cat": 100, "car": 2}, {}),
        ({"-1": 90, "0": 80, "1": 100}, {}),
        ({"+": 90, "-": 80}, {}),
        ({"１": 3, "1": 100, "2": 50}, {"１": "1"}),
        ({"science-fiction": 80, "Science Fiction": 9, "sciense-fiction": 1}, None),
    ],
)
def test_proposals(counts, mapping):
    got = {label: meant for label, (meant, _) in propose(counts).items()}
    expected = {"Science Fiction": "science-fiction", "sciense-fiction": "science-fiction"}
    assert got == (expected if mapping is None else mapping)


def test_the_edit_distance_is_that_of_the_definition():
    def slow(a: str, b: str) -> int:
        if not a or not b:
            return len(a) + len(b)
        best = min(slow(a[:-1], b) + 1, slow(a, b[:-1]) + 1, slow(a[:-1], b[:-1]) + (a[-1] != b[-1]))
        if len(a) > 1 and len(b) > 1 and a[-1] == b[-2] and a[-2] == b[-1]:
            best = min(best, slow(a[:-2], b[:-2]) + 1)
        return best

    rng = random.Random(0)
    for _ in range(60):
        a, b = ("".join(rng.choices("abc", k=rng.randint(0, 5))) for _ in range(2))
        assert mistakes(a, b, most=max(len(a), len(b))) == slow(a, b)


def test_numbers_beside_words_are_mixed():
    rows = reviews(300)
    for row in rows[:100]:
        row["label"] = str(3 + len(row["text"]) % 2)
    one = found(seen(rows), "mixed_labels")
    assert one.count == 100
    assert one.severity == "fault"


def test_labels_of_one_kind_or_of_hundreds_are_faults():
    rows = reviews(300)
    assert found(seen([row | {"label": "same"} for row in rows]), "one_label")
    assert found(seen([row | {"label": row["text"]} for row in rows]), "free_labels")
    assert found(seen([row | {"label": 2.5} for row in rows], NUMBERED), "one_label")


def test_imbalance_counts_spellings_as_one():
    rows = reviews(300)
    for row in rows[:270]:
        row["label"] = "good"
    one = found(seen(rows), "imbalance")
    assert "good" in one.text
    even = reviews(300)
    for row in even[:5]:
        row["label"] = row["label"].upper()
    assert found(seen(even), "imbalance") is None


def test_a_label_of_the_test_split_alone_is_a_fault():
    rows = reviews(300)
    rows[290]["label"] = rows[295]["label"] = "other"
    one = found(seen(rows, splits={"train": range(250), "test": range(250, 300)}), "labels_only_in")
    assert (one.count, one.places) == (2, ["f.csv line 292", "f.csv line 297"])
    assert found(seen(rows, splits={"train": range(295), "test": range(250, 290)}), "labels_only_in") is None


def test_a_token_that_gives_the_label_away_is_named():
    rows = reviews(300)
    for row in rows:
        row["text"] = f"[{'src7' if row['label'] == 'good' else 'src9'}] {row['text']}"
    assert "src7" in found(seen(rows), "telling_token").text
    assert found(seen(reviews(300)), "telling_token") is None


def test_a_text_that_names_its_label_is_found():
    rows = reviews(300)
    for row in rows[::3]:
        row["text"] += f" {row['label']}"
    one = found(seen(rows), "own_label")
    assert one.count == 100


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


# --- words


@pytest.mark.parametrize("code", table()["findings"])
def test_findings_say_the_same_in_both_languages(code):
    words = table()["findings"][code]

    def places(text: str) -> set[str]:
        return {name for _, name, _, _ in string.Formatter().parse(text) if name}

    assert places(words["en"]["text"]) == places(words["zh"]["text"])
    assert any("\u4e00" <= char <= "\u9fff" for char in words["zh"]["title"] + words["zh"]["text"])


def test_the_reader_may_be_chinese(monkeypatch):
    monkeypatch.setenv("WEITIAO_LANG", "zh")
    assert found(seen(reviews(12)), "unsuited_few").title.startswith("微调可能不合适")


def test_no_torch_is_needed():
    code = "import sys, weitiao.data.doctor, weitiao.data.doctor.page, weitiao.data.doctor.fix; print('torch' in sys.modules, 'sklearn' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_every_finding_has_words_and_every_word_is_said():
    import ast
    from pathlib import Path

    from weitiao.data import doctor

    said: set[str] = set()
    for path in Path(doctor.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                said.add(node.value)
    # Put together from a part: chosen_longer and chosen_shorter.
    assert set(table()["findings"]) - said == {"chosen_longer", "chosen_shorter"}


TEXT = st.one_of(
    st.text(max_size=30), st.sampled_from(["", " ", "N/A", "a@b.cn", "http://x", "12 34", "Ã©", "<b><i>"])
)


@settings(max_examples=25, deadline=None)
@given(
    texts=st.lists(TEXT, max_size=60), answers=st.lists(TEXT, min_size=1, max_size=5), labels=st.booleans()
)
def test_no_rows_break_the_doctor(texts, answers, labels):
    labelled = [{"text": text, "label": answers[i % len(answers)]} for i, text in enumerate(texts)]
    spoken = [talk(text, answers[i % len(answers)]) for i, text in enumerate(texts)]
    for rows, shape in ((labelled, LABELLED), (spoken, CONVERSATION)):
        groups = near_groups([shape.key(row) for row in rows])
        diagnosis = seen(rows, shape, groups=groups, labels=labels, lengths=[len(t) for t in texts], limit=9)
        json.dumps(diagnosis.to_dict(), allow_nan=False)
        assert all(one.count <= len(texts) for one in diagnosis.findings)
        assert "<html" in page(diagnosis)
