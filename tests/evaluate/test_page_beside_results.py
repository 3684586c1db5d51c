"""What a run's page takes from beside its results: explanations, cost, how it is made again, a learning curve."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from tests.evaluate.run_folders import ATTACK, FACTS, OURS, Page, classification, metric, write_run
from weitiao.cli import run as command
from weitiao.evaluate.report import write_report
from weitiao.evaluate.report.numbers import number


@pytest.fixture
def report(tmp_path, monkeypatch):
    monkeypatch.setenv("WEITIAO_LANG", "en")

    def report(files: dict[str, Any]) -> Page:
        return Page(write_report(write_run(tmp_path, files)).read_text(encoding="utf-8"))

    return report


def explained(card: str) -> dict[str, Any]:
    word = {"column": "text", "text": "味道", "start": 0, "end": 2, "share": -1.25, "without": 0.5}
    target = {"name": "好评", "what": "logit", "value": 2.5, "baseline": 0.5, "words": [word], "steps": 16, "gap": 0.002,
              "agreement": None, "warnings": ["trust the order"]}  # fmt: skip
    one = {"texts": {"text": f"味道{ATTACK}"}, "prediction": {}, "targets": [target], "baseline": "[MASK]",
           "precision": "float32", "warnings": [], "similar": [], "place": "reviews.csv:7", "expected": "差评"}  # fmt: skip
    return {"version": 1, "card": hashlib.sha256(card.encode()).hexdigest(), "rows": [one]}


def test_explanations_of_this_model_stand_on_the_page_and_else_how_to_get_them(report):
    content = classification()
    assert "explained" not in report(content).under  # no model lies there
    card = "{}\n"
    content["model/weitiao.json"] = json.loads(card)
    assert "Not explained yet: weitiao explain " in report(content).said("explained")
    place = next(iter(report(content).said("explained").split("weitiao explain ")[1].split()))
    written = (Path(place) / "model" / "weitiao.json").read_text(encoding="utf-8")
    content["explanations.json"] = explained(written)
    page = report(content)
    shown = page.said("explained")
    for part in ("reviews.csv:7", "true 差评", "好评", "味道", ATTACK, "-1.250", "trust the order", "0.20 %"):
        assert part in shown
    assert "Not explained yet" not in shown
    assert page.scripts == [OURS]
    content["explanations.json"] = explained("another model")
    assert "Not explained yet" in report(content).said("explained")
    for change in (
        lambda row: row.update(more=1),
        lambda row: row.pop("targets"),
        lambda row: row["targets"][0].pop("what"),
    ):
        content["explanations.json"] = explained(written)
        change(content["explanations.json"]["rows"][0])  # as another version may have written them
        assert "Not explained yet" in report(content).said("explained")


def test_what_a_run_took_is_summed_and_what_nobody_tells_is_said(report):
    content = classification()
    steps = [line for line in content["log.jsonl"] if line["event"] == "step"]
    for nth, line in enumerate(steps):
        line |= {"rows": 32, "tokens": 1000 + nth, "seconds": 0.25}
    content["log.jsonl"][-1]["peak_memory_mb"] = 812.4
    tokens = sum(1000 + nth for nth in range(len(steps)))
    shown = report(content).said("cost")
    for part in (
        f"{len(steps)} steps",
        f"{32 * len(steps):,} rows",
        f"{tokens:,} tokens",
        "812 MB",
        "2 min 30 s",
    ):
        assert part in shown
    assert shown.endswith("Energynot told by this machine")
    for line in steps:
        line["energy_j"] = 36.0
    assert f"{number(36.0 * len(steps) / 3600)} Wh" in report(content).said("cost")
    del steps[0]["energy_j"]  # the sum of a part would be no sum
    assert "not told" in report(content).said("cost")


def test_the_page_says_how_the_run_is_made_again(report, tmp_path, monkeypatch):
    content = classification()
    monkeypatch.chdir(tmp_path.parent)
    content["facts.json"] = {**FACTS, "cwd": str(tmp_path.parent)}
    assert f"weitiao train {tmp_path}/recipe.yaml output_dir={tmp_path}-again" in report(content).said("made")
    assert "weitiao 0.1.0, torch 2.8.0, transformers 5.20.1 and seed 0" in report(content).said("made")
    content["facts.json"] = {**FACTS, "cwd": "/else where"}
    assert f"cd '/else where' weitiao train {tmp_path}/recipe.yaml" in report(content).said("made")


def test_a_learning_curve_of_this_run_stands_on_its_page(report):
    content = classification()
    points = [
        {"rows": rows, "validation": metric(value, 0.05)}
        for rows, value in ((100, 0.7), (200, 0.75), (400, 0.8))
    ]
    points.insert(1, {"rows": 150, "validation": None})
    content["learning-curve/learning-curve.json"] = {
        "sentence": f"More rows help. {ATTACK}",
        "validation_rows": 321,
        "metric": "accuracy",
        "facts": FACTS,
        "points": points,
    }
    page = report(content)
    assert f"More rows help. {ATTACK}" in page.under["learning-curve"]
    assert "321 validation rows" in page.said("learning-curve")
    assert page.source.count("<svg") == 4
    content["learning-curve/learning-curve.json"]["facts"] = {**FACTS, "created": "before"}
    page = report(content)
    assert "learning-curve" not in page.under
    assert page.source.count("<svg") == 3


def test_whoever_asks_the_report_for_a_learning_curve_is_led_to_it(capsys):
    assert command(["report", "runs/a b", "--learning-curve"]) == 2
    said = "".join(capsys.readouterr())
    assert "[wrong_usage]" in said
    assert "weitiao learning-curve 'runs/a b'" in said
