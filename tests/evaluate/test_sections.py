"""Sections of the page are what the rows say, whatever task they are of, and a kind is drawn whatever is in it."""

from __future__ import annotations

import io
import json
import random
import re
import string
from dataclasses import dataclass
from xml.etree import ElementTree

import numpy as np
import pytest
from rich.console import Console
from sklearn import calibration, metrics

import weitiao as wt
from tests.conftest import rated, small_run, write_jsonl
from tests.evaluate.judging import section
from weitiao.cli.show_sections import drawn as in_terminal
from weitiao.core import registry
from weitiao.core.contracts import Analysis, Judged, both
from weitiao.core.contracts.section import Column, Curve, Estimate, Line, Matrix, Table, TableRow
from weitiao.core.errors import WeitiaoError
from weitiao.evaluate.analysed import analyses, in_order
from weitiao.evaluate.report import drawn, write_report
from weitiao.evaluate.worst import Case, worst


def unlike(seed: int) -> str:
    """A text that is near no other."""
    return "".join(random.Random(seed).choices(string.ascii_lowercase, k=30))


def guessed(rows: int, labels: str, *, seed: int = 0) -> tuple[list, list]:
    """Rows with labels, some of which are said rightly, and the probabilities of all."""
    rng = np.random.default_rng(seed)
    true = rng.choice(list(labels), rows)
    shares = rng.dirichlet(np.ones(len(labels)), rows)
    said = np.array(list(labels))[shares.argmax(1)]
    references = [{"file": "a.csv", "line": i + 2, "text": unlike(i), "label": str(one)} for i, one in enumerate(true)]  # fmt: skip
    told = [
        {"label": str(one), "score": float(share.max()), "scores": dict(zip(labels, share.tolist(), strict=True))}
        for one, share in zip(said, shares, strict=True)
    ]  # fmt: skip
    return references, told


def labels_of(rows: list) -> list[str]:
    return [row["label"] for row in rows]


def test_a_matrix_is_that_of_scikit_learn():
    true, said = guessed(200, "abc")
    found = section("confusion", true, said, labels="abc")
    assert found.values == metrics.confusion_matrix(labels_of(true), labels_of(said)).tolist()
    wrong = {(a, b): found.values[i][j] for i, a in enumerate("abc") for j, b in enumerate("abc") if a != b}
    (true_one, said_one), most = max(wrong.items(), key=lambda pair: pair[1])
    assert f"{true_one} read as {said_one} ({most})" in found.foot.en
    assert f"{true_one} 误作 {said_one}（{most}）" in found.foot.zh


def test_of_very_many_labels_those_in_most_mistakes_are_shown_and_the_rest_is_counted():
    names = [f"l{i:03}" for i in range(80)]
    rng = random.Random(0)
    true = [{"label": rng.choice(names)} for _ in range(2000)]
    said = [{"label": row["label"] if row["label"] < "l040" else rng.choice(names)} for row in true]
    found = section("confusion", true, said, labels=names)
    assert len(found.rows) == 60
    assert found.columns[-1].en == "others"
    assert {f"l{i:03}" for i in range(40, 80)} <= {*found.rows}, "those that are never right"
    for name, row in zip(found.rows, found.values, strict=True):
        assert sum(row) == sum(one["label"] == name for one in true)


def test_queries_are_shown_with_what_was_found_and_the_right_passage_marked():
    """Of a row that lists its passages, and of rows that search one another's."""
    listed = {"query": unlike(0), "passages": ["a", "b", "c", "d", "e"], "scores": [0, 0, 0, 0, 1]}
    searched = [{"anchor": unlike(i), "positive": f"p{i}", "negative.0": f"n{i}"} for i in (1, 2)]
    told = [
        {"ranks": [5], "found": [[None, 2], [None, 0], [None, 1], [None, 4]]},
        {"ranks": [1], "found": [[1, 0], [2, 1], [2, 0]]},
        {"ranks": [2], "found": [[1, 1], [2, 0], [1, 0]]},
    ]
    found = section("queries", [listed, *searched], told, samples=0)
    assert [[(one.text, one.system == "reference") for one in row.answers] for row in found.rows] == [
        [("c", False), ("a", False), ("b", False), ("e", True)],
        [("n1", False), ("p2", True), ("p1", False)],
    ]
    assert [row.facts[0].value for row in found.rows] == [5, 2]
    assert found.rows[0].answers[-1].name.en == "5, right"
    assert found.note.en.startswith("Of 2 of 3 test queries")
    assert len(section("queries", [listed, *searched], told, samples=8).rows) == 3


