"""What a prediction hangs on as it is shown: in the terminal, beside training rows, on a page that opens offline."""

from __future__ import annotations

import json

import numpy as np
import pytest

import weitiao as wt
from tests.conftest import BAD, reviews
from tests.stages import test_explain
from weitiao.cli import run as command

pytestmark = pytest.mark.whole  # a training each

pytest.importorskip("captum")

made = test_explain.made


def test_the_command_says_numbers_where_there_are_no_colours_and_json(made, capsys):
    path = str(made("text_classification").path)
    text = f"the film was {BAD[0]}"
    assert command(["explain", path, text]) == 0
    said = capsys.readouterr().out
    assert f"{BAD[0]}(+" in said
    assert "completeness gap" in said
    assert "word vectors, float32" in said
    assert "\x1b" not in said
    assert command(["explain", path, text, "--label", "good", "--json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)
    assert told["targets"][0]["name"] == "good"
    assert [word["text"] for word in told["targets"][0]["words"]] == text.split()
    assert command(["explain", path]) == 2
    assert command(["explain", path, text, "--label", "none"]) == 2


def test_the_most_similar_training_rows_are_those_of_its_own_hidden_states(made):
    import torch

    run = made("text_classification")
    text = "the film was wonderful and very quite"
    (found,) = run.explain(text, similar=4)
    model, processor = run.tuned.model, run.tuned.processor

    def state(text):
        with torch.no_grad():
            return model.bert(**processor(text, return_tensors="pt")).last_hidden_state[0].mean(0)

    own = state(text)
    for row in found.similar:
        near = torch.cosine_similarity(own, state(row.text), dim=0).item()
        assert row.similarity == pytest.approx(near, abs=2e-3)
        assert row.label in ("good", "bad")
        assert "rows.jsonl line " in row.place
    rows = {row["text"]: row["label"] for row in reviews(160)}
    assert all(rows[row.text] == row.label for row in found.similar)
    assert [row.similarity for row in found.similar] == sorted(
        (r.similarity for r in found.similar), reverse=True
    )


def test_what_it_sees_in_the_training_rows_is_kept_and_made_anew_for_another_model(made):
    run = made("text_classification")
    run.explain("the film was wonderful", similar=1)
    kept = run.path / "similar" / "vectors.npy"
    vectors = np.load(kept)
    assert vectors.dtype == np.float16
    np.save(kept, -vectors)
    turned = run.explain("the film was wonderful", similar=1)[0].similar[0]
    assert turned.similarity < 1 - 2e-3
    told = run.path / "similar" / "rows.json"
    told.write_text(
        told.read_text(encoding="utf-8").replace('"key": "', '"key": "another '), encoding="utf-8"
    )
    (found,) = run.explain("the film was wonderful", similar=1)
    np.testing.assert_array_equal(np.load(kept), vectors)
    assert found.similar[0].similarity > turned.similarity


def test_many_training_rows_are_drawn_from_and_that_is_said(made, monkeypatch):
    from weitiao.stages import similar_rows

    monkeypatch.setattr(similar_rows, "MOST", 20)
    (found,) = made("text_classification").explain("the film was wonderful", similar=30)
    assert len(found.similar) == 20
    assert "20 of 112" in found.warnings[-1]


def test_the_page_says_the_same_and_opens_offline(made, tmp_path, monkeypatch):
    import re

    path, page = str(made("text_classification").path), tmp_path / "explained.html"
    text = "<b>the</b> film & was wonderful"
    assert command(["explain", path, text, "--similar", "2", "--html", str(page)]) == 0
    said = page.read_text(encoding="utf-8")
    (target,) = wt.load(path).explain(text)[0].targets
    marked = re.findall(r'<span class="(\w+)" style="--size:([\d.]+)" title="([-+\d.]+)">(.*?)</span>', said)
    word = target.strongest(1)[0]
    sign = "for" if word.share > 0 else "against"
    assert (sign, "1.00", f"{word.share:+.3f}", word.text) in marked
    assert "<b>the" not in said
    assert "&amp;" in said
    assert not re.search(r"(src|href)=", said)
    assert "rows.jsonl line" in said
    assert command(["explain", path, text, "--html", str(page)]) == 2  # what is there stays
    monkeypatch.setenv("WEITIAO_LANG", "zh")
    other = tmp_path / "zh.html"
    assert command(["explain", path, text, "--html", str(other)]) == 0
    assert "预测依据哪些词" in other.read_text(encoding="utf-8")


def test_words_are_coloured_by_sign_and_size(made):
    from weitiao.cli.explain import lines

    (found,) = made("text_classification").explain("the film was wonderful")
    _, line, *_ = lines(found, found.targets[0], coloured=True)
    assert line.plain == "the film was wonderful"
    strongest = found.targets[0].strongest(1)[0]
    (style,) = {str(span.style) for span in line.spans if line.plain[span.start : span.end] == strongest.text}
    assert style == "black on rgb(110,235,110)"
