"""Which model before anything is tuned: probes beside scikit-learn and Transformers, the order and its reasons, odd files."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import yaml

from tests.conftest import BAD, FILL, GOOD, dialogues, reviews, tagged, write_csv, write_jsonl
from weitiao.cli import run as weitiao
from weitiao.core import registry
from weitiao.core.contracts import Example, Record
from weitiao.core.errors import WeitiaoError
from weitiao.study.choice import probe
from weitiao.study.choice.asked import ask
from weitiao.study.choice.choose import choose
from weitiao.study.choice.features import seen
from weitiao.study.choice.logme import logme
from weitiao.study.choice.look import asked, look
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


def chosen(file: Path, model: str, **words: Any) -> Any:
    return choose(file, costs=costs, models=[model], tell=quiet, **words)


def ground_of(file: Path, task: str = "") -> Any:
    recipe = asked(str(file), task=task, columns={}, overrides=[], progress=None)
    return look(recipe, rows=None, progress=None)


# ---------------------------------------------------------------------- the probe itself


def test_logme_is_the_largest_evidence_there_is():
    # The marginal likelihood written down as what it is, a Gaussian, and searched for its largest value.
    from scipy.optimize import minimize
    from scipy.stats import multivariate_normal

    rng = np.random.default_rng(0)
    features = rng.normal(size=(40, 6))
    numbers = features @ rng.normal(size=6) + rng.normal(size=40)
    classes = np.eye(2)[(features[:, 0] + rng.normal(size=40) > 0).astype(int)]
    for targets in (numbers[:, None], classes, features[:, :1] * 0.2 + 3):
        best = []
        for column in targets.T:

            def lost(logs: Any, column: Any = column) -> float:
                alpha, beta = np.exp(logs)
                spread = np.eye(40) / beta + features @ features.T / alpha
                return -float(multivariate_normal(np.zeros(40), spread).logpdf(column)) / 40

            best.append(-minimize(lost, [0.0, 0.0], method="Nelder-Mead", options={"xatol": 1e-6}).fun)
        assert logme(features, targets) == pytest.approx(np.mean(best), abs=1e-5)
    assert logme(features, np.ones((40, 1))) is None, "what is constant needs no explanation"
    assert math.isfinite(logme(rng.normal(size=(12, 30)), numbers[:12, None]))


def labelled(rows: int, vectors: Any) -> tuple[Any, list[Record], list[Example]]:
    names = ["no", "so", "yes"]
    labels = [names[place] for place in (vectors[:, :3] + 0.7).argmax(1)]
    records = [Record("a.csv", n, {"text": f"t{n}", "label": label}) for n, label in enumerate(labels)]
    task = registry.build("task", {"name": "text_classification"}).learn(records)
    return task, records, [Example({"input_ids": [1]}, target=names.index(label)) for label in labels]


def test_a_probe_of_labels_is_what_scikit_learn_finds():
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, PredefinedSplit
    from sklearn.preprocessing import StandardScaler

    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(150, 8)) * [1, 5, 1, 1, 9, 1, 1, 1] + 3
    noisy = vectors + rng.normal(size=vectors.shape)
    task, records, examples = labelled(150, vectors)
    fold_N = np.arange(150) % 3
    metric = registry.build("metric", {"name": "accuracy"})
    found = probe.folds_of(task, metric, records, examples, noisy, np.arange(150), fold_N)
    targets = np.array([one.target for one in examples])
    for fold in range(3):
        own, others = fold_N == fold, fold_N != fold
        scale = StandardScaler().fit(noisy[others])
        inner = PredefinedSplit(np.where(np.arange(others.sum()) % 5 == 0, 0, -1))
        grid = GridSearchCV(LogisticRegression(max_iter=2000), {"C": list(probe.COSTS)}, cv=inner)
        grid.fit(scale.transform(noisy[others]), targets[others])
        assert found[fold] == pytest.approx(grid.score(scale.transform(noisy[own]), targets[own]), abs=0.021)


def test_a_probe_of_numbers_and_of_several_labels_finds_what_stands_in_the_vectors():
    rng = np.random.default_rng(2)
    vectors, fold_N = rng.normal(size=(90, 4)), np.arange(90) % 3
    numbers = 100 + 20 * vectors[:, 0]
    records = [Record("a", n, {"text": f"t{n}", "label": float(y)}) for n, y in enumerate(numbers)]
    examples = [Example({"input_ids": [1]}, target=float(y)) for y in numbers]
    task, metric = (
        registry.build(shelf, {"name": name})
        for shelf, name in (("task", "text_regression"), ("metric", "mae"))
    )
    off = probe.folds_of(task, metric, records, examples, vectors, np.arange(90), fold_N)
    assert max(off) < 1, "in the units of the file, whose spread is 20"

    sets = [[name for name, x in zip(("a", "b"), row, strict=False) if x > 0] for row in vectors]
    records = [Record("a", n, {"text": f"t{n}", "label": own}) for n, own in enumerate(sets)]
    task = registry.build("task", {"name": "multi_label_classification"}).learn(records)
    examples = [Example({"input_ids": [1]}, target=task.goal(own)) for own in sets]
    metric = registry.build("metric", {"name": "f1_micro"})
    assert min(probe.folds_of(task, metric, records, examples, vectors, np.arange(90), fold_N)) > 0.8


def test_words_are_seen_as_transformers_sees_them(bert, tmp_path):
    import torch
    from transformers import AutoModel, AutoTokenizer

    from weitiao.models import load

    file = write_jsonl(tmp_path / "tagged.jsonl", tagged(60))
    ground = ground_of(file)
    loaded = load.load(bert, ground.task)
    records = list(ground.rows)[:5]
    examples = list(ground.task.encode(records, loaded.processor, limit=64))
    vectors, owner = seen(loaded, ground.task, examples, longest=64, batch_size=2)
    base, tokenizer = AutoModel.from_pretrained(bert).eval(), AutoTokenizer.from_pretrained(bert)
    for row, record in enumerate(records):
        words = record.values["tokens"]
        ids = tokenizer(words, is_split_into_words=True, return_tensors="pt")
        places = [ids.word_ids().index(word) for word in range(len(words))]
        with torch.inference_mode():
            states = base(**ids).last_hidden_state[0]
        assert np.allclose(vectors[owner == row], states[places].numpy(), atol=1e-5)
    said, sight = ask(bert, ground, progress=None)
    assert sight
    assert len(said["values"]) == 5
    assert min(said["values"]) > 0.5, "a toy's words differ by their embeddings alone"


def test_bits_for_a_byte_of_the_untuned_model(llama, tmp_path):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    file = write_jsonl(tmp_path / "dialogues.jsonl", dialogues(40))
    ground = ground_of(file)
    said, sight = ask(llama, ground, progress=None)
    assert sight is None
    model, tokenizer = (
        AutoModelForCausalLM.from_pretrained(llama).eval(),
        AutoTokenizer.from_pretrained(llama),
    )
    bits = size = 0.0
    for record, fold in zip(ground.rows, ground.fold_N, strict=True):
        if fold:
            continue
        turns = record.values["messages"] if "messages" in record.values else record.values["prompt"]
        whole = tokenizer.apply_chat_template(turns, tokenize=False)
        before = tokenizer.apply_chat_template(turns[:-1], tokenize=False, add_generation_prompt=True)
        ids = tokenizer(whole, add_special_tokens=False, return_tensors="pt")["input_ids"]
        start = len(tokenizer(before, add_special_tokens=False)["input_ids"])
        end = start + len(
            tokenizer(turns[-1]["content"] + "<|im_end|>", add_special_tokens=False)["input_ids"]
        )
        with torch.inference_mode():
            logs = model(ids).logits[0].double().log_softmax(-1)
        bits -= sum(float(logs[at - 1, ids[0, at]]) for at in range(start, end)) / math.log(2)
        size += len(turns[-1]["content"].encode())
    assert said["values"][0] == pytest.approx(bits / size, rel=1e-3)


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


def test_labels_that_nobody_could_learn(bert, tmp_path):
    rng = random.Random(0)
    rows = [{**row, "label": rng.choice(["good", "bad"])} for row in reviews(120)]
    assert "nothing_learnt" in codes(chosen(write_csv(tmp_path / "noise.csv", rows), bert))


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
    pairs = [
        {"prompt": word, "chosen": rng, "rejected": other}
        for word, rng, other in zip(FILL, GOOD, BAD, strict=False)
    ]
    with pytest.raises(WeitiaoError) as error:
        chosen(write_jsonl(tmp_path / "pairs.jsonl", pairs), bert)
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