def test_points_of_the_calibration_are_scikit_learns():
    true, said = guessed(400, "ab")
    found = section("calibration", true, said, labels="ab", confidence=0.9)
    (line,) = found.lines
    right = np.array(labels_of(true)) == np.array(labels_of(said))
    share, probability = calibration.calibration_curve(
        right, [row["score"] for row in said], n_bins=10, strategy="quantile"
    )
    assert line.x == pytest.approx(probability, abs=0.01)
    assert line.y == pytest.approx(share, abs=0.05)
    assert sum(low <= y <= high for low, y, high in zip(line.low, line.y, line.high, strict=True)) == 10
    assert section("calibration", true[:20], said[:20], labels="ab") is None, "too few rows for two points"


def test_rows_of_one_probability_are_one_point():
    true, said = guessed(100, "ab")
    for row in said:
        row["scores"], row["score"] = {"a": 0.7, "b": 0.3}, 0.7
    (line,) = section("calibration", true, said, labels="ab").lines
    assert len(line.x) == 1


def numbers(pairs: list[tuple[float, float]]) -> tuple[list, list]:
    rows = [{"file": "n.csv", "line": i, "text": unlike(i), "number": a} for i, (a, _) in enumerate(pairs)]  # fmt: skip
    return rows, [{"number": b, "low": b - 1, "high": b + 1} for _, b in pairs]


def test_the_number_that_is_farthest_off_is_first():
    rows, told = numbers([(1.0, 1.0), (2.0, 7.5), (3.0, 1.0), (4.0, 4.25)])
    found = section("worst_numbers", rows, told)
    assert [row.place for row in found.rows] == ["n.csv:1", "n.csv:2", "n.csv:3"]
    assert [row.facts[2].value for row in found.rows] == [5.5, -2.0, 0.25]
    assert section("worst_numbers", *numbers([(1.0, 1.0)])) is None


def test_a_scatter_holds_the_rows_and_of_many_some_by_the_seed():
    pairs = [(float(i), i * 1.5) for i in range(3000)]
    rows, told = numbers(pairs)
    (line,) = section("scatter", rows[:50], told[:50]).lines
    assert list(zip(line.x, line.y, strict=True)) == pairs[:50]
    many, same, other = (section("scatter", rows, told, seed=seed) for seed in (1, 1, 2))
    assert len(many.lines[0].x) == 1000
    assert {*zip(many.lines[0].x, many.lines[0].y, strict=True)} <= {*pairs}
    assert many == same != other
    assert "1,000 of 3,000" in many.note.en
    inside = sum(abs(a - b) <= 1 for a, b in pairs)
    assert f"{inside} of 3,000 rows" in many.foot.en


def test_spans_that_are_missed_and_made_up_are_told_apart():
    def span(kind: str, start: int, text: str) -> dict:
        return {"type": kind, "start": start, "end": start + len(text), "text": text}

    ada, london, lived = span("PER", 0, "Ada"), span("LOC", 13, "London"), span("PER", 4, "lived")
    as_person = span("PER", 13, "London")
    rows = [{"text": "Ada lived in London", "spans": spans} for spans in ([ada], [ada, london], [ada])]
    told = [{"spans": spans} for spans in ([ada], [as_person, lived], [])]
    found = section("worst_spans", rows, told, labels=("LOC", "PER"))
    worst, missed = found.rows
    assert [(fact.name.en, fact.value) for fact in worst.facts] == [
        ("missed", "Ada (PER), London (LOC)"),
        ("made up", "London (PER), lived (PER)"),
    ]
    assert [(fact.name.en, fact.value) for fact in missed.facts] == [("missed", "Ada (PER)")]
    assert found.note.en.startswith("2 of 3 test rows are wrong")


def test_the_surest_wrong_label_of_a_set_comes_first():
    rows = [
        {"text": text, "labels": labels} for text, labels in (("x", ["a"]), ("y yy", []), ("z zz", ["a"]))
    ]
    told = [
        {"labels": ["a"], "scores": {"a": 0.9, "b": 0.1}},
        {"labels": ["a", "b"], "scores": {"a": 0.6, "b": 0.7}},
        {"labels": [], "scores": {"a": 0.05, "b": 0.1}},
    ]
    found = section("wrong_sets", rows, told, labels="ab")
    assert [row.text for row in found.rows] == ["z zz", "y yy"]
    assert [(fact.value, fact.number) for row in found.rows for fact in row.facts[2:]] == [("a", 0.05), ("b", 0.7)]  # fmt: skip
    assert found.rows[1].facts[0].value.en == "none"


