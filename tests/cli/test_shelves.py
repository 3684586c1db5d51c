"""What lies on the shelves, one thing in full; what travels along, in the reader's language."""

from __future__ import annotations

import json
import re

import pytest

from weitiao.cli import run
from weitiao.cli.translated import chinese
from weitiao.core import registry
from weitiao.models.assets.dataset_entries import DATASETS
from weitiao.models.assets.entries import DICTIONARIES, MODELS

VERBS = {"tasks": "task", "metrics": "metric", "augmentations": "augmentation"}


@pytest.mark.parametrize(
    ("verb", "name"), [("tasks", "sft"), ("metrics", "f1_micro"), ("augmentations", "crop")]
)
def test_one_thing_is_shown_in_full(verb, name, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "200")
    kind = registry.entry(VERBS[verb], name).kind
    assert run([verb, name, "--json"]) == 0
    known = json.loads(capsys.readouterr().out)
    assert known["name"] == name
    assert sorted(known["settings"]) == sorted(known["meanings"].keys() & known["settings"].keys())
    for lang in ("en", "zh"):
        monkeypatch.setenv("WEITIAO_LANG", lang)
        assert run([verb, name]) == 0
        said = capsys.readouterr().out
        assert said.splitlines()[0] == name
        assert all(re.search(rf"^ +{key} ", said, re.MULTILINE) for key in registry.settings(kind))
        assert ("设置" in said) == (lang == "zh")
        if lang == "zh":
            assert not re.search(r"\b[a-z]+ [a-z]+ [a-z]+ [a-z]+\b", said), said


def test_a_preset_is_shown_as_it_is(capsys):
    assert run(["metrics", "f1_micro", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["settings"]["average"] == "micro"


@pytest.mark.parametrize(
    ("asked", "meant"), [("auc", "-> roc_auc"), ("F1-Score", "-> f1"), ("accuracey", '"accuracy"')]
)
def test_a_metric_by_its_name_elsewhere(asked, meant, capsys):
    assert run(["metrics", asked]) == 2
    said = capsys.readouterr()
    assert not said.out
    assert meant in said.err


def test_names_from_elsewhere_lead_to_what_there_is():
    from weitiao.core.renamed import METRICS

    known = set(registry.names("metric"))
    assert not known & set(METRICS)
    for ours in METRICS.values():
        assert set(re.findall(r"[a-z]\w*", ours.partition(" (")[0])) - {"or"} <= known, ours


def test_what_travels_along_is_told_in_chinese(monkeypatch, capsys):
    monkeypatch.setenv("WEITIAO_LANG", "zh")
    said = {
        text
        for entry in (*MODELS.values(), *DATASETS.values(), *DICTIONARIES.values())
        for text in (entry.good_for, entry.origin, entry.licence, *getattr(entry, "languages", ()))
    }
    assert {text for text in said if " " in text} == set(chinese()["assets"])
    for verb, entries in ((["models"], MODELS), (["data", "ls"], DATASETS)):
        assert run(verb) == 0
        shown = capsys.readouterr().out
        assert all(chinese()["assets"][entry.good_for] in shown for entry in entries.values())


def test_a_length_is_said_to_be_no_goal(capsys):
    for metric, said in (
        ("answer_length", "neither more nor less is better"),
        ("reward", "higher is better"),
    ):
        assert run(["metrics", metric]) == 0
        assert said in " ".join(capsys.readouterr().out.split())
