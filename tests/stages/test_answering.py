"""A run that answers: all its test answers are kept and judged, and prompts of any form are answered."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import dialogues, small_run, write_csv, write_jsonl
from tests.talking import wordy as wordy
from weitiao import api
from weitiao.cli import run as cli
from weitiao.core.errors import WeitiaoError
from weitiao.core.run import read_lines

pytestmark = pytest.mark.whole  # a training each


@pytest.fixture(scope="module")
def made(wordy, tmp_path_factory) -> api.Run:
    folder = tmp_path_factory.mktemp("answers")
    rows = write_jsonl(folder / "talk.jsonl", dialogues(60))
    judge = {"samples": 2, "max_new_tokens": 6, "answers": None}
    recipe = small_run(wordy, "sft", rows, folder / "run", batch=8, judge=judge)
    train = {"max_steps": 3, "learning_rate": 0.01, "eval_strategy": "no", "load_best_model_at_end": False}
    return api.train(recipe(method="lora", **train))


def said(run: api.Run) -> list[dict]:
    return read_lines(run.path / "predictions.jsonl")


# --- judged by its answers


def test_every_test_row_is_answered_by_all_as_alone(made):
    lines = said(made)
    assert len(lines) == made.results["rows"] == made.results["answers"]["rows"] > 5
    for line in lines:
        turns = [{"role": "user", "content": line["prompt"]}]
        assert line["tuned"]["answer"] == made.answer(turns, max_new_tokens=6)
        assert line["nearest"]["answer"]
    with made.untuned() as base:
        for line in lines:
            assert line["untuned"]["answer"] == base.answer(line["prompt"], max_new_tokens=6)
    assert len({line["tuned"]["answer"] for line in lines}) > 1


def test_answers_are_judged_beside_the_untuned_and_the_nearest_row(made):
    metrics = made.results["metrics"]
    lines = said(made)
    for system in ("tuned", "untuned", "nearest"):
        right = [line[system]["answer"].split() == line["reference"].split() for line in lines]
        assert metrics[system]["exact_match"]["value"] == pytest.approx(sum(right) / len(right))
    assert metrics["nearest"]["token_f1"]["value"] > metrics["untuned"]["token_f1"]["value"]
    assert metrics["nearest"]["perplexity"]["value"] is None
    assert metrics["tuned"]["valid_json"]["why"]
    assert made.results["primary"] == "perplexity"
    assert "ROUGE-L" in made.report.read_text(encoding="utf-8")
    per_byte, loss = (metrics["tuned"][name]["value"] for name in ("bits_per_byte", "loss"))
    tokens = sum(line["tuned"]["tokens"] for line in lines)
    learnt = sum(len(line["reference"].encode()) for line in lines)
    assert per_byte == pytest.approx(loss * tokens / learnt / 0.6931471805599453)


def test_what_was_not_answered_or_not_to_the_end_is_said(made, tmp_path):
    recipe = Path(made.path / "recipe.yaml").read_text(encoding="utf-8")
    few = recipe.replace("answers: null", "answers: 3").replace("max_new_tokens: 6", "max_new_tokens: 1")
    try:
        (made.path / "recipe.yaml").write_text(few, encoding="utf-8")
        run = api.evaluate(made.path)
        assert sum("answer" in line["tuned"] for line in said(run)) == 3
        first, second = run.remarks
        assert first.startswith(f"3 of {run.results['rows']} test rows")
        assert second.startswith("3 of 3 answers")
        page = run.report.read_text(encoding="utf-8")
        assert first in page
        assert second in page
        assert {len(line["tuned"].get("answer", "").split()) for line in said(run)} == {0, 1}
    finally:
        (made.path / "recipe.yaml").write_text(recipe, encoding="utf-8")
        api.evaluate(made.path)


# --- prompts of any form

FORMS = {
    "text": "the film",
    "turns": [{"role": "user", "content": "the film"}],
    "row": {"prompt": "the film"},
    "row with an answer": {"prompt": "the film", "completion": "never read"},
    "messages": {
        "messages": [{"role": "user", "content": "the film"}, {"role": "assistant", "content": "no"}]
    },
    "sharegpt": {"conversations": [{"from": "human", "value": "the film"}]},
    "alpaca": {"instruction": "the film"},
}


@pytest.mark.parametrize("form", FORMS)
def test_a_row_less_its_answer_is_answered(made, form):
    alone = made.answer("the film", max_new_tokens=5)
    (found,) = made.predict(FORMS[form], max_new_tokens=5)
    assert found["answer"] == alone


def test_many_rows_in_their_order(made):
    asked = ["the film", "great music and plot", "story", "very dull ending the scene was quite boring"]
    alone = [made.answer(text, max_new_tokens=5) for text in asked]
    assert len(set(alone)) > 1
    for given in (
        asked,
        [{"prompt": text} for text in asked],
        [[{"role": "user", "content": text}] for text in asked],
    ):
        assert [one["answer"] for one in made.predict(given, max_new_tokens=5)] == alone
    heard = []
    made.predict(asked, max_new_tokens=5, progress=lambda *seen: heard.append(seen))
    assert heard == [(done, 4) for done in range(1, 5)]


def test_files_of_prompts_from_the_command_line(made, tmp_path, capsys):
    rows = dialogues(5, seed=3)
    alone = [made.answer(row["prompt"], max_new_tokens=4) for row in rows]
    jsonl, table = write_jsonl(tmp_path / "p.jsonl", rows), tmp_path / "p.csv"
    write_csv(table, [{"id": str(n), "question": row["prompt"]} for n, row in enumerate(rows)])
    text = tmp_path / "p.txt"
    text.write_text("".join(row["prompt"] + "\n" for row in rows), encoding="utf-8")
    words = ["predict", str(made.path), "--max-new-tokens", "4"]
    for file, more in ((jsonl, []), (table, ["--columns", "prompt=question"]), (text, [])):
        assert cli([*words, "--file", str(file), *more, "--json"]) == 0
        assert [json.loads(line)["answer"] for line in capsys.readouterr().out.splitlines()] == alone
        output = tmp_path / f"{file.suffix[1:]}-out.jsonl"
        assert cli([*words, "--file", str(file), *more, "--output", str(output)]) == 0
        assert [line["predicted_answer"] for line in read_lines(output)] == alone
        capsys.readouterr()


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"prompt": " "}, "bad_given"),
        ({"messages": []}, "bad_given"),
        ({"messages": "words"}, "bad_given"),
        ({"messages": [{"role": "user"}]}, "bad_given"),
        ({"question": "the film"}, "no_asked_column"),
        ([{"prompt": "x"}, "y"], "not_texts"),
        (7, "not_texts"),
    ],
)
def test_what_cannot_be_asked_is_said_before_anything_is_answered(made, given, code):
    with pytest.raises(WeitiaoError) as caught:
        made.predict(given)
    assert caught.value.code == code


def test_a_prompt_that_fills_the_context_gets_no_answer_and_says_so(made):
    long = " ".join(["film"] * 100)
    found = made.predict([long, "the film"], max_new_tokens=3)
    assert found[0] == {"answer": "", "ending": "full"}
    assert found[1]["answer"] == made.answer("the film", max_new_tokens=3)
    # 64 positions, 7 of them the template's.
    nearly = made.predict(" ".join(["film"] * 55), max_new_tokens=30)[0]
    assert len(nearly["answer"].split()) <= 2


def test_draws_are_those_of_their_seed(made):
    def drawn(**words) -> str:
        return made.answer("the film", max_new_tokens=8, sample=True, temperature=3.0, **words)

    assert drawn(seed=1) == drawn(seed=1)
    assert len({drawn(seed=seed) for seed in range(6)}) > 2
    greedy = made.answer("the film", max_new_tokens=8)
    assert drawn(seed=1, top_k=1) == drawn(seed=2, top_p=1e-9) == greedy
    assert made.answer("the film", max_new_tokens=8, sample=True, temperature=1e-4, seed=3) == greedy


@pytest.mark.parametrize("words", [{"max_new_tokens": 0}, *({"sample": True, k: 0} for k in ("temperature", "top_k", "top_p"))])  # fmt: skip
def test_numbers_out_of_range_are_refused(made, words):
    with pytest.raises(WeitiaoError, match="wrong_usage"):
        made.answer("the film", **words)
