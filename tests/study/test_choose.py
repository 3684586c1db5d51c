"""Which model before anything is tuned: the order and its reasons, odd files."""

from __future__ import annotations

import json
import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import yaml

import weitiao as wt
from tests.compared import paired
from tests.conftest import (
    FILL,
    many_labels,
    rated,
    reviews,
    tagged,
    write_csv,
    write_jsonl,
)
from weitiao.cli import run as weitiao
from weitiao.core import registry
from weitiao.core.errors import WeitiaoError, fault
from weitiao.study.choice.choose import choose
from weitiao.study.choice.page import coded
from weitiao.study.choice.ranked import ranked

pytestmark = pytest.mark.whole


def quiet(event: str, **facts: Any) -> None:
    pass


def costs(recipe: Any, methods: Any, *, progress: Any = None) -> dict[str, Any]:
    """A forecast that needs no model: `full` takes twice as long."""
    return {
        name: SimpleNamespace(
            seconds=60.0 * (1 + (name == "full")), memory=10**9, disk=1, fits=True, free=2e9
        )
        for name in methods
    }


def chosen(file: Any, model: str, **words: Any) -> Any:
    return choose(file, costs=costs, models=[model], tell=quiet, **words)


# ---------------------------------------------------------------------- order


def candidate(model: str, values: list[float], *, seconds: float, fits: bool = True) -> dict[str, Any]:
    methods = [{"method": "lora", "seconds": seconds, "memory": 1, "disk": 1, "fits": fits, "why": ""}]
    return {"model": model, "values": values, "score": {"mean": float(np.mean(values))}, "methods": methods}


def test_the_order_goes_by_the_folds_then_by_time_and_what_fits_stands_first():
    metric = registry.build("metric", {"name": "accuracy"})
    ground: Any = SimpleNamespace(metric=metric, ratio=0.25)
    best = candidate("best", [0.90, 0.88, 0.91, 0.89, 0.90], seconds=100)
    equal = candidate("equal", [0.91, 0.85, 0.90, 0.90, 0.88], seconds=50)
    worse = candidate("worse", [0.70, 0.68, 0.71, 0.70, 0.69], seconds=1)
    large = candidate("large", [0.95, 0.94, 0.95, 0.95, 0.96], seconds=9, fits=False)
    assert [one["model"] for one in ranked([worse, best, equal], ground)] == ["equal", "best", "worse"]
    assert [one["model"] for one in ranked([worse, large, best], ground)] == ["best", "worse", "large"]
    # Ten points that five folds do not prove (p = 0.08; tuned, 0.87 and 0.80 of 800 test rows) make no two models equal.
    seen = candidate("seen", [0.825, 0.808, 0.867, 0.833, 0.875], seconds=200)
    short = candidate("short", [0.825, 0.725, 0.717, 0.733, 0.750], seconds=20)
    apart = np.subtract(seen["values"], short["values"])
    assert apart.mean() > apart.std(ddof=1) * np.sqrt(1 / 5 + 1 / 4)
    assert [one["model"] for one in ranked([short, seen], ground)] == ["seen", "short"]
    lost: Any = SimpleNamespace(metric=registry.build("metric", {"name": "mae"}), ratio=0.25)
    assert [one["model"] for one in ranked([best, worse], lost)] == ["worse", "best"], (
        "of errors less is better"
    )


# ---------------------------------------------------------------------- through the door