def test_the_answer_with_fewest_words_of_its_reference_is_first():
    rows = [{"prompt": f"{letter * 9} ?", "reference": "one two three"} for letter in "pqrs"]
    told = [{"answer": "one two three"}, {"answer": "four"}, {"answer": "one two"}, {"loss": 1.0}]
    found = section("worst_answers", rows, told)
    assert [row.answers[0].text for row in found.rows] == ["four", "one two"]
    assert [row.facts[0].value for row in found.rows] == pytest.approx([0.0, 0.8])
    assert found.note.en.startswith("2 of 3 answers")


def test_both_texts_of_a_pair_are_shown():
    rows = [{"text": "A man sleeps.", "text_pair": "He is awake.", "label": "no"}]
    (row,) = section("errors", rows, [{"label": "yes"}]).rows
    assert row.text == "A man sleeps.\nHe is awake."


# ------------------------------------------------------------------ kinds, whatever is in them

EVERY = {
    "levels": Matrix(title="Levels & <b>", rows=["up", "down"], columns=["x", "y", "z"], values=[[1, 2, None], [0, 0, 0]]),
    "slices": Table(
        title=both("Slices", "切片"),
        head=both("slice", "切片"),
        columns=[Column(title="F1", most=1.0), Column(title=both("rows", "行数"))],
        rows=[
            TableRow(name="<short>", values=[Estimate(value=0.5, low=0.25, high=0.75), 12]),
            TableRow(name=both("long", "长"), values=[float("nan"), both("none", "无")]),
        ],
    ),
    "learning": Curve(
        title=both("Learning curve", "学习曲线"),
        x=both("rows", "行数"),
        y="F1",
        lines=[
            Line(name="lora", x=[10, 100, 1000], y=[0.2, 0.5, 0.7], low=[0.1, 0.4, 0.6], high=[0.3, 0.6, 0.8]),
            Line(name="full", x=[10, 100, 1000], y=[0.1, 0.6, 0.9]),
        ],
    ),
}  # fmt: skip


def page(folder, results, language: str, monkeypatch) -> str:
    monkeypatch.setenv("WEITIAO_LANG", language)
    (folder / "results.json").write_text(json.dumps(results), encoding="utf-8")
    return write_report(folder).read_text(encoding="utf-8")


@pytest.fixture
def results() -> dict:
    return {
        "version": 2,
        "task": "mine",
        "model": "m",
        "method": "lora",
        "primary": "score",
        "higher_is_better": True,
        "rows": 24,
        "metrics": {"tuned": {"score": 0.5}},
        "verdict": {"learned": None, "sentence": "It is 0.5."},
        "sections": in_order(EVERY),
    }


def test_the_page_draws_any_section_by_its_kind(results, tmp_path, monkeypatch):
    english, chinese = (page(tmp_path, results, language, monkeypatch) for language in ("en", "zh"))
    for shown in (english, chinese):
        assert [*re.findall(r'section id="(levels|slices|learning)"', shown)] == [
            "levels",
            "slices",
            "learning",
        ]
        assert "nan" not in re.sub(r"<style.*?</style>", "", shown, flags=re.DOTALL).lower()
        assert "Levels &amp; &lt;b&gt;" in shown
        assert "&lt;short&gt;" in shown
        assert "[0.250, 0.750]" in shown
        assert 'class="hit"' not in shown
    assert '<h2 id="slices-title">Slices</h2>' in english
    assert '<h2 id="slices-title">切片</h2>' in chinese
    assert "长" in chinese
    assert "长" not in english


def test_words_among_numbers_wrap_instead_of_widening_their_table(results, tmp_path, monkeypatch):
    results["sections"]["slices"]["rows"][0]["values"][0] = "no threshold has it on the validation rows"
    shown = page(tmp_path, results, "en", monkeypatch)
    words = re.findall(r'<td class="num said".*?<bdi>([^<]*)', shown)
    assert "no threshold has it on the validation rows" in words
    assert re.search(r"\.said bdi \{[^}]*white-space: normal", shown)


def test_a_curve_is_drawn_from_its_data_alone():
    svg = drawn.curve(in_order(EVERY)["learning"])
    root = ElementTree.fromstring(svg.replace("<svg", '<svg xmlns:xlink="http://www.w3.org/1999/xlink"', 1))
    assert svg.count("var(--tuned)") >= 2
    assert svg.count("var(--other)") >= 1
    assert {"1,000", "0.8"} <= {
        "".join(one.itertext()).strip() for one in root.iter() if one.tag.endswith("text")
    }


