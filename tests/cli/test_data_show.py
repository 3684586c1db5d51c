"""`weitiao data show`: from a recipe or a file, in a terminal, as JSON and as a page, without weights."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import dialogues, reviews, write_csv, write_jsonl
from weitiao.cli import run


@pytest.fixture
def show(tmp_path, monkeypatch, capsys, llama):
    """`show("talks.jsonl", ...)`: (exit code, standard output, standard error), in a folder with rows."""
    monkeypatch.chdir(tmp_path)
    rows = dialogues(6)
    rows[2]["completion"] = None
    write_jsonl(tmp_path / "talks.jsonl", rows)
    write_csv(tmp_path / "reviews.csv", reviews(10))
    (tmp_path / "recipe.yaml").write_text(
        f"model: {llama}\ntask: sft\noutput_dir: run\ndata: {{train: talks.jsonl, max_length: 12}}\n"
    )

    def call(*words: str):
        code = run(["data", "show", *words])
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


def test_a_file_with_a_model(show, llama, tmp_path):
    code, out, _ = show("talks.jsonl", "--model", llama, "--rows", "2")
    assert code == 0
    assert out.count("talks.jsonl line") == 2
    answer = dialogues(6)[0]["completion"]
    assert f"{answer.split()[0]}" in out
    assert "<|im_end|>" in out
    assert not (tmp_path / "run").exists()


def test_json_says_token_by_token(show, llama):
    code, out, err = show("talks.jsonl", "--model", llama, "--rows", "1", "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    (row,) = found["rows"]
    trained = " ".join(piece["text"].strip() for piece in row["pieces"] if piece["state"] == "trained")
    assert trained.split() == [*dialogues(6)[0]["completion"].split(), "<|im_end|>"]
    assert (row["file"], row["line"], found["limit"]) == ("talks.jsonl", 1, 64)
    (notice,) = found["notices"]
    assert notice.startswith("1 rows cannot be used and are not shown")


def test_a_recipe_names_model_task_and_limit(show):
    code, out, _ = show("recipe.yaml", "--json", "--rows", "3")
    assert code == 0
    assert {row["tokens"] + row["lost"] > 12 for row in json.loads(out)["rows"]} == {True}
    assert {row["tokens"] for row in json.loads(out)["rows"]} == {12}
    _, out, _ = show("recipe.yaml", "data.max_length=20", "--json")
    assert json.loads(out)["limit"] == 20


def test_a_line_is_shown_even_when_it_cannot_be_used(show, llama):
    code, out, _ = show("talks.jsonl", "--model", llama, "--line", "3")
    assert code == 0
    assert "line 3: cannot be used: `completion` is missing" in out
    code, _, err = show("talks.jsonl", "--model", llama, "--line", "99")
    assert code == 3
    assert "[no_such_row] talks.jsonl has no row at line 99" in err


def test_the_page_is_written(show, llama):
    code, out, _ = show("talks.jsonl", "--model", llama, "--html", "rows.html")
    assert (code, out) == (0, "rows.html\n")
    assert 'class="trained' in Path("rows.html").read_text(encoding="utf-8")


def test_labelled_rows(show, bert):
    code, out, _ = show("reviews.csv", "--model", bert, "--rows", "1")
    assert code == 0
    assert f"label {reviews(10)[0]['label']}" in out
    assert "[CLS]" in out


def test_no_weights_are_read(show, bert, monkeypatch):
    import transformers

    def refuse(*words, **options):
        raise AssertionError("a model was loaded")

    monkeypatch.setattr(transformers.PreTrainedModel, "from_pretrained", refuse)
    assert show("reviews.csv", "--model", bert)[0] == 0


def test_a_model_that_is_not_there(show):
    code, _, err = show("reviews.csv", "--model", "./nothing")
    assert code == 4
    assert "[no_such_model]" in err
