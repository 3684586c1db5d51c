"""What a model that writes knew of other texts before it was tuned, and what is left of it afterwards."""

from __future__ import annotations

import json
import math
import random
from typing import Any

import pytest

import weitiao as wt
from tests.conftest import BAD, FILL, GOOD, small_run, write_jsonl
from weitiao.core.results import Results
from weitiao.evaluate import general

ORDER = (*FILL, *GOOD)


def told(rows: int, *, words: tuple[str, ...], seed: int) -> list[str]:
    """Texts in which each word is followed by the one that follows it in `words`."""
    rng = random.Random(seed)
    starts = [(rng.randrange(len(words)), rng.randint(8, 14)) for _ in range(rows)]
    return [" ".join(words[(start + i) % len(words)] for i in range(size)) for start, size in starts]


ALIKE = {"near_duplicates": "keep"}
TUNED: dict[str, Any] = {
    "method": "full",
    "learning_rate": 2e-2,
    "max_steps": 60,
    "eval_strategy": "no",
    "save_strategy": "no",
    "load_best_model_at_end": False,
}


@pytest.fixture(scope="module")
def knowing(llama, tmp_path_factory) -> str:
    """A toy that has learnt how words follow one another."""
    folder = tmp_path_factory.mktemp("knowing")
    rows = write_jsonl(folder / "texts.jsonl", [{"text": t} for t in set(told(200, words=ORDER, seed=0))])
    judge = {"untuned": False, "general_text": "none"}
    recipe = small_run(llama, "language_modeling", rows, folder / "run", batch=8, judge=judge)
    return str(wt.train(recipe(**TUNED, data=ALIKE)).merge(folder / "model"))


@pytest.fixture
def tuned(knowing, tmp_path):
    """Train it on other texts, and look at those it knows."""
    texts = told(12, words=ORDER, seed=1)
    (tmp_path / "known.txt").write_text("\n".join(texts) + "\n")

    def trained(rows: list[str], **words: Any):
        file = write_jsonl(tmp_path / "rows.jsonl", [{"text": text} for text in set(rows)])
        judge = {"general_text": str(tmp_path / "known.txt"), "answers": 0, "samples": 0}
        judge |= words.pop("evaluate", {})
        recipe = small_run(knowing, "language_modeling", file, tmp_path / "run", batch=8, judge=judge)
        return wt.train(recipe(**{**TUNED, "data": ALIKE, **words})), texts

    return trained


def test_what_is_forgotten_is_named_text_by_text(tuned):
    import torch

    other = told(120, words=tuple(reversed((*ORDER, *BAD))), seed=2)
    run, texts = tuned(other)
    found = run.results["general"]
    Results.model_validate(json.loads((run.path / "results.json").read_text()), strict=True)
    assert all(text["known"] for text in found["texts"])
    assert all(text["tuned"] > text["untuned"] for text in found["texts"])
    # Perplexity by Transformers alone, of one text at a time.
    rises = []
    with run.untuned() as before, torch.inference_mode():
        for text, shown in zip(texts, found["texts"], strict=True):
            perplexity = {}
            for name, model in (("untuned", before.tuned), ("tuned", run.tuned)):
                ids = torch.tensor([[*model.processor(text)["input_ids"], model.processor.eos_token_id]])
                perplexity[name] = math.exp(model.model(ids, labels=ids).loss.item())
                assert shown[name] == pytest.approx(perplexity[name], rel=1e-4)
            rises.append(perplexity["tuned"] / perplexity["untuned"])
    assert found["rise"]["value"] == pytest.approx(math.prod(rises) ** (1 / len(rises)), rel=1e-3)
    (forgot,) = (one for one in run.results["findings"] if one["name"] == "forgot")
    assert forgot["numbers"]["texts"] == len(texts)
    assert forgot["numbers"]["low"] > 1.1
    assert any("replay" in remark for remark in run.remarks)
    page = run.report.read_text()
    assert "replay" in page
    assert all(text[:60] in page for text in texts)
    table = run.results["sections"]["general"]["rows"]
    assert [row["values"][:2] for row in table] == [[one["untuned"], one["tuned"]] for one in found["texts"]]


def test_who_goes_on_with_what_it_knew_has_forgotten_nothing(tuned):
    run, _ = tuned(told(120, words=ORDER, seed=3), learning_rate=1e-3, max_steps=15)
    assert not [one for one in run.results["findings"] if one["name"] == "forgot"]
    assert run.results["general"]["rise"]["low"] < 1.1
    assert any("12 general texts" in remark for remark in run.remarks)


@pytest.mark.whole
def test_nothing_is_asked_where_it_is_not_wanted_and_no_file_is_no_end(tuned, tmp_path):
    with pytest.raises(wt.WeitiaoError) as gone:
        tuned(told(60, words=ORDER, seed=3), max_steps=1, evaluate={"general_text": "gone.txt"})
    assert gone.value.code == "file_missing"
    (tmp_path / "other.csv").write_text("words\na\nb\n")
    with pytest.raises(wt.WeitiaoError) as unlike:
        tuned(
            told(60, words=ORDER, seed=3), max_steps=1, evaluate={"general_text": str(tmp_path / "other.csv")}
        )
    assert "general_text" in str(unlike.value)
    run, _ = tuned(told(60, words=ORDER, seed=3), max_steps=1)
    (tmp_path / "known.txt").unlink()
    again = wt.evaluate(run.path).results
    assert again["general"] is None
    assert [one["what"] for one in again["missing"]] == ["general"]


def test_the_texts_that_travel_along_are_short_and_of_both_languages():
    texts = general.texts()
    assert len(texts) == len(set(texts)) == 20
    assert sum(map(len, texts)) < 5000
    assert sum(any("一" <= letter <= "鿿" for letter in text) for text in texts) == 10


def test_texts_of_which_nothing_was_known_do_not_count():
    asked = [f"text {i}" for i in range(4)]
    before = [(10 * math.log(64), 10), (12.0, 10), (12.0, 10), (float("nan"), 10)]
    after = [(60.0, 10), (13.0, 10), (15.0, 10), (20.0, 10)]
    words = {"vocabulary": 64, "confidence": 0.95}
    found = general.compared(asked, before, after, unknown=[0, 0, 0, 0], **words)
    assert [text["known"] for text in found["texts"]] == [False, True, True]
    assert found["rise"]["value"] == pytest.approx(math.exp(0.2))
    # Two differences, 0.1 and 0.3: t of one degree of freedom, 12.706, times 0.1.
    assert found["rise"]["high"] == pytest.approx(math.exp(0.2 + 1.2706), rel=1e-3)
    assert general.compared(asked, before, after, unknown=[1, 1, 1, 1], **words)["rise"] is None