def test_a_file_is_chosen_for_and_the_recipe_trains(bert, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_csv(tmp_path / "reviews.csv", reviews(240))
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "config.json").write_text("{", encoding="utf-8")
    words = ["choose", "reviews.csv", "--models", f"{bert},{broken},nobody/nothing", "-o", "recipe.yaml"]
    words += ["--html", "choice.html", "--json", "train.num_train_epochs=1"]
    assert weitiao(words) == 0
    found = json.loads(capsys.readouterr().out)
    states = {one["model"]: one.get("code", one["state"]) for one in found["models"]}
    assert states == {bert: "asked", str(broken): "broken_file", "nobody/nothing": "hub_unreachable"}
    (model,) = (one for one in found["models"] if one["state"] == "asked")
    assert model["score"]["mean"] == pytest.approx(np.mean(model["values"]))
    assert model["about"]["parameters"] > 0
    assert not model["about"]["licence"]
    assert any("licence" in said for said in model["warned"])
    assert found["baselines"]["tfidf"]["score"]["mean"] > 0.9
    assert [one["code"] for one in found["instead"]] == ["words_suffice"]
    assert {one["method"] for one in found["candidates"]} == {"lora", "full", "head"}
    assert all(one["fits"] and one["seconds"] > 0 and one["memory"] > 0 for one in found["candidates"])

    page = Path("choice.html").read_text(encoding="utf-8")
    assert found["sentence"] in page
    assert "What <code>weitiao data check</code> says" in page
    assert "nobody/nothing" in page
    recipe = yaml.safe_load(Path("recipe.yaml").read_text(encoding="utf-8"))
    assert (recipe["model"], recipe["method"]["name"]) == (bert, "lora")
    assert recipe["train"]["num_train_epochs"] == 1
    quick = ["train.max_steps=2", "evaluate.resamples=100", "evaluate.baseline=none", "--quiet", "--json"]
    assert weitiao(["train", "recipe.yaml", *quick]) == 0
    capsys.readouterr()
    assert weitiao(words) == 2, "a recipe that lies there is not written over"
    assert "recipe.yaml" in capsys.readouterr().err


def test_limits_that_nothing_keeps(bert, tmp_path, capsys):
    file = write_csv(tmp_path / "reviews.csv", reviews(60))
    found = chosen(file, bert, minutes=0.5)
    assert found.recipe is None
    with pytest.raises(WeitiaoError) as error:
        found.write(tmp_path / "recipe.yaml")
    assert error.value.code == "nothing_fits"
    assert not (tmp_path / "recipe.yaml").exists()
    slower = chosen(file, bert, minutes=1.5)
    assert [one["method"] for one in slower.results["candidates"]] == ["lora", "head", "full"]
    assert "minutes" in slower.results["candidates"][-1]["why"]
    assert not any(one["fits"] for one in chosen(file, bert, memory_mb=999).results["candidates"])


def test_words_in_chinese(bert, tmp_path, monkeypatch):
    monkeypatch.setenv("WEITIAO_LANG", "zh")
    found = chosen(write_csv(tmp_path / "reviews.csv", reviews(60)), bert)
    assert "先在" in found.results["sentence"]
    page = found.write_page(tmp_path / "page.html").read_text(encoding="utf-8")
    assert "冻结的模型看到什么" in page


def test_every_kind_of_rows_that_is_probed(bert, llama, vit, tmp_path):
    places = {
        "text_regression": (write_csv(tmp_path / "rated.csv", rated(60)), bert),
        "multi_label_classification": (write_jsonl(tmp_path / "many.jsonl", many_labels(60)), bert),
        "embedding": (write_jsonl(tmp_path / "pairs.jsonl", paired(40)), bert),
        "language_modeling": (
            write_jsonl(tmp_path / "texts.jsonl", [{"text": row["text"]} for row in reviews(40)]),
            llama,
        ),
        "image_classification": (shades(tmp_path / "shades"), vit),
    }
    for task, (rows, model) in places.items():
        found = chosen(rows, model, task=task)
        (own,) = found.results["models"]
        assert own["state"] == "asked", (task, own.get("why"))
        assert len(own["values"]) == found.results["probe"]["folds"] == 5, task
        assert np.isfinite(own["values"]).all(), task
        heads = task not in ("embedding", "language_modeling")
        assert (own["logme"] is not None) == heads, task
        assert ("head" in {one["method"] for one in found.results["candidates"]}) == heads, task
        assert found.recipe.task["name"] == task
        if task == "image_classification":
            assert np.mean(own["values"]) > 0.9, "dark and light are told apart by any eyes"
            assert "pixels" in found.instead[0]["text"], "who needs no tuning is called by name"


