"""Whatever there is can be listed, for people and for scripts: the schema, the shelves, the doctor, runs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.cli import test_cli
from weitiao.core import registry
from weitiao.core.recipe import known_keys

tuned = test_cli.tuned
weitiao = test_cli.weitiao


def test_the_schema_knows_every_key_and_every_setting(weitiao):
    schema = json.loads(weitiao("schema").out)
    for key in known_keys():
        node = schema
        for part in key.split("."):
            node = schema["$defs"][node["$ref"].rpartition("/")[2]] if "$ref" in node else node
            node = node["properties"][part]
    assert set(schema["required"]) == {"model", "task", "output_dir"}
    assert schema["additionalProperties"] is False
    for shelf in ("method", "task"):
        choices = schema["properties"][shelf]["anyOf"]
        assert choices[0]["enum"] == registry.names(shelf)
        by_title = {choice["title"]: choice for choice in choices[1:]}
        for name in registry.names(shelf):
            settings = registry.settings_of(name, registry.build(shelf, {"name": name}))
            assert set(by_title[name]["properties"]) == set(settings)
            assert by_title[name]["additionalProperties"] is False


def test_what_the_schema_refers_to_is_in_it(weitiao):
    schema = json.loads(weitiao("schema").out)

    def references(node):
        if isinstance(node, dict):
            yield from [node["$ref"]] if "$ref" in node else []
            node = list(node.values())
        for inner in node if isinstance(node, list) else ():
            yield from references(inner)

    found = set(references(schema))
    assert found
    assert all(ref.rpartition("/")[2] in schema["$defs"] for ref in found)


@pytest.mark.parametrize(
    "words", [["models"], ["data", "ls"], ["methods"], ["tasks"], ["augmentations"]], ids=" ".join
)
def test_lists_are_read_by_people_and_scripts(words, weitiao):
    said = weitiao(*words, "--json")
    entries = json.loads(said.out)
    assert (said.exit, said.err) == (0, "")
    assert entries
    shown = weitiao(*words)
    for entry in entries:
        assert entry["name"] in shown.out


def test_methods_and_tasks_are_listed_with_their_settings(weitiao):
    methods = {entry["name"]: entry for entry in json.loads(weitiao("methods", "--json").out)}
    assert set(methods) == set(registry.names("method"))
    assert methods["lora"]["settings"]["r"] == 16
    assert all(entry["summary"] and entry["learning_rate"] > 0 for entry in methods.values())
    tasks = {entry["name"]: entry for entry in json.loads(weitiao("tasks", "--json").out)}
    assert tasks["sft"]["formats"] == ["messages", "sharegpt", "alpaca", "prompt_completion"]


def test_models_say_licence_size_and_use(weitiao):
    for words in (["models"], ["data", "ls"]):
        for entry in json.loads(weitiao(*words, "--json").out):
            assert entry["licence"]
            assert entry["good_for"]
            assert entry["origin"]
            assert entry["source"] is None or len(entry["source"]["sha256"]) == 64


def test_the_doctor_says_what_is_installed(weitiao):
    said = weitiao("doctor", "--json")
    found = json.loads(said.out)
    assert said.exit == (6 if found["broken"] else 0)
    assert found["versions"]["torch"]
    assert found["cores"] >= 1
    assert found["device"]
    assert "torch" in weitiao("doctor").out


def test_the_doctor_finds_what_is_broken(weitiao, monkeypatch):
    from weitiao.cli import doctor

    monkeypatch.setattr(doctor, "NEEDED", (*doctor.NEEDED, "nowhere-to-be-found"))
    said = weitiao("doctor", "--json")
    assert said.exit == 6
    assert any("nowhere-to-be-found is not installed" in line for line in json.loads(said.out)["broken"])
    said = weitiao("doctor")
    assert said.exit == 6
    assert "broken nowhere-to-be-found" in said.out


def test_runs_are_listed_with_their_scores(weitiao, tuned):
    folder = str(Path(tuned).parent)
    (entry,) = json.loads(weitiao("runs", "--folder", folder, "--json").out)
    assert entry["run"] == tuned
    assert (entry["state"], entry["task"], entry["method"]) == ("judged", "text_classification", "lora")
    assert 0 <= entry["accuracy"] <= 1
    assert "judged" in weitiao("runs", "--folder", folder).out
    assert json.loads(weitiao("runs", "--json").out) == []
    assert "no runs here" in weitiao("runs").out


def test_runs_are_sorted_by_any_metric_whichever_way_is_better(weitiao, tuned):
    for name, values in {"a": (0.5, 3.0), "b": (0.9, 9.0), "c": (0.7, None), "d": None}.items():
        shutil.copytree(tuned, f"runs/{name}")
        if values is None:
            Path(f"runs/{name}/results.json").unlink()
            continue
        results = json.loads(Path(f"runs/{name}/results.json").read_text())
        for metric, value in zip(("f1", "log_loss"), values, strict=True):
            results["metrics"]["tuned"][metric] = {"value": value, "low": None, "high": None, "why": "made"}
        Path(f"runs/{name}/results.json").write_text(json.dumps({**results, "lower_is_better": ["log_loss"]}))

    def order(metric):
        return [
            Path(entry["run"]).name for entry in json.loads(weitiao("runs", "--sort", metric, "--json").out)
        ]

    assert order("f1") == ["b", "c", "a", "d"]
    assert order("log_loss")[:2] == ["a", "b"]
    for name, value in {"a": 3.0, "b": 0.2, "c": 1.1}.items():  # 1 is as long as the reference
        results = json.loads(Path(f"runs/{name}/results.json").read_text())
        results["metrics"]["tuned"]["length_ratio"] = {
            "value": value,
            "low": None,
            "high": None,
            "why": "made",
        }
        Path(f"runs/{name}/results.json").write_text(json.dumps(results))
    assert order("length_ratio")[:3] == ["c", "b", "a"]
    assert "log_loss 3.000" in weitiao("runs", "--sort", "log_loss").out
    said = weitiao("runs", "--sort", "log_los")
    assert said.exit == 2
    assert "log_loss" in said.err


def test_one_unreadable_run_does_not_hide_the_others(weitiao, tuned):
    shutil.copytree(tuned, "runs/good")
    for name, text in (("newer", "model: m\ntask: sft\noutput_dir: o\nunheard_of: 1\n"), ("cut", "model: [")):
        Path(f"runs/{name}").mkdir()
        Path(f"runs/{name}/recipe.yaml").write_text(text)
    states = {entry["run"]: entry["state"] for entry in json.loads(weitiao("runs", "--json").out)}
    assert states == {"runs/good": "judged", "runs/newer": "unreadable", "runs/cut": "unreadable"}
    assert "unreadable" in weitiao("runs").out
