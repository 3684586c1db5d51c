"""What Python says on standard error while it goes on: a bar where one can move, lines elsewhere, or the caller's own."""

from __future__ import annotations

import io
import os
import re
import sys
import types
from contextlib import suppress

import pytest
from rich.console import Console

import weitiao as wt
from weitiao.stages import events as room
from weitiao.stages.events import silent
from weitiao.terminal import screen, show


@pytest.fixture(scope="module")
def run(bert, tmp_path_factory):
    """A run of two steps."""
    from tests.conftest import reviews, small_run, write_csv

    folder = tmp_path_factory.mktemp("shown")
    rows = write_csv(folder / "reviews.csv", reviews(60))
    recipe = small_run(bert, "text_classification", rows, folder / "run", batch=8, judge={"untuned": False})
    return wt.train(recipe(max_steps=2, eval_strategy="no", load_best_model_at_end=False), tell=silent)


@pytest.fixture
def terminal(monkeypatch):
    """Standard error as a terminal of 90 columns; what is drawn on it."""
    heard = io.StringIO()
    console = Console(file=heard, force_terminal=True, width=90, color_system=None)
    monkeypatch.setattr(screen, "err", console)
    return heard


def test_who_listens_himself_hears_alone(run, capsys):
    events: list[str] = []
    wt.evaluate(run, tell=lambda event, **facts: events.append(event))
    wt.evaluate(run, tell=silent)
    assert capsys.readouterr().err == ""
    assert events[:2] == ["asked", "judging"]


def test_nobody_listens_and_standard_error_does(run, capsys):
    wt.evaluate(run)
    said = capsys.readouterr()
    assert "judge 9 locked test rows" in said.err
    assert said.out == ""


def test_judging_moves_a_bar_in_a_terminal(run, terminal):
    wt.evaluate(run)
    assert re.search(r"tuned +━+ 100% 9/9", terminal.getvalue())
    assert "\x1b[?25h" in terminal.getvalue(), "the cursor is shown again"


def test_a_few_texts_are_labelled_without_a_bar_and_many_with_one(run, terminal, monkeypatch):
    texts = ["a great film"] * 200  # several batches of 64
    run.predict(texts[:1])
    assert terminal.getvalue() == ""
    monkeypatch.setattr(room, "PATIENCE_S", -1.0)
    run.predict(texts[:1])
    assert terminal.getvalue() == "", "one batch is over when it is heard of"
    run.predict(texts)
    assert re.search(r"label ━+ 100% 200/200", terminal.getvalue())
    drawn, heard = len(terminal.getvalue()), []
    run.predict(texts, progress=lambda done, total: heard.append((done, total)))
    assert heard[-1] == (200, 200)
    assert len(terminal.getvalue()) == drawn, "who hears it himself sees no bar"


def test_the_key_is_heeded_by_what_is_labelled(run, terminal, monkeypatch):
    monkeypatch.setattr(room, "PATIENCE_S", -1.0)
    monkeypatch.setattr(show, "QUIET_S", 0.0)
    recipe = run.path / "recipe.yaml"
    before = recipe.read_text()
    assert "disable_tqdm: false" in before
    recipe.write_text(before.replace("disable_tqdm: false", "disable_tqdm: true"))
    wt.load(run.path).predict(["a great film"] * 200)
    recipe.write_text(before)
    assert "label: 200/200\n" in terminal.getvalue()
    assert "━" not in terminal.getvalue()


def test_a_run_goes_on_with_another_bar(run, capsys):
    """The key is no difference between two recipes; another key is."""
    again = wt.train(run.path / "recipe.yaml", overrides=["train.disable_tqdm=true"], resume=True)
    assert again.recipe.train.disable_tqdm
    assert "changed" not in (run.path / "log.jsonl").read_text()
    with pytest.raises(wt.WeitiaoError, match=r"other_recipe"):
        wt.train(run.path / "recipe.yaml", overrides=["train.logging_steps=3"], resume=True)


def test_a_notebook_s_bar_is_one_output_that_is_drawn_anew(monkeypatch):
    """IPython's place is taken by a recorder: it is no dependency of ours."""
    drawn: list[tuple[str, dict]] = []

    class Handle:
        def update(self, page, *, raw):
            drawn.append(("again", page))

    def display(page, *, raw, display_id):
        drawn.append(("first", page))
        return Handle()

    ipython = types.ModuleType("IPython.display")
    ipython.display = display
    monkeypatch.setitem(sys.modules, "IPython", types.ModuleType("IPython"))
    monkeypatch.setitem(sys.modules, "IPython.display", ipython)
    monkeypatch.setattr(screen, "err", Console(file=io.StringIO(), force_jupyter=True))
    with show.Show() as listener:
        for done in range(101):
            listener.bar("train", done, 100, note=f"{done}/100")
    assert [how for how, _ in drawn][:2] == ["first", "again"]
    assert len(drawn) < 10, "a page every quarter of a second is enough"
    page = drawn[-1][1]
    assert re.search(r"train ━+ 100% 100/100", page["text/plain"])
    assert "<pre" in page["text/html"]
    assert "100/100" in page["text/html"]
    drawn.clear()
    with show.Show(still=True) as listener:
        listener.bar("train", 1, 2)
    assert not drawn


def test_a_dumb_terminal_gets_lines(monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setattr(screen, "err", Console(file=io.StringIO(), force_terminal=True))
    assert not show.Show().live


def test_what_is_printed_meanwhile_goes_where_it_went(terminal, capsys):
    with show.Show() as drawn:
        drawn.bar("train", 1, 2)
        print("a result")
    assert capsys.readouterr().out == "a result\n"
    assert "a result" not in terminal.getvalue()


def test_a_reader_who_has_left_ends_nothing(run, monkeypatch):
    """What is judged goes on when standard error is a pipe without a reader, and standard output stays as it is."""
    ours, theirs = os.pipe()
    os.close(ours)
    pipe = os.fdopen(theirs, "w", buffering=1)
    monkeypatch.setattr(sys, "stderr", pipe)
    monkeypatch.setattr(screen.err, "quiet", False)
    (run.path / "results.json").unlink()
    assert wt.evaluate(run).results["rows"] == 9
    assert screen.err.quiet, "or the pipe was read after all"
    with suppress(BrokenPipeError):  # what is left in its buffer
        pipe.close()