def shades(folder: Path) -> Path:
    """Dark and light pictures, a folder a class."""
    from PIL import Image

    rng = np.random.default_rng(0)
    for label, level in (("dark", 40), ("light", 210)):
        (folder / label).mkdir(parents=True)
        for number in range(20):
            noise = rng.normal(level, 15, size=(12, 12, 3)).clip(0, 255).astype(np.uint8)
            Image.fromarray(noise).save(folder / label / f"{number}.png")
    return folder


# ---------------------------------------------------------------------- when tuning is not the answer


def dated(rows: int, *, turns: bool) -> list[dict[str, str]]:
    """Reviews of 200 days; in the later half good words may be bad ones."""
    found = []
    for day, row in enumerate(reviews(rows)):
        label = row["label"]
        if turns and day >= rows // 2:
            label = {"good": "bad", "bad": "good"}[label]
        found.append({"day": f"2026-{1 + day % 12:02}-{1 + day // 12 % 28:02}", **row, "label": label})
    for day, row in enumerate(found):
        row["day"] = f"{2024 + day // 336}-{1 + day // 28 % 12:02}-{1 + day % 28:02}"
    return found


def codes(found: Any) -> list[str]:
    return [one["code"] for one in found.instead]


def test_rows_that_change_with_time_are_told(bert, tmp_path):
    turned = chosen(write_csv(tmp_path / "turned.csv", dated(160, turns=True)), bert)
    assert turned.results["data"]["dates"] == "day"
    assert "drift" in codes(turned)
    still = chosen(write_csv(tmp_path / "still.csv", dated(160, turns=False)), bert)
    assert still.results["data"]["dates"] == "day"
    assert "drift" not in codes(still)


def mixed(rows: list[dict[str, Any]], answer: str) -> list[dict[str, Any]]:
    """The same answers, dealt anew by chance."""
    answers = random.Random(1).sample([row[answer] for row in rows], len(rows))
    return [{**row, answer: other} for row, other in zip(rows, answers, strict=True)]


def sides(rows: int, *, sense: bool) -> list[dict[str, str]]:
    """Two reviews: the good one is preferred, or chance prefers."""
    rng, found = random.Random(0), []
    good, bad = (
        [row["text"] for row in reviews(4 * rows) if row["label"] == kind] for kind in ("good", "bad")
    )
    for pair in zip(good[:rows], bad[:rows], strict=True):
        chosen_, rejected = pair if sense else rng.sample(pair, 2)
        found.append({"prompt": " ".join(rng.sample(FILL, 6)), "chosen": chosen_, "rejected": rejected})
    return found


def test_answers_that_nobody_could_learn_are_told_for_every_kind_of_rows(bert, llama, vit, tmp_path):
    labels, many, words = reviews(120), many_labels(120), tagged(60)
    rest = iter(mixed([{"tag": tag} for row in words for tag in row["tags"]], "tag"))
    noise = [{**row, "tags": [next(rest)["tag"] for _ in row["tags"]]} for row in words]
    cases = {
        "text_classification": (bert, labels, mixed(labels, "label")),
        "multi_label_classification": (bert, many, mixed(many, "labels")),
        "token_classification": (bert, words, noise),
        "dpo": (llama, sides(60, sense=True), sides(60, sense=False)),
    }
    for task, (model, sound, other) in cases.items():
        for rows, expected in ((sound, False), (other, True)):
            file = write_jsonl(tmp_path / f"{task}-{expected}.jsonl", rows)
            found = chosen(file, model, task=task)
            assert ("nothing_learnt" in codes(found)) == expected, (task, found.results["baselines"])
    assert found.results["models"][0]["score"] is None, (
        "nothing is known of a model for sides before it is tuned"
    )
    assert found.recipe.task["name"] == "dpo"
    pairs = [{"anchor": row["text"], "positive": row["text"]} for row in reviews(40)]
    found = chosen(write_jsonl(tmp_path / "same.jsonl", pairs), bert, task="embedding")
    assert {"words_suffice", "model_suffices"} & set(codes(found)), (
        "who finds the same text need not be tuned"
    )


