"""A base is proposed whose vocabulary knows the rows, and what a vocabulary does not know is measured and said."""

from __future__ import annotations

import pytest
import yaml

import weitiao as wt
from tests.conftest import reviews, write_csv
from weitiao.stages.kept_rows import kept

ROWS = {
    "en": ["The film was dull.", "It is a good book", "nothing for me", "Café, and the rest of it"],
    "de": ["Die Tür war tadellos", "Ist das so", "Der Drucker kam zu spät", "nicht mit mir"],
    "fr": ["Le colis est perdu", "une belle surprise", "pas du tout", "je ne sais pas"],
    "zh": ["这部电影很好", "非常 无聊", "书 到 得 很 快", "质量差"],
    "ru": ["Очень скучно", "Хороший фильм", "Не советую", "Да"],
}


@pytest.mark.parametrize("spoken", ROWS)
def test_a_recipe_begins_with_a_base_for_the_language_of_the_rows(spoken, tmp_path):
    rows = [{"text": f"{text} {i}", "label": f"{i % 2}"} for i in range(10) for text in ROWS[spoken]]
    table = write_csv(tmp_path / "rows.csv", rows)
    tagged = tmp_path / "rows.conll"
    tagged.write_text(
        "\n".join("".join(f"{word} O\n" for word in row["text"].split()) for row in rows), encoding="utf-8"
    )
    for file in (table, tagged):
        chosen = yaml.safe_load(wt.init(file))["model"]
        assert chosen == ("minilm-l6" if spoken == "en" else "e5-small")


@pytest.mark.whole
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
