"""A base that says itself how its vectors are made: it is opened so, and saved again so."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from torch.nn import functional as F

import weitiao as wt
from tests.conftest import paired, write_jsonl
from weitiao.core.errors import WeitiaoError

PROMPTS = {"query": "the film ", "document": "a plot ", "clustering": "good "}
NAMES = {
    "mean": ("pooling_mode_mean_tokens", "mean"),
    "cls": ("pooling_mode_cls_token", "cls"),
    "last": ("pooling_mode_lasttoken", "lasttoken"),
}


def base(bert: Path, folder: Path, pooling: dict, *, behind: tuple[str, ...] = ("Normalize",)) -> str:
    """The toy with the files of sentence-transformers, as its own versions write them."""
    shutil.copytree(bert, folder)
    kinds = ("Transformer", "Pooling", *behind)
    modules = [
        {
            "idx": n,
            "name": str(n),
            "path": f"{n}_{kind}" if n else "",
            "type": f"sentence_transformers.models.{kind}",
        }
        for n, kind in enumerate(kinds)
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"word_embedding_dimension": 32, **pooling}))
    (folder / "config_sentence_transformers.json").write_text(
        json.dumps({"prompts": PROMPTS, "default_prompt_name": "clustering"})
    )
    return str(folder)


def tuned(model: str, folder: Path, task: dict) -> wt.Run:
    rows = paired(24)
    if task["name"] == "similarity":
        rows = [
            {"sentence1": row["anchor"], "sentence2": row["positive"], "score": number}
            for number, row in enumerate(rows)
        ]
    return wt.train(
        model=model,
        task=task,
        data={"train": str(write_jsonl(folder / "rows.jsonl", rows)), "cache": False, "split": {"test": 0}},
        method="full",
        train={"max_steps": 1, "bf16": False, "save_strategy": "no"},
        output_dir=str(folder / "run"),
    )


def by_hand(run: wt.Run, text: str, pooling: str, *, length: bool):
    loaded = run.tuned
    hidden_TD = loaded.model(**loaded.processor(text, return_tensors="pt")).last_hidden_state[0].detach()
    vector = {"mean": hidden_TD.mean(0), "cls": hidden_TD[0], "last": hidden_TD[-1]}[pooling]
    return (F.normalize(vector, dim=0) if length else vector).tolist()


@pytest.mark.parametrize(
    ("pooling", "newer", "behind"),
    [("cls", False, ("Normalize",)), ("last", True, ()), ("mean", True, ("Normalize",))],
)
def test_vectors_are_made_and_saved_as_the_base_makes_them(bert, tmp_path, pooling, newer, behind):
    old, new = NAMES[pooling]
    said = {"pooling_mode": new} if newer else {name: name == old for name, _ in NAMES.values()}
    run = tuned(base(bert, tmp_path / "base", said, behind=behind), tmp_path, {"name": "embedding"})
    (told,) = run.predict(["great story"])
    wanted = by_hand(run, "the film great story", pooling, length=bool(behind))
    assert told["vector"] == pytest.approx(wanted, abs=1e-5)
    model = run.folder.model
    saved = json.loads((model / "1_Pooling" / "config.json").read_text())
    assert [mode for mode, on in saved.items() if on is True] == [old]
    kinds = [module["type"].rpartition(".")[2] for module in json.loads((model / "modules.json").read_text())]
    assert kinds == ["Transformer", "Pooling", *behind]
    prompts = json.loads((model / "config_sentence_transformers.json").read_text())["prompts"]
    assert prompts == {"query": "the film ", "document": "a plot "}


def test_the_recipe_says_otherwise_and_a_text_without_a_purpose_has_the_usual_prompt(bert, tmp_path):
    model = base(bert, tmp_path / "base", {"pooling_mode": "cls"})
    run = tuned(model, tmp_path, {"name": "similarity", "pooling": "mean", "normalize": False})
    assert (run.task.pooling, run.task.normalize, run.task.query_prefix) == ("mean", False, "good ")
    (tmp_path / "other").mkdir()
    run = tuned(model, tmp_path / "other", {"name": "embedding", "query_prefix": ""})
    assert (run.task.pooling, run.task.query_prefix, run.task.passage_prefix) == ("cls", "", "a plot ")


@pytest.mark.parametrize(
    ("pooling", "behind", "named"),
    [
        ({"pooling_mode": "weightedmean"}, (), "weightedmean"),
        ({"pooling_mode": ["mean", "max"]}, (), r"mean \+ max"),
        ({"pooling_mode": "mean", "include_prompt": False}, (), "include_prompt"),
        ({"pooling_mode": "mean"}, ("Dense", "Normalize"), "Dense"),
    ],
)
def test_what_is_not_built_is_refused_by_name_until_it_is_said_what_to_do(
    bert, tmp_path, pooling, behind, named
):
    model = base(bert, tmp_path / "base", pooling, behind=behind)
    with pytest.raises(WeitiaoError, match=rf"foreign_vectors.*{named}"):
        tuned(model, tmp_path, {"name": "embedding"})
    if behind:
        assert tuned(model, tmp_path, {"name": "embedding", "pooling": "mean"}).task.pooling == "mean"


def test_a_base_whose_modules_cannot_be_read_is_named(bert, tmp_path):
    model = Path(base(bert, tmp_path / "base", {}))
    for broken in ("[{", '["Pooling"]', "3"):
        (model / "modules.json").write_text(broken)
        with pytest.raises(WeitiaoError, match=r"unreadable_model"):
            tuned(str(model), tmp_path, {"name": "embedding"})