def test_the_terminal_draws_any_section_by_its_kind():
    console = Console(width=90, record=True, file=io.StringIO())
    true, said = guessed(40, "ab")
    rows = in_order({"errors": section("errors", true, said)})
    for one in (in_order(EVERY) | rows).values():
        console.print(*in_terminal(one), sep="\n")
    shown = console.export_text()
    assert "0.500 [0.250, 0.750]" in shown
    assert re.search(r"1,000 │ 0.700", shown)
    assert re.search(r"up +│ +1 │ +2 │ +–", shown)
    assert "a.csv:" in shown or "true a" in shown


def test_results_of_another_version_say_to_judge_again(results, tmp_path, monkeypatch):
    del results["sections"], results["version"]
    with pytest.raises(WeitiaoError) as caught:
        page(tmp_path, results, "en", monkeypatch)
    assert caught.value.code == "old_results"
    assert f"weitiao evaluate {tmp_path}" in str(caught.value)


@pytest.fixture
def own():
    """An analysis of a package of somebody else's, which goes by a key that no task here knows."""

    @registry.register("section", "vowels")
    @dataclass(frozen=True)
    class Vowels(Analysis):
        summary = "an example"
        needs = ("number",)

        def section(self, judged: Judged) -> Table | None:
            return Table(
                title=both("Vowels", "元音"),
                columns=[Column(title="n")],
                rows=[TableRow(name="a", values=[len(judged.rows)])],
            )

    yield
    del registry._entries["section"]["vowels"]


def test_a_section_needs_no_word_of_any_task(own):
    rows, told = numbers([(1.0, 2.0), (2.0, 2.0)])
    assert [*analyses(Judged(rows, {"tuned": told}))] == ["scatter", "vowels", "worst_numbers"]
    assert not analyses(Judged([{}], {"tuned": [{"picture": 1}]}))


def test_a_run_has_them_on_page_and_in_results_and_one_that_fails_fails_alone(
    bert, own, tmp_path, monkeypatch
):
    from weitiao.evaluate.sections.scatter import Scatter

    def broken(self, judged):
        raise ValueError("planted")

    monkeypatch.setattr(Scatter, "section", broken)
    rows = write_jsonl(tmp_path / "rated.jsonl", rated(60))
    recipe = small_run(bert, "text_regression", rows, tmp_path / "run", batch=8, judge={"untuned": False})
    run = wt.train(recipe(max_steps=1, eval_strategy="no", load_best_model_at_end=False))
    assert [*run.results["sections"]] == ["vowels", "worst_numbers"]
    assert run.results["missing"] == [{"what": "scatter", "why": "planted"}]
    shown = run.report.read_text(encoding="utf-8")
    assert "Vowels" in shown
    assert "off by" in shown


def test_worst_rows_that_differ_in_their_numbers_alone_are_each_shown():
    texts = [f"area: {40 + n}; rooms: {n}; floor: {n % 7}" for n in range(1, 9)]
    rows = [
        {"text": text, "file": "a.csv", "line": n} for n, text in enumerate([*texts, texts[0].upper() + "!"])
    ]
    shown = worst(Judged(rows, {}), [Case(n, [], "missed") for n in range(len(rows))])
    assert [(row.text, row.times) for row in shown] == [(texts[0], 2), *((text, 1) for text in texts[1:])]


def test_each_of_several_rewards_stands_alone_before_and_after():
    kind, word = [0.1, 0.5, 0.9, 0.4], [1.0, 0.0, 1.0, 1.0]
    tuned = [{"answer": "a", "rewards": {"kind": k, "word": w}} for k, w in zip(kind, word, strict=True)]
    untuned = [{"answer": "b", "rewards": {"kind": 0.4, "word": 1.0}} for _ in kind]
    analysis = registry.build("section", {"name": "reward_parts"})
    rows = [{"text": unlike(n)} for n in range(5)]
    # The last row was not answered.
    found = analysis.section(Judged(rows, {"tuned": [*tuned, {}], "untuned": [*untuned, {}]}))
    values = {row.name: [one.value for one in row.values] for row in found.rows}
    assert values == {"kind": pytest.approx([0.475, 0.4, 0.625]), "word": pytest.approx([0.75, 1.0, 0.375])}
    assert analysis.section(Judged(rows, {"tuned": tuned, "untuned": []})) is None
    alone = [{"answer": "a", "rewards": {"kind": 1.0}}] * 2
    assert analysis.section(Judged(rows, {"tuned": alone, "untuned": alone})) is None
