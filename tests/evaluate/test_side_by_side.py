"""Runs side by side on one page, and figures as files."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import matplotlib
import pytest
import yaml
from scipy import stats

import weitiao as wt
from tests.evaluate.run_folders import ATTACK, Page, classification, sft, write_run
from weitiao import cli
from weitiao.core.errors import WeitiaoError
from weitiao.evaluate.report import figures, pictured, write_figures


@pytest.fixture(autouse=True)
def _english(monkeypatch, tmp_path):
    monkeypatch.setenv("WEITIAO_LANG", "en")
    monkeypatch.chdir(tmp_path)


def made(name: str, *, right: list[int], files=classification, **settings) -> Path:
    """A run whose tuned model has these of thirty rows right."""
    content = files()
    rows = [{"file": "a.csv", "line": i, "text": f"row {i}", "label": "好评"} for i in range(30)]
    if files is classification:
        content["predictions.jsonl"] = [
            row | {"tuned": {"label": "好评" if i in right else "差评", "score": 0.9}}
            for i, row in enumerate(rows)
        ]
        content["results.json"]["labels"] = ["差评", "中评", "好评"]
    else:
        content["results.json"]["labels"] = []
    recipe = yaml.safe_load(content["recipe.yaml"])
    recipe["method"] |= settings
    content["recipe.yaml"] = yaml.safe_dump(recipe)
    return write_run(Path(name), content)


def test_runs_are_tested_against_the_first_where_their_rows_are_the_same():
    made("a", right=[*range(20)])
    made("b", right=[*range(5, 30)], r=4)
    made("c", right=[], files=sft)
    page = Page(wt.report("a", "b", "c", output="all.html").read_text(encoding="utf-8"))
    shown = page.said("against-first")
    # McNemar: 5 rows lost, 10 gained.
    p = stats.binomtest(5, 15).pvalue
    assert f"b0.167{p:.3f}" in shown
    assert "cnot compared: other test rows–" in shown
    assert "abc" in page.said("scores")
    assert re.search(r"accuracy0.869\[0.851, 0.887\]0.869\[0.851, 0.887\]–", page.said("scores"))
    assert re.search(r"perplexity––6.241\[", page.said("scores"))
    assert "method.r16416" in page.said("settings")
    assert "lora_alpha" not in page.said("settings"), "what is the same is no difference"
    assert "664,322" in page.said("costs")
    assert "<svg" not in page.source, "losses of different tasks have no axis in common"
    alike = wt.report("a", "b", output="alike.html").read_text(encoding="utf-8")
    assert alike.count("<svg") == 1
    assert not page.tags & {"script", "link", "img"}


def test_it_speaks_chinese_and_what_users_wrote_is_text(monkeypatch):
    monkeypatch.setenv("WEITIAO_LANG", "zh")
    made("a", right=[1], target_modules=ATTACK)
    made("b", right=[2])
    page = Page(wt.report("a", "b").read_text(encoding="utf-8"))
    assert Path("side-by-side.html").is_file()
    assert page.said("scores").startswith("得分")
    assert "script" not in page.tags
    assert ATTACK in page.under["settings"]


def test_the_command_line_says_what_is_wrong(capsys):
    made("a", right=[1])
    made("b", right=[2])
    assert cli.run(["report", "a", "b", "-o", "both.html"]) == 0
    assert capsys.readouterr().out.strip() == "both.html"
    assert cli.run(["report", "a", "b", "-o", "both.html"]) == 0, "a page of ours may be written again"
    Path("notes.html").write_text("mine", encoding="utf-8")
    old = json.loads(Path("b/results.json").read_text(encoding="utf-8")) | {"version": 1}
    Path("b/results.json").write_text(json.dumps(old), encoding="utf-8")
    Path("c").mkdir()
    Path("c/recipe.yaml").write_text("{}", encoding="utf-8")
    wrong = {
        ("a", "a", "-o", "notes.html"): ("page_taken", 2),
        ("a", "b"): ("old_results", 5),
        ("b",): ("old_results", 5),
        ("a", "c"): ("not_judged_yet", 5),
        ("c",): ("not_judged_yet", 5),
        ("a", "-o", "x.html"): ("wrong_usage", 2),
        ("nothing",): ("no_run", 5),
    }
    for words, (code, leaves) in wrong.items():
        assert cli.run(["report", *words]) == leaves, words
        assert f"[{code}]" in capsys.readouterr().err, words
    assert Path("notes.html").read_text(encoding="utf-8") == "mine"


@pytest.mark.whole
def test_every_figure_is_a_file_that_stands_alone(monkeypatch):
    monkeypatch.setattr(figures, "DOTS_PER_INCH", 30)
    made("a", right=[1])
    before = dict(matplotlib.rcParams)
    wt.report("a", figures="figures")
    assert dict(matplotlib.rcParams) == before
    names = {"systems", "training", "validation", "learning_rate", "confusion"}
    assert {path.name for path in Path("figures").iterdir()} == {
        f"{n}.{e}" for n in names for e in ("svg", "png")
    }
    for path in Path("figures").glob("*.svg"):
        text = path.read_text(encoding="utf-8")
        said = " ".join("".join(ElementTree.fromstring(text).itertext()).split())
        assert "var(--" not in text
        assert {"training": "smoothed", "confusion": "Confusion", "systems": "TF-IDF"}.get(
            path.stem, ""
        ) in said
    for path in Path("figures").glob("*.png"):
        assert path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    before = Path("figures/systems.svg").read_bytes()
    write_figures({"systems": pictured(Path("a"))["systems"]}, Path("again"))
    assert Path("again/systems.svg").read_bytes() == before


def test_figures_go_nowhere_where_a_file_lies():
    made("a", right=[1])
    Path("taken").write_text("mine", encoding="utf-8")
    with pytest.raises(WeitiaoError):
        wt.report("a", figures="taken")
    assert Path("taken").read_text(encoding="utf-8") == "mine"


def test_a_road_says_what_every_step_gave_and_links_to_their_pages(monkeypatch):
    from weitiao import api

    for name, files in (("steps/a b", classification), ("steps/chat", sft)):
        (made(name, right=[], files=files) / "report.html").write_text("a page")
    steps = {"first": "steps/a b", "then": "steps/chat"}
    page = Page(api.road(steps, "steps/road.html").read_text(encoding="utf-8"))
    assert re.search(
        r"firstaccuracy0\.869\[0\.851, 0\.887\]0\.352.*thenperplexity6\.241\[", page.said("steps")
    )
    verdicts = [json.loads((Path(run) / "results.json").read_text())["verdict"] for run in steps.values()]
    assert all(one["sentence"] in page.said("headline") for one in verdicts)
    links = re.findall(r'<a href="([^"]+)"', page.source)
    assert links == ["a%20b/report.html", "chat/report.html"]
    monkeypatch.setenv("WEITIAO_LANG", "zh")
    assert (
        Page(api.road(steps, "steps/road.html").read_text(encoding="utf-8")).said("steps").startswith("全程")
    )
