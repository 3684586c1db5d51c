"""Each kind of trouble is planted once and must be found where it stands; sound data must be left in peace."""

from __future__ import annotations

import json
import random
import string
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

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
from weitiao.data.near import near_groups
from weitiao.data.shapes import CONVERSATION, LABELLED, NUMBERED

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
