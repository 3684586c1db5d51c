"""What a comparison says is what its run folders say; the page shows all of it and runs nothing.

The run folders are made here by hand: which rows are right is written out, so that every number can be counted.
"""

from __future__ import annotations

import json
import math
import random
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from tests.evaluate.judging import paired
from weitiao.core import registry
from weitiao.core.errors import fault
from weitiao.core.files import write_json, write_lines, write_text
from weitiao.core.recipe import Recipe
from weitiao.evaluate.paired import holm
from weitiao.study.methods_page import breaks, comparison_page, percent, size
from weitiao.study.scatter import scatter, short
from weitiao.study.table import gather

ATTACK = 'x<script>alert("1")</script>&b'
PRINTS = {"test": "aa" * 32, "data": "bb" * 32, "base": "cc" * 32}
SPLIT = {"train": ["a:1", "a:2"], "validation": ["a:3"], "test": [f"a:{line}" for line in range(4, 104)]}


@pytest.fixture(autouse=True)
def _english(monkeypatch):
    monkeypatch.setenv("WEITIAO_LANG", "en")


class Made:
    """A comparison's folder, filled by hand."""

    def __init__(self, folder: Path, task: str = "text_classification"):
        self.folder, self.task, self.entries = folder, registry.build("task", {"name": task}), []
        self.recipe = Recipe.read({"model": "toy", "task": task, "output_dir": str(folder)})

    def entry(self, label: str, **more: Any) -> Path:
        name = re.sub(r"\W", "_", label)
        method = {"name": label, "r": 4}
        entry = {"label": label, "folder": name, "asked": {"name": label}, "method": method, "failure": None}
        self.entries.append({**entry, "goes_on": True, "seconds": 20.0, **more})
        return self.folder / name

    def judged(
        self, label: str, tuned: list[dict], references: list[dict], score: dict, **prints: str
    ) -> None:
        """A finished run with these predictions."""
        run = self.entry(label)
        rate = {"learning_rate": 1e-3}
        recipe = self.recipe.model_copy(update={"train": self.recipe.train.model_copy(update=rate)})
        write_text(run / "recipe.yaml", recipe.to_yaml())
        facts = {
            "weitiao": "0.1.0",
            "created": "2026-10-20T09:30:00+00:00",
            "seed": 0,
            "machine": {},
            "versions": {},
        }
        write_json(run / "facts.json", {**facts, "fingerprints": PRINTS | prints})
        write_json(run / "data" / "split.json", SPLIT)
        write_json(
            run / "model" / "weitiao.json",
            {"trained": 10 ** (2 + len(self.entries)), "total": 10**7, "seconds": 9.5},
        )
        write_text(run / "model" / "adapter_model.safetensors", "w" * 2000)
        write_text(run / "model" / "tokenizer.json", "t" * 500)
        end = {"event": "end", "step": 50, "best_step": 40, "reason": "done", "peak_memory_mb": 812.4}
        write_lines(run / "log.jsonl", [{"event": "step", "step": 50, "seconds": 9.5}, end])
        metrics = {
            "tuned": {self.task.primary: score},
            "untuned": {self.task.primary: {"value": 0.4, "low": 0.3, "high": 0.5}},
        }
        write_json(
            run / "results.json",
            {"primary": self.task.primary, "metrics": metrics, "seconds": {"evaluate": 2.0}},
        )
        lines = [{**reference, "tuned": row} for reference, row in zip(references, tuned, strict=True)]
        write_lines(run / "predictions.jsonl", lines)

    def labels(self, label: str, right: set[int], **prints: str) -> None:
        """A run of a classification that is right on these of a hundred rows."""
        references = [{"file": "a", "line": line, "label": "good"} for line in range(100)]
        tuned = [{"label": "good" if line in right else "bad", "score": 0.9} for line in range(100)]
        value = len(right) / 100
        self.judged(
            label, tuned, references, {"value": value, "low": value - 0.05, "high": value + 0.05}, **prints
        )

    def found(self) -> dict[str, Any]:
        common = {key: value for key, value in self.recipe.model_dump(mode="json").items() if key != "method"}
        found = gather(self.folder, self.entries, recipe=common, task=self.task)
        return json.loads(json.dumps(found))  # all of it goes into a file

    def page(self) -> str:
        return comparison_page(self.found())


@pytest.fixture
def made(tmp_path) -> Made:
    """Three methods: `better` gains 20 rows on `first`, `other` gains 3 and loses 4; one fails, one waits."""
    made = Made(tmp_path)
    made.labels("first", set(range(60)))
    made.labels("better", set(range(80)))
    made.labels("other", set(range(4, 63)))
    made.entry(ATTACK, failure=fault("method_killed", label=ATTACK, signal="SIGKILL").to_dict())
    made.entry("waiting", seconds=None)
    return made


def row(found: dict[str, Any], label: str) -> dict[str, Any]:
    return next(row for row in found["methods"] if row["label"] == label)


