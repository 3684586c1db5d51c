"""What the report page promises: it says what the run folder says, in the reader's language, and runs nothing."""

from __future__ import annotations

import math
import random
import re
import string
import sys
from typing import Any

import pytest

from tests.evaluate.run_folders import ATTACK, OURS, Page, again, classification, sft, write_run
from weitiao.core import registry
from weitiao.evaluate.report import write_report
from weitiao.evaluate.report.numbers import number, p_value, seconds, share
from weitiao.evaluate.words import pairs


@pytest.fixture(autouse=True)
def _english(monkeypatch):
    monkeypatch.setenv("WEITIAO_LANG", "en")


@pytest.fixture
def report(tmp_path):
    def report(files: dict[str, Any]) -> Page:
        return Page(write_report(write_run(tmp_path, files)).read_text(encoding="utf-8"))

    return report


TASKS = pytest.mark.parametrize("files", [classification, sft])
SECTIONS = {
    "asked",
    "data",
    "curves",
    "results",
    "confusion",
    "per-class",
    "errors",
    "samples",
    "usage",
    "made",
}


@TASKS
def test_every_result_is_on_the_page(report, files):
    content = files()
    page, results = report(content), content["results.json"]
    assert results["verdict"]["sentence"] in page.said("headline")
    for row in results["metrics"].values():
        assert number(row[results["primary"]]["value"]) in page.said("headline")
        for score in row.values():
            shown = f"{number(score['value'])}[{number(score['low'])}, {number(score['high'])}]"
            assert shown in page.said("results")
    for beside in results["comparisons"].values():
        assert number(beside["difference"], sign=True) in page.said("results")
        assert beside["test"] in page.said("results")
    for snippet in results["usage"]:
        assert snippet["code"] in page.under["usage"]
    assert content["recipe.yaml"].strip() in page.under["asked"]
    assert "664,322 of 22,700,000, 2.9 %" in page.said("asked")
    assert content["facts.json"]["fingerprints"]["data"] in page.said("made")


def test_the_tables_of_a_classification_hold_the_counts(report):
    content = classification()
    page, results, ledger = report(content), content["results.json"], content["data/ledger.json"]
    for row in results["sections"]["confusion"]["values"]:
        for count in row:
            assert f"{count}{share(count, sum(row))}" in page.said("confusion")
    assert "中评 read as 好评 (52)" in page.said("confusion")
    for row in results["sections"]["per_class"]["rows"]:
        for value in row["values"]:
            assert number(value) in page.said("per-class")
    for split, labels in ledger["labels"].items():
        for label, count in labels.items():
            assert label in page.said("data")
            assert f"{number(count)} {share(count, ledger['split'][split])}" in page.said("data")
    for count in ledger["counts"].values():
        assert number(count) in page.said("data")
    assert "reviews.csv:79" in page.said("data")  # the fiftieth row that was not kept
    assert "reviews.csv:80" not in page.said("data")


def told_apart() -> dict:
    """A classification whose texts are not alike."""
    content, rng = classification(), random.Random(0)
    for row in content["predictions.jsonl"]:
        row["text"] = "".join(rng.choices(string.ascii_lowercase, k=40))
    return again(content)


def test_the_most_confident_wrong_row_is_the_first_error(report):
    content = told_apart()
    wrong = [row for row in content["predictions.jsonl"] if row["tuned"]["label"] != row["label"]]
    scores = sorted((row["tuned"]["score"] for row in wrong), reverse=True)
    shown = report(content).said("errors")
    rows = len(content["predictions.jsonl"])
    places = [shown.index(number(score)) for score in scores[:20]]
    assert places == sorted(places)
    assert f"{len(wrong)} of {rows} test rows are wrong" in shown
    worst = next(row for row in wrong if row["tuned"]["score"] == scores[0])
    assert f"true {worst['label']}predicted {worst['tuned']['label']} {number(scores[0])}" in shown
    assert f"reviews.csv:{worst['line']}" in shown


def test_copies_of_one_error_are_one(report):
    content = told_apart()
    copy = "the weekly letter of our house with many offers for you and yours, number "
    wrong = {"label": "negative", "tuned": {"label": "positive", "score": 0.9999}}
    rows = [{"file": "reviews.csv", "line": 9000 + i, "text": f"{copy}{i}", **wrong} for i in range(6)]
    right = {"label": "positive", "tuned": {"label": "negative", "score": 0.9998}}
    rows.append({"file": "reviews.csv", "line": 9100, "text": f"{copy}7", **right})
    before = sum(row["tuned"]["label"] != row["label"] for row in content["predictions.jsonl"])
    content["predictions.jsonl"] += [row | {"untuned": row["tuned"], "tfidf": row["tuned"]} for row in rows]
    shown = report(again(content)).said("errors")
    assert shown.count(copy.strip()) == 2, "another mistake on a copy is another error"
    assert shown.count("× 6") == 1
    assert "reviews.csv:9000" in shown
    assert "reviews.csv:9100" in shown
    assert f"{before + 7} of {len(content['predictions.jsonl'])} test rows" in shown


