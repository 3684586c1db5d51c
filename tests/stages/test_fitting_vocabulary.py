"""A base is proposed whose vocabulary knows the rows, and what a vocabulary does not know is measured and said."""

from __future__ import annotations

import json
import re
import shutil

import pytest
import yaml
from transformers import AutoTokenizer

import weitiao as wt
from tests.conftest import reviews, write_csv
from tests.tasks.test_seq2seq import pairs
from weitiao.cli import run as weitiao
from weitiao.models.assets import catalog
from weitiao.stages.kept_rows import kept

pytestmark = pytest.mark.whole  # several trainings each

ROWS = {
    "en": ["The film was dull.", "It is a good book", "nothing for me", "Café, and the rest of it"],
    "de": ["Die Tür war tadellos", "Ist das so", "Der Drucker kam zu spät", "nicht mit mir"],
    "fr": ["Le colis est perdu", "une belle surprise", "pas du tout", "je ne sais pas"],
    "zh": ["这部电影很好", "非常 无聊", "书 到 得 很 快", "质量差"],
    "ru": ["Очень скучно", "Хороший фильм", "Не советую", "Да"],
}


POLISH = ["Ten film był naprawdę dobry", "Obsługa była niemiła, a jedzenie zimne"]
# Of these no frequent words are known: their vocabulary tells.
UNLISTED = {
    "en": [
        "Samsung Galaxy S21 128GB Phantom Gray",
        "HP LaserJet Pro M404dn",
        "GREAT PRODUCT WORKS FINE",
        "7 8",
    ],
    "id": [
        "Film ini benar benar bagus, saya ingin menontonnya lagi.",
        "Pelayanannya lambat dan makanannya dingin.",
    ],
    "sw": ["Filamu hii ilikuwa nzuri sana, nitaitazama tena.", "Huduma ilikuwa polepole na chakula baridi."],
    "tl": ["Ang pelikulang ito ay talagang maganda, gusto ko itong panoorin muli.", "Mabagal ang serbisyo."],
    "ascii": ["servicio muy lento y comida fria", "gran pelicula con buenos actores"],
    "emoji": ["😂😂😂", "👍 👍"],
}


@pytest.mark.parametrize("spoken", ["pl", *ROWS])
def test_a_recipe_begins_with_a_base_for_the_language_of_the_rows(spoken, tmp_path, monkeypatch):
    """Also where no model lies in the cache yet."""
    monkeypatch.setenv("WEITIAO_CACHE", str(tmp_path / "empty"))
    rows = [
        {"text": f"{text} {i}", "label": f"{i % 2}"} for i in range(10) for text in ROWS.get(spoken, POLISH)
    ]
    table = write_csv(tmp_path / "rows.csv", rows)
    tagged = tmp_path / "rows.conll"
    tagged.write_text(
        "\n".join("".join(f"{word} O\n" for word in row["text"].split()) for row in rows), encoding="utf-8"
    )
    for file in (table, tagged):
        chosen = yaml.safe_load(wt.init(file))["model"]
        assert chosen == ("minilm-l6" if spoken == "en" else "e5-small")


@pytest.mark.parametrize(("spoken", "texts"), [*ROWS.items(), ("pl", POLISH), *UNLISTED.items()])
def test_where_the_models_lie_at_hand_their_vocabularies_decide(spoken, texts, tmp_path):
    for name in ("minilm-l6", "e5-small"):
        catalog.model_path(name)
    rows = [{"text": f"{text} {i}", "label": f"{i % 2}"} for i in range(10) for text in texts]
    chosen = yaml.safe_load(wt.init(write_csv(tmp_path / "rows.csv", rows)))["model"]
    assert chosen == ("minilm-l6" if spoken == "en" else "e5-small")


def test_checking_and_showing_rows_tell_what_share_a_tokenizer_does_not_know(bert, tmp_path, capsys):
    """Against the tokenizer itself, asked row by row."""
    rows = reviews(60)
    for row in rows[:9]:
        row["text"] = f"{row['text']} 电影"
    table = write_csv(tmp_path / "rows.csv", rows)
    tokenizer = AutoTokenizer.from_pretrained(bert)
    words = [word for row in rows for word in tokenizer.tokenize(row["text"])]
    share = words.count(tokenizer.unk_token) / len(words)
    assert share > 0.01
    diagnosis = wt.check(table, model=bert, duplicates="keep").diagnosis
    assert diagnosis.tables["tokens"]["unknown"] == pytest.approx(share, abs=1e-6)
    assert "unknown_tokens" in {one.code for one in diagnosis.findings}
    for words in (["check", str(table), "--model", bert], ["show", str(table), "--model", bert]):
        weitiao(["data", *words])
        assert f"{share:.1%}" in capsys.readouterr().out
    known = wt.check(write_csv(tmp_path / "known.csv", reviews(60)), model=bert).diagnosis
    assert known.tables["tokens"]["unknown"] == 0
    assert "unknown_tokens" not in {one.code for one in known.findings}