# --- numbers


def test_methods_are_paired_with_the_first_and_corrected_together(made):
    found = made.found()
    pairs = [row(found, label)["beside_first"] for label in ("better", "other")]
    bare = [2 * 0.5**20, sum(math.comb(7, k) for k in range(4)) * 2 / 2**7]  # 20 of 20 gained; 3 of 7
    assert [pair["p_value"] for pair in pairs] == pytest.approx([bare[0], min(1.0, bare[1])])
    assert [pair["p_holm"] for pair in pairs] == pytest.approx(holm([pair["p_value"] for pair in pairs]))
    assert pairs[0]["p_holm"] == 2 * pairs[0]["p_value"]
    assert [pair["verdict"] for pair in pairs] == ["better", "level"]
    assert [pair["difference"] for pair in pairs] == pytest.approx([0.2, -0.01])


def test_costs_are_those_of_the_run_folder(made):
    cost = row(made.found(), "first")
    assert (cost["trained"], cost["total"], cost["learning_rate"]) == (1000, 10**7, 1e-3)
    assert cost["seconds"] == {"train": 9.5, "evaluate": 2.0, "whole": 20.0}
    assert cost["peak_memory_mb"] == 812.4
    assert cost["size_bytes"]["weights"] == 2000, "the tokenizer is not the method's"
    assert cost["size_bytes"]["all"] == 2500 + (made.folder / "first/model/weitiao.json").stat().st_size
    assert (cost["steps"], cost["kept_step"], cost["stopped"]) == (50, 40, "done")


@pytest.mark.parametrize("what", ["test", "data", "base"])
def test_a_run_on_other_ground_is_a_failure_and_takes_part_in_nothing(made, what):
    made.labels("stranger", set(range(100)), **{what: "dd" * 32})
    found = made.found()
    stranger = row(found, "stranger")
    assert stranger["state"] == "failed"
    assert stranger["failure"]["error"] == "other_rows"
    assert f"other {what} ({PRINTS[what][:12]} there, dddddddddddd here)" in stranger["failure"]["message"]
    assert stranger["beside_first"] is None
    assert found["sentence"].startswith("better scores best")
    assert (
        row(found, "better")["beside_first"]["p_holm"] == 2 * row(found, "better")["beside_first"]["p_value"]
    )


def test_other_training_rows_are_other_ground(made):
    made.labels("stranger", set(range(100)))
    write_json(made.folder / "stranger" / "data" / "split.json", SPLIT | {"train": ["a:1"]})
    assert "other train" in row(made.found(), "stranger")["failure"]["message"]


def test_where_the_first_has_failed_the_next_one_is_compared_with(tmp_path):
    made = Made(tmp_path)
    made.entry("first", failure=fault("unfinished_run", path="p").to_dict())
    made.labels("second", set(range(50)))
    made.labels("third", set(range(80)))
    found = made.found()
    assert found["reference"] == "second"
    assert row(found, "third")["beside_first"]["gained"] == 30


def test_of_a_loss_less_is_better(tmp_path):
    made, rng = Made(tmp_path, task="sft"), random.Random(0)
    references = [{"file": "a", "line": line, "prompt": "p", "reference": "r"} for line in range(30)]
    losses = [[rng.uniform(10, 12) - gain for _ in references] for gain in (0, 3)]
    for label, values in zip(("first", "lower"), losses, strict=True):
        tuned = [{"loss": value, "tokens": 5} for value in values]
        value = math.exp(sum(values) / 150)
        made.judged(label, tuned, references, {"value": value, "low": value - 1, "high": value + 1})
    found = made.found()
    beside = row(found, "lower")["beside_first"]
    systems = [[{"loss": v, "tokens": 5} for v in values] for values in losses]
    assert beside["p_value"] == paired("perplexity", references, systems[1], systems[0])["p_value"]
    assert (beside["verdict"], beside["difference"] < 0) == ("better", True)
    assert found["sentence"].startswith("lower scores best: perplexity")
    assert "a proven gain over first" in found["sentence"]


# --- the sentence


@pytest.mark.parametrize(
    ("right", "said"),
    [
        ([60, 80], "b1 scores best: accuracy 0.800 on 100 unseen rows, a proven gain over b0 (0.600)."),
        (
            [60, 62],
            "b1 scores best: accuracy 0.620 on 100 unseen rows; the difference to b0 (0.600) is within chance.",
        ),
        ([80, 79], "b0 scores best: accuracy 0.800 on 100 unseen rows; no other method is proven worse."),
        ([80, 60, 79], "; 1 of 2 others are proven worse, the rest is within chance."),
        ([80], "b0 scores best: accuracy 0.800 on 100 unseen rows."),
        ([30, 35], "(0.300) is within chance. untuned does better still, with 0.400."),
        ([], "No method has been judged yet."),
    ],
)
def test_the_sentence_says_what_the_numbers_bear(tmp_path, right, said):
    made = Made(tmp_path)
    for place, count in enumerate(right):
        made.labels(f"b{place}", set(range(count)))
    assert made.found()["sentence"].endswith(said)


