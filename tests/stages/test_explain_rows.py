"""Test rows of a run that are explained: which ones, what is kept of them, and that its page shows them."""

from __future__ import annotations

import json
import re

import pytest

import weitiao as wt
from tests.conftest import dialogues, rarely, reviews, small_run, tagged, write_jsonl
from weitiao.cli import run as command
from weitiao.core.errors import WeitiaoError

ROWS = {"text_classification": reviews, "token_classification": tagged, "sft": dialogues}
QUICK = {"max_steps": 2, "eval_strategy": "no", "load_best_model_at_end": False}


def judged(base, task, folder, rows):
    judge = {"samples": 1, "max_new_tokens": 3, "answers": 2} if task == "sft" else {}
    file = write_jsonl(folder / "rows.jsonl", rows)
    return wt.train(small_run(base, task, file, folder / "run", batch=8, judge=judge)(**QUICK))


@pytest.fixture(scope="module")
def run(bert, tmp_path_factory):
    return judged(bert, "text_classification", tmp_path_factory.mktemp("explained"), reviews(80))


@pytest.fixture(autouse=True)
def _needs_captum():
    pytest.importorskip("captum")


def test_the_worst_rows_and_some_drawn_ones_are_kept_and_stand_on_the_page(run, capsys):
    before = run.report.read_text(encoding="utf-8")
    assert f"weitiao explain {run.path} --errors 5" in before
    assert command(["explain", str(run.path), "--errors", "2", "--rows", "3", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    kept = json.loads((run.path / "explanations.json").read_text(encoding="utf-8"))
    assert kept["rows"] == told
    places = [one["place"] for one in told]
    assert places[:2] == [row["place"] for row in run.results["sections"]["errors"]["rows"][:2]]
    assert len({*places}) == 5
    lines = (run.path / "predictions.jsonl").read_text(encoding="utf-8").splitlines()
    rows = {f"{row['file']}:{row['line']}": row for row in map(json.loads, lines)}
    for one in told:
        row = rows[one["place"]]
        assert one["texts"] == {"text": row["text"]}
        assert one["expected"] == row["label"]
        assert one["targets"][0]["name"] == row["tuned"]["label"]
    page = run.report.read_text(encoding="utf-8")
    shown = page[page.index('<section id="explained"') :].partition("</section>")[0]
    assert "--errors 5" not in shown
    for one in told:
        assert one["place"] in shown
        strongest = max(one["targets"][0]["words"], key=lambda word: abs(word["share"]))
        assert f'title="{strongest["share"]:+.3f}">{strongest["text"]}<' in shown
    # A page that is written anew has them still, as long as the model is the one that was asked.
    wt.report(run.path)
    assert run.report.read_text(encoding="utf-8") == page
    card = run.path / "model" / "weitiao.json"
    sealed = card.read_text(encoding="utf-8")
    card.write_text(sealed + "\n", encoding="utf-8")
    wt.report(run.path)
    assert 'class="explained"' not in run.report.read_text(encoding="utf-8")
    card.write_text(sealed, encoding="utf-8")


def test_the_same_seed_draws_the_same_rows(run):
    first, second = (wt.explain_rows(one, rows=3) for one in (run, str(run.path)))  # or its folder
    assert [one.to_dict() for one in first] == [one.to_dict() for one in second]


def test_where_no_row_is_wrong_that_is_said(run, capsys):
    results = run.path / "results.json"
    kept = results.read_text(encoding="utf-8")
    without = json.loads(kept)
    del without["sections"]["errors"]
    results.write_text(json.dumps(without), encoding="utf-8")
    try:
        assert command(["explain", str(run.path), "--errors", "3"]) == 0
    finally:
        results.write_text(kept, encoding="utf-8")
    assert "--rows 5 explains others" in capsys.readouterr().err
    assert json.loads((run.path / "explanations.json").read_text(encoding="utf-8"))["rows"] == []


@pytest.mark.whole
def test_a_row_without_a_word_is_said_and_costs_no_other(bert, tmp_path):
    rows = reviews(60)
    rows[7]["text"] = "\u200b."
    made = judged(bert, "text_classification", tmp_path, rows)
    found = wt.explain_rows(made, rows=1000)
    assert len(found) == made.results["rows"]
    assert all(one.targets or one.warnings for one in found)


@pytest.mark.parametrize("task", [rarely("token_classification"), rarely("sft")])
def test_other_tasks_are_asked_without_their_answers(task, bert, llama, tmp_path):
    made = judged(llama if task == "sft" else bert, task, tmp_path, ROWS[task](60))
    (found,) = wt.explain_rows(made, rows=1, max_new_tokens=3)
    assert found.place
    assert found.expected
    if task == "sft":
        prompt, *rest = found.texts.values()
        assert prompt in {row["prompt"] for row in dialogues(60)}
        assert rest == [found.prediction["answer"]] * bool(found.prediction["answer"])
    page = made.report.read_text(encoding="utf-8")
    assert found.place in page
    if task == "token_classification":  # words that stand alone in the row are one text to a reader
        assert len(found.texts) > 2
        assert " ".join(found.texts.values()) in re.sub("<[^>]+>", "", page)


@pytest.mark.parametrize(
    ("given", "code"),
    [
        (["a film", "--errors", "2"], "wrong_usage"),
        (["--file", "x.csv", "--rows", "2"], "wrong_usage"),
        ([], "wrong_usage"),
    ],
)
def test_texts_or_test_rows(run, given, code, capsys):
    assert command(["explain", str(run.path), *given]) == 2
    assert f"[{code}]" in "".join(capsys.readouterr())


def test_a_run_that_is_not_judged_and_odd_numbers_are_refused(run, tmp_path):
    with pytest.raises(WeitiaoError) as caught:
        wt.explain_rows(run, errors=-1)
    assert caught.value.code == "wrong_usage"
    with pytest.raises(WeitiaoError) as caught:
        wt.explain_rows(run)
    assert caught.value.code == "wrong_usage"
    results = run.path / "results.json"
    kept = results.read_text(encoding="utf-8")
    results.unlink()
    try:
        with pytest.raises(WeitiaoError) as caught:
            wt.explain_rows(run, rows=1)
    finally:
        results.write_text(kept, encoding="utf-8")
    assert caught.value.code == "not_judged_yet"