def test_what_a_user_wrote_is_text_and_never_markup(report):
    content = classification()
    content["results.json"]["verdict"]["sentence"] = ATTACK
    content["results.json"]["usage"][0]["code"] = ATTACK
    content["results.json"]["sections"]["confusion"]["rows"][0] = ATTACK
    content["data/ledger.json"]["rows"][0]["reason"] = ATTACK
    content["data/ledger.json"]["files"][0]["path"] = '"><script>1</script>'
    page = report(content)
    assert page.scripts == [OURS]
    assert ATTACK not in page.source
    for section in ("headline", "usage", "confusion", "errors", "data"):
        assert ATTACK in page.under[section]


def test_half_a_character_in_a_row_does_not_stop_the_report(report):
    content = sft()
    content["results.json"]["sections"]["samples"]["rows"][0]["answers"][1]["text"] = (
        "cut in the middle: \ud83d"
    )
    assert "cut in the middle: �" in report(content).said("samples")


@pytest.mark.parametrize("text", ["", " \n"])
def test_an_answer_without_text_says_so(report, text):
    content = sft()
    assert "(no text)" not in report(content).said("samples")
    content["results.json"]["sections"]["samples"]["rows"][0]["answers"][1]["text"] = text
    assert report(content).said("samples").count("(no text)") == 1


@TASKS
def test_nothing_is_loaded_and_nothing_else_runs(report, files):
    page = report(files())
    assert not page.tags & {"link", "iframe", "img", "object"}
    assert page.scripts == [OURS]  # which filters and sorts rows; the page is whole without it
    assert not re.search(r"fetch|XMLHttp|import|innerHTML|eval|document\.write", OURS)
    assert not re.search(r"https?://|@import|url\((?!#)", page.source)
    for _, name, value in page.attributes:
        assert not name.startswith("on")
        if name in {"src", "href", "xlink:href"}:
            assert value.startswith("#")


@TASKS
def test_charts_take_their_colours_from_the_page(report, files):
    drawings = re.findall(r"<svg.*?</svg>", report(files()).source, re.DOTALL)
    assert len(drawings) == 3  # loss, the validation metric, the learning rate
    for drawing in drawings:
        assert not re.search(r"#[0-9a-f]{6}[;\"]", drawing)
        assert "var(--" in drawing


def test_every_number_of_a_wide_table_names_its_column_for_narrow_windows(report):
    page = report(classification())
    tables = re.findall(r"<table[^>]*\bstack\b.*?</table>", page.source, re.DOTALL)
    assert len(tables) >= 3  # files, systems, classes
    for table in tables:
        heads = [
            re.sub("<.*?>", "", head)
            for head in re.findall(r"<th(?: class=\"num\")?>(.*?)</th>", table.partition("</thead>")[0])
        ]
        for row in re.findall("<tr.*?</tr>", table.partition("</thead>")[2], re.DOTALL):
            assert re.findall('<td[^>]*data-title="(.*?)"', row) == heads[1:]


def test_the_legend_names_the_best_step_and_the_early_stop(report):
    shown = report(classification()).said("curves")
    assert "best, step 400" in shown
    assert "stopped early, step 600" in shown
    assert "validation accuracy by epoch" in shown


def test_sections_without_data_vanish(report):
    def shown(files: dict[str, Any]) -> set[str]:
        return SECTIONS & set(report(files).under)

    assert shown(classification()) == SECTIONS - {"samples"}
    assert shown(sft()) == SECTIONS - {"confusion", "per-class", "errors"}


def test_results_alone_make_a_report(report):
    results = sft()["results.json"]
    for extra in ("sections", "trainable", "usage", "seconds", "comparisons"):
        del results[extra]
    results["metrics"] = {"tuned": {"perplexity": 6.2}}  # a bare number, no interval
    page = report({"results.json": results})
    assert SECTIONS & set(page.under) == {"asked", "results"}
    assert "6.200" in page.said("headline")


def test_the_confidence_of_the_intervals_is_named_when_the_recipe_names_it(report):
    content = sft()
    assert "In brackets: the interval of each number." in report(content).said("results")
    content["recipe.yaml"] = content["recipe.yaml"].replace("evaluate: {}", "evaluate: {confidence: 0.95}")
    assert "In brackets: 95 % intervals." in report(content).said("results")


def test_a_verdict_without_an_untuned_model_claims_nothing(report):
    content = sft()
    assert ("span", "class", "verdict yes") in report(content).attributes
    content["results.json"]["verdict"]["learned"] = None
    assert not [
        value for _, name, value in report(content).attributes if name == "class" and "verdict" in value
    ]