# --- the page


class Page(HTMLParser):
    """Tags, attributes and text of a page."""

    def __init__(self, source: str):
        super().__init__()
        self.source, self.tags, self.attributes, self.text = source, set(), [], ""
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_holds_every_method_and_every_number(made):
    page = Page(made.page())
    for label in ("first", "better", "other", "waiting", ATTACK):
        assert label in page.text
    for shown in (
        "0.800[0.750, 0.850]",
        "+0.200",
        "<\u00a00.001",
        "better",
        "within chance",
        "10,000",
        "0.10 %",
    ):
        assert shown in page.text
    for shown in ("9.5 s", "20.0 s in all", "812 MB", "2 kB", "0.0010", "not begun", "[method_killed]"):
        assert shown in page.text
    assert (
        "exact McNemar, on the same test rows as first; p-values corrected by Holm's method (comparisons: 2)"
        in page.text
    )
    assert PRINTS["test"][:16] in page.text
    links = [value for tag, name, value in page.attributes if tag == "a"]
    assert links == ["first/report.html", "better/report.html", "other/report.html"]


def test_what_a_user_wrote_is_text_and_never_markup(made):
    made.labels(f"'{ATTACK}", set(range(70)))
    page = Page(made.page())
    assert "script" not in page.tags
    assert ATTACK not in page.source
    assert page.text.count(f"'{ATTACK}") >= 2, "in the table and in the chart of intervals"


def test_nothing_is_loaded_and_nothing_runs(made):
    page = Page(made.page())
    assert not page.tags & {"script", "link", "iframe", "img", "object"}
    assert not re.search(r"https?://|@import|url\((?!#)", page.source)
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]


def test_nothing_judged_makes_a_page_too(tmp_path):
    made = Made(tmp_path)
    made.entry("full", seconds=None)
    made.entry("lora", seconds=None)
    page = Page(made.page())
    assert "No method has been judged yet." in page.text
    assert "the same command with --resume goes on" in page.text
    assert "svg" not in page.tags


def test_the_page_speaks_chinese(made, monkeypatch):
    monkeypatch.setenv("WEITIAO_LANG", "zh")
    page = Page(made.page())
    assert ("html", "lang", "zh-CN") in page.attributes
    for shown in (
        "方法比较",
        "better 得分最好",
        "准确率 为 0.800",
        "内存峰值",
        "权重大小",
        "未开始",
    ):
        assert shown in page.text


def test_the_same_comparison_gives_the_same_bytes(made):
    assert made.page() == made.page()


# --- the chart


def points(*places: tuple[str, int, float]) -> list[dict[str, Any]]:
    return [
        {"label": label, "trained": trained, "score": {"value": v, "low": v - 0.1, "high": v + 0.1}}
        for label, trained, v in places
    ]


def test_every_name_is_in_the_chart_and_none_covers_another():
    drawn = scatter(
        points(*((f"method-{i}", 1000 + i, 0.8) for i in range(6)), ("lone", 10**8, 0.9)), reference="lone"
    )
    names = re.findall(
        r'<text class="name" x="([\d.]+)" y="([\d.]+)" text-anchor="(\w+)">([^<]*)</text>', drawn
    )
    assert {name for *_, name in names} == {*(f"method-{i}" for i in range(6)), "lone"}
    assert len({(y, anchor) for _, y, anchor, _ in names}) == 7
    assert drawn.count("<svg") == drawn.count("</svg>") == 1


def test_a_chart_needs_two_methods_and_finite_scores():
    assert scatter(points(("a", 10, 0.5)), reference="a") == ""
    assert scatter(points(("a", 10, 0.5), ("b", 20, math.inf)), reference="a") == ""
    assert scatter(points(("a", 10, 0.5), ("b", 0, 0.6)), reference="a") == ""
    assert "<svg" in scatter(points(("a", 10, 0.5), ("好方法", 20, 0.5)), reference=None)


def test_amounts_stay_readable():
    assert [short(value) for value in (10, 1e3, 1e5, 1e6, 1e9)] == ["10", "1k", "100k", "1M", "1B"]
    assert [size(value) for value in (None, 12, 2_720_000, 90_900_000, 3.2e9, 5e12)] == [
        "–",
        "12 B",
        "2.72 MB",
        "90.9 MB",
        "3.2 GB",
        "5,000 GB",
    ]
    assert [percent(*pair) for pair in ((1, 1), (1, 100), (770, 22_713_986))] == [
        "100.0 %",
        "1.0 %",
        "0.0034 %",
    ]
    assert str(breaks("lora:r=4,<b>")) == "lora:<wbr>r=<wbr>4,<wbr>&lt;b&gt;"