@pytest.mark.parametrize(
    ("source", "target", "model"),
    [
        ("the film is good", "it is a nice one", "minilm-pair"),
        ("The film is good", "it is a nice one", "minilm-pair"),
        ("the film is good", "It is a nice one", "e5-pair"),
        ("the film is good", "这部电影很好", "e5-pair"),
        ("这部电影很好", "the film is good", "e5-pair"),
    ],
)
def test_a_recipe_for_pairs_begins_with_a_base_that_can_write_the_targets(
    source, target, model, tmp_path, monkeypatch
):
    """And trains all of it until enough was seen: neither was ever taught to write."""
    monkeypatch.setenv("WEITIAO_CACHE", str(tmp_path / "empty"))
    rows = [{"source": f"{source} {i}", "target": f"{target} {i}"} for i in range(1000)]
    heard: list[str] = []
    made = yaml.safe_load(
        wt.init(
            write_csv(tmp_path / "pairs.csv", rows),
            tell=lambda event, **facts: heard.append(facts.get("text", "")),
        )
    )
    assert (made["model"], made["method"]["name"]) == (model, "full")
    train = made["train"]
    assert (train["learning_rate"], train["dropout"], train["num_train_epochs"]) == (1e-3, 0.0, 12)
    assert any("never taught" in text for text in heard)


@pytest.mark.parametrize("loses", [False, True])
def test_targets_that_a_tokenizer_gives_back_otherwise_are_said(loses, t5, tmp_path):
    """A tokenizer that makes all letters small, planted."""
    folder = shutil.copytree(t5, tmp_path / "t5")
    tree = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    if loses:
        tree["normalizer"] = {"type": "Lowercase"}
    small = next(word for word in tree["model"]["vocab"] if word.isascii() and word.isalpha())
    large = small.title()
    tree["model"]["vocab"] |= {} if loses else {large: 63}
    (folder / "tokenizer.json").write_text(json.dumps(tree), encoding="utf-8")
    rows = [
        {**row, "target": f"{large} {row['target']}" if i % 4 == 0 else row["target"]}
        for i, row in enumerate(pairs(120))
    ]
    recipe = {
        "model": str(folder),
        "task": "seq2seq",
        "data": {"train": str(write_csv(tmp_path / "pairs.csv", rows)), "near_duplicates": "keep"},
        "output_dir": str(tmp_path / "run"),
    }
    found = [text for text in wt.plan(recipe).notices if "cannot write" in text]
    assert bool(found) == loses
    if loses:
        shown = re.search(r"(\d+)% of the targets .*: `(.*?)` comes back as `(.*?)`.*", found[0])
        assert shown[2].startswith(f"{large} ")
        assert shown[3] == shown[2].lower()
        assert 15 < int(shown[1]) < 35
        assert "model=e5-pair" in found[0]


@pytest.mark.parametrize(("strange", "said"), [(0, False), (40, True)])
def test_the_share_that_the_tokenizer_does_not_know_is_said(strange, said, classify, bert, tmp_path):
    """Against the tokenizer itself, asked row by row for the words that it makes one unknown token of."""
    rows = reviews(120)
    for row in rows[:strange]:
        row["text"] = f"{row['text']} 电影"
    recipe = classify(
        max_steps=1,
        data={"train": [str(write_csv(tmp_path / "strange.csv", rows))]},
        evaluate={"untuned": False, "baseline": "none"},
    )
    heard: list[str] = []
    run = wt.train(recipe, tell=lambda event, **facts: heard.append(facts.get("text", "")))
    found = [text for text in heard if "does not know" in text]
    assert bool(found) == said
    planned = [
        text
        for text in wt.plan({**recipe, "output_dir": str(tmp_path / "other")}).notices
        if "does not know" in text
    ]
    assert bool(planned) == said
    if said:
        known = run.tuned.processor
        words = [t for row, _ in kept(run.folder, "train") for t in known.tokenize(row.values["text"])]
        assert f"know {words.count(known.unk_token) / len(words):.0%} of" in found[0]
        assert "model=e5-small" in found[0]