def test_a_short_log_and_a_resumed_one_are_drawn_by_step(report):
    content = sft()
    step = {"event": "step", "step": 1, "loss": 2.0}
    content["log.jsonl"] = [
        step,
        step | {"loss": float("nan")},
        {"event": "end", "step": 1, "best_step": None},
    ]
    assert "loss by step" in report(content).said("curves")
    content["log.jsonl"][0] = step | {"step": 2, "reward": 1.0, "rewards/<kind>": 2.0, "rewards/b": 0.0}
    page = report(content)
    assert "reward of drawn answers by step" in page.said("curves")
    assert "<kind>" in page.said("curves")


def test_the_page_speaks_chinese(report, monkeypatch):
    monkeypatch.setenv("WEITIAO_LANG", "zh")
    page = report(classification())
    assert ("html", "lang", "zh-CN") in page.attributes
    assert "准确率（微调后） 0.869" in page.said("headline")
    for section, title in {"data": "数据", "confusion": "混淆矩阵", "errors": "最自信的错误"}.items():
        assert page.said(section).startswith(title)
    for label in ("差评", "中评", "好评"):
        assert label in page.said("confusion")


def test_both_languages_fill_the_same_places():
    for name, (english, chinese) in pairs().items():
        assert english, name
        assert chinese, name
        assert len(re.findall(r"{\d?}", english)) == len(re.findall(r"{\d?}", chinese)), name


def test_every_task_is_called_something():
    known = pairs()
    assert [name for name in registry.names("task") if not {name, f"task_{name}"} & {*known}] == []


def test_writing_again_gives_the_same_bytes_and_leaves_no_draft(tmp_path):
    write_run(tmp_path, classification())
    before = set(tmp_path.iterdir())
    first = write_report(tmp_path).read_bytes()
    assert write_report(tmp_path).read_bytes() == first
    assert set(tmp_path.iterdir()) - before == {tmp_path / "report.html"}


def test_a_page_is_drawn_without_matplotlib(report, monkeypatch):
    """Which takes as long as a small run to import and draw; figures for papers are made with it."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert report(classification()).source.count("<svg") == 3


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.8692, "0.869"), (13.6221, "13.62"), (123.45, "123.5"), (1376, "1,376"), (1234.6, "1,235"), (-0.05, "−0.050"),
     (0.0071, "0.0071"), (2e-5, "2e-5"), (0.0, "0.000"), (None, "–"), (math.nan, "–"), (math.inf, "∞")],
)  # fmt: skip
def test_numbers_keep_the_digits_that_matter(value, shown):
    assert number(value) == shown


def test_small_shares_p_values_and_times_stay_readable():
    assert [share(2, 3), share(1, 1000), share(0, 9), share(1, 0)] == ["66.7 %", "0.10 %", "0 %", "0 %"]
    assert [p_value(1e-90), p_value(0.0123), p_value(None)] == ["<\u00a00.001", "=\u00a00.012", "–"]
    assert [seconds(12.13), seconds(150.2), seconds(7260)] == ["12.1 s", "2 min 30 s", "2 h 1 min"]


def test_a_system_without_an_interval_is_a_dot_on_the_scale_without_a_bar(report):
    files = classification()
    metrics, primary = files["results.json"]["metrics"], files["results.json"]["primary"]
    whole = report(files).source
    metrics["tfidf"] = {name: {"value": 1.0, "low": None, "high": None} for name in metrics["tuned"]}
    drawn = report(files).source
    bars, dots = (re.compile(rf'<{tag} style="left:([\d.]+)%') for tag in "ib")
    assert len(bars.findall(drawn)) == len(bars.findall(whole)) - 1 > 0
    assert len(dots.findall(drawn)) == len(dots.findall(whole)) == len(metrics)
    # A perfect score is the furthest to the right, and on the scale.
    assert metrics["tuned"][primary]["value"] < 1
    assert max(map(float, bars.findall(drawn))) < max(map(float, dots.findall(drawn))) <= 100


def test_a_baseline_that_knows_no_likelihood_is_no_figure_of_dashes(report):
    files = sft()
    none = {"value": None, "low": None, "high": None, "why": "it gives no likelihood"}
    files["results.json"]["metrics"]["nearest"] = {"loss": none, "perplexity": none}
    nothing = {"difference": None, "p_value": None, "test": None}
    files["results.json"]["comparisons"]["nearest"] = nothing | {"metrics": {}}
    html = report(files).source
    figures = html[html.index('<dl class="figures">') : html.index("</header>")]
    assert figures.count('class="big"') == 2
    assert "nearest training row" in html[html.index("</header>") :]


def test_a_task_that_is_called_as_a_metric_is_has_its_own_name(report):
    content = sft()
    content["results.json"]["task"] = "reward"
    page = report(content)
    assert "reward model" in page.said("headline")
    assert "mean reward" not in page.said("asked")