def test_a_column_is_no_markup_on_the_page():
    assert coded("by `<b>day` & more") == "by <code>&lt;b&gt;day</code> &amp; more"


def test_labels_that_come_once(bert, tmp_path, recwarn):
    rows = [{**row, "label": f"ticket {number}"} for number, row in enumerate(reviews(60))]
    found = choose(write_csv(tmp_path / "once.csv", rows), costs=refusing, models=[bert], tell=quiet)
    assert codes(found) == ["labels_once"]
    assert "embedding" in found.instead[0]["text"]
    with pytest.raises(WeitiaoError) as error:
        found.text()
    assert error.value.code == "too_few_rows", (
        "what stands against every method is told, and not that room is wanting"
    )
    assert not [one for one in recwarn if "unique classes" in str(one.message)]


def refusing(recipe: Any, methods: Any, *, progress: Any = None) -> dict[str, Any]:
    """A forecast of rows that cannot be split."""
    return {name: fault("too_few_rows", rows=60, needed=80, why="none would be left") for name in methods}


def test_rows_in_memory_and_several_files(bert, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = reviews(40)
    found = wt.choose(rows, models=[bert], tell=quiet)
    (file,) = found.recipe.data.train
    written = [json.loads(line) for line in Path(file).read_text(encoding="utf-8").splitlines()]
    assert (written, Path(found.recipe.output_dir)) == (rows, Path(file).parent.parent)
    assert file not in found.results["file"]
    with pytest.raises(WeitiaoError, match="row 2 of the list"):
        wt.choose([{"text": "a", "label": "x"}, {"text": "", "label": "y"}], models=[bert], tell=quiet)
    halves = [write_csv(tmp_path / f"{n}.csv", rows[n::2]) for n in range(2)]
    assert chosen(halves, bert).results["data"]["rows"] == 40


def test_numbers_that_are_taken_for_labels(bert, tmp_path):
    file = write_csv(tmp_path / "prices.csv", [{**row, "label": n % 12} for n, row in enumerate(reviews(72))])
    assert "numbers_as_labels" in codes(chosen(file, bert))
    assert "numbers_as_labels" not in codes(chosen(file, bert, task="text_regression"))


def test_hardly_any_rows(bert, tmp_path):
    found = chosen(write_csv(tmp_path / "few.csv", reviews(12)), bert)
    assert "unsuited_few" in codes(found)
    assert found.results["probe"]["folds"] >= 2


# ---------------------------------------------------------------------- odd files


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ("", "empty_file"),
        ("text,label\n", "empty_file"),
        ("text,label\na b,x\nc d,x\ne f,x\n", "too_few_labels"),
    ],
)
def test_odd_files(bert, tmp_path, content, code):
    file = tmp_path / "odd.csv"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(WeitiaoError) as error:
        chosen(file, bert)
    assert error.value.code == code


def test_what_cannot_be_asked_is_told(bert, tmp_path, review_file):
    with pytest.raises(WeitiaoError) as error:
        chosen(write_jsonl(tmp_path / "asked.jsonl", [{"prompt": word} for word in FILL]), bert, task="grpo")
    assert error.value.code == "unprobed_task"
    assert "text_classification" in str(error.value)
    with pytest.raises(WeitiaoError) as error:
        chosen(review_file, "minilm-l7")
    assert error.value.code == "no_such_model"


def test_the_plans_of_several_methods_are_those_of_each(bert, review_file, tmp_path):
    from weitiao.core.recipe import Recipe
    from weitiao.forecast.plan import plan, plans

    tree = {"model": bert, "task": "text_classification", "data": {"train": str(review_file)}}
    recipe = Recipe.read({**tree, "output_dir": str(tmp_path / "run")})
    found = plans(recipe, ["lora", "head", "prompt", "nobody"])
    assert found["nobody"].code == "unknown_name"
    for name in ("head", "prompt"):
        alone = plan({**recipe.model_dump(), "method": name})
        assert (found[name].stages, found[name].steps) == (alone.stages, alone.steps)
