"""Test rows written otherwise: what is asked, what is counted, and what is said, through the doors that people use."""

from __future__ import annotations

import json

import numpy as np
import pytest

import weitiao as wt
from tests.conftest import dialogues, paired, reviews, small_run, tagged, write_csv, write_jsonl
from weitiao.cli import run as weitiao
from weitiao.core.contracts import Record
from weitiao.core.errors import WeitiaoError
from weitiao.core.files import sha256
from weitiao.evaluate.paired import holm
from weitiao.stages.kept_rows import kept

pytestmark = pytest.mark.whole  # a training each


def quiet(event: str, **facts) -> None:
    pass


TRAIN = {"num_train_epochs": 5, "learning_rate": 5e-3, "eval_strategy": "no", "load_best_model_at_end": False}


@pytest.fixture(scope="module", autouse=True)
def dictionary(tmp_path_factory):
    """A thesaurus of three words, so that none is fetched."""
    file = tmp_path_factory.mktemp("words") / "words.tsv"
    file.write_text("film\tmovie\nplot\tstory\n好\t号\n", encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("weitiao.models.assets.catalog.dictionary_path", lambda name: file)
        yield


@pytest.fixture(scope="module")
def run(bert, tmp_path_factory) -> wt.Run:
    folder = tmp_path_factory.mktemp("stress")
    rows = [
        {**row, "text": row["text"] + ".", "shop": "ABC"[n % 7 % 3] if n % 29 else ""}
        for n, row in enumerate(reviews(240))
    ]
    recipe = small_run(
        bert,
        "text_classification",
        write_csv(folder / "reviews.csv", rows),
        folder / "run",
        batch=8,
        judge={},
    )
    asked = recipe(method="full", data={"split": {"test": 0.4, "seed": 1}}, **TRAIN)
    return wt.train(asked, tell=quiet)


@pytest.fixture(scope="module")
def found(run) -> dict:
    return wt.stress(run.path, tell=quiet).results


def test_every_score_and_flip_is_that_of_the_rows_that_were_changed(run, found):
    """Lower case is checked by asking the model ourselves; the toy's words are lower case, so capitals are unknown to it."""
    rows = [record for record, _ in kept(run.folder, "test")]
    each = {one["name"]: one for one in found["written_otherwise"]["perturbations"]}
    assert found["missing"] == []
    assert 0 < each["synonyms"]["changed"] < len(rows)
    assert each["homophones"]["changed"] == each["other_width"]["changed"] == 0
    assert each["homophones"]["systems"] == {}
    for name, one in each.items():
        assert one["changed"] + one["unchanged"] == len(rows), name
    upper = each["upper_case"]
    assert upper["changed"] == len(rows) > 60
    truth = np.array([row.values["label"] for row in rows])
    before, after = (
        np.array([said["label"] for said in run.predict([make(row.values["text"]) for row in rows])])
        for make in (str, str.upper)
    )
    own = upper["systems"]["tuned"]
    assert own["before"] == pytest.approx((before == truth).mean())
    assert own["after"] == pytest.approx((after == truth).mean())
    assert own["difference"] == pytest.approx(own["after"] - own["before"])
    assert own["flips"]["value"] == pytest.approx((before != after).mean())
    assert own["low"] <= own["difference"] <= own["high"] < 0, "the model knows no capitals"
    asked = [one["systems"]["tuned"] for one in each.values() if one["systems"]]
    assert [one["p_holm"] for one in asked] == pytest.approx(holm([one["p_value"] for one in asked]))
    assert own["p_holm"] < 0.01
    assert "untuned" in upper["systems"]
    for row in found["sections"]["written_otherwise_flips"]["rows"]:
        assert row["text"] != row["answers"][0]["text"]


def test_the_page_shows_it_while_the_model_is_the_same(run, found):
    assert found["card"] == sha256(run.path / "model" / "weitiao.json")
    assert "no punctuation" in run.report.read_text(encoding="utf-8")
    path = run.path / "stress.json"
    kept_text = path.read_text(encoding="utf-8")
    path.write_text(json.dumps({**found, "card": "of another model"}), encoding="utf-8")
    wt.report(run)
    assert "no punctuation" not in run.report.read_text(encoding="utf-8")
    path.write_text(kept_text, encoding="utf-8")
    assert "nan" not in kept_text.lower()


def test_groups_are_those_of_a_column_of_the_files(run, capsys):
    assert weitiao(["stress", str(run.path), "--group-column", "shop", "--json", "-q"]) == 0
    made = json.loads(capsys.readouterr().out)
    rows = [record for record, _ in kept(run.folder, "test")]
    shops = ["ABC"[(row.line - 2) % 7 % 3] if (row.line - 2) % 29 else "" for row in rows]
    assert made["gaps"]["without"] == shops.count("")
    assert made["gaps"]["groups"] == {shop: shops.count(shop) for shop in "ABC"}
    said = [told["label"] for told in run.predict([row.values["text"] for row in rows])]
    right = [one == row.values["label"] for one, row in zip(said, rows, strict=True)]
    for shop, value in made["gaps"]["measures"][0]["values"].items():
        assert value == pytest.approx(
            np.mean([r for r, own in zip(right, shops, strict=True) if own == shop])
        )
    assert "Gaps between groups: shop" in run.report.read_text(encoding="utf-8")
    assert weitiao(["stress", str(run.path), "--group-column", "shp", "-q"]) == 2
    assert "shop" in capsys.readouterr().err
    one_of_a_kind = wt.stress(run, group_column="text", untuned=False, tell=quiet).results["gaps"]
    assert "fewer than two groups" in one_of_a_kind["why"]


def test_groups_may_lie_in_a_file_of_their_own(run, tmp_path, capsys):
    rows = [record for record, _ in kept(run.folder, "test")]
    told = [{"text": row.values["text"], "region": "NS"[n % 2], "more": str(n)} for n, row in enumerate(rows)]
    table = write_csv(tmp_path / "regions.csv", [*told[5:], {**told[6], "region": "S"}])
    found = run.stress(group_column="region", groups=table, untuned=False, tell=quiet).results["gaps"]
    # Five rows are not in it, and one is there twice, as two things.
    assert told[6]["region"] == "N"
    assert found["without"] == 6
    assert sum(found["groups"].values()) == len(rows) - 6
    said = [one["label"] for one in run.predict([row.values["text"] for row in rows])]
    hits = [one == row.values["label"] for one, row in zip(said, rows, strict=True)]
    mine = [hit for n, hit in enumerate(hits) if n > 6 and n % 2 == 0]
    assert found["measures"][0]["values"]["N"] == pytest.approx(np.mean(mine))
    asked = ["stress", str(run.path), "-q", "--groups", str(table)]
    assert weitiao(asked) == 2
    assert "--group-column" in capsys.readouterr().err
    assert weitiao([*asked, "--group-column", "regoin"]) == 2
    assert "region" in capsys.readouterr().err
    strange = write_csv(tmp_path / "strange.csv", [{"text": "of another run", "region": "N"}])
    assert weitiao(["stress", str(run.path), "-q", "--groups", str(strange), "--group-column", "region"]) == 3
    assert "none of the texts" in capsys.readouterr().err


def test_rate_and_rows_are_heeded_from_the_command_line(run, capsys):
    few = wt.stress(run, rows=30, rate=0.02, untuned=False, tell=quiet).results
    assert weitiao(["stress", str(run.path), "--rows", "30", "--rate", "0.9", "--json", "-q"]) == 0
    many = json.loads(capsys.readouterr().out)
    assert few["rows"] == many["rows"] == 30
    first, second = (
        {one["name"]: one for one in each["written_otherwise"]["perturbations"]} for each in (few, many)
    )
    assert (first["keyboard"]["rate"], second["keyboard"]["rate"]) == (0.02, 0.9)
    spoilt, sound = (one["keyboard"]["systems"]["tuned"]["flips"]["value"] for one in (second, first))
    assert spoilt > sound
    assert "untuned" not in first["keyboard"]["systems"]
    assert weitiao(["stress", str(run.path), "--rows", "30", "-q"]) == 0
    assert "no punctuation" in capsys.readouterr().out


def test_words_with_tags_keep_them_and_an_answer_is_never_changed(bert, llama, tmp_path):
    words = write_jsonl(tmp_path / "tagged.jsonl", tagged(60))
    recipe = small_run(bert, "token_classification", words, tmp_path / "words", batch=8, judge={})
    found = wt.stress(wt.train(recipe(method="head", **TRAIN), tell=quiet), tell=quiet).results
    each = {one["name"]: one for one in found["written_otherwise"]["perturbations"]}
    assert found["written_otherwise"]["metric"] == "span_f1"
    assert each["upper_case"]["systems"] == {} or each["upper_case"]["systems"]["tuned"]["flips"]

    talk = write_jsonl(tmp_path / "talk.jsonl", dialogues(60))
    recipe = small_run(llama, "sft", talk, tmp_path / "talk", batch=8, judge={"samples": 1, "answers": 1})
    run = wt.train(recipe(method="lora", data={"split": {"test": 0.3}}, **TRAIN), tell=quiet)
    found = wt.stress(run, tell=quiet).results
    own = {one["name"]: one for one in found["written_otherwise"]["perturbations"]}["upper_case"]
    assert own["systems"]["tuned"]["flips"] is None, "a likelihood does not flip"
    assert {(one["rows"] < 10, one["swapped"]) for one in found["swaps"]["kinds"]} == {(True, None)}
    assert "evaluate.answers" in found["diversity"]["why"]
    assert {one["swapped"] for one in found["swapped_answers"]["kinds"]} == {None}
    assert "nothing is said" in found["sections"]["swapped_answers"]["foot"]["en"]
    assert own["systems"]["tuned"]["before"] == pytest.approx(
        run.results["metrics"]["tuned"][found["written_otherwise"]["metric"]]["value"], rel=1e-5
    )


def test_what_cannot_be_asked_is_said(run, bert, tmp_path, capsys):
    with pytest.raises(WeitiaoError, match=r"wrong_usage.*rate is 2"):
        wt.stress(run, rate=2, tell=quiet)
    assert weitiao(["stress", str(run.path), "--rows", "0"]) == 2
    assert weitiao(["stress", str(tmp_path / "nowhere")]) == 5
    capsys.readouterr()
    table = write_csv(tmp_path / "few.csv", reviews(40))
    recipe = small_run(bert, "text_classification", table, tmp_path / "none", batch=8, judge={})
    none = wt.train(recipe(method="head", data={"split": {"test": 0}}, **TRAIN), tell=quiet)
    with pytest.raises(WeitiaoError, match="stress_without_test"):
        wt.stress(none)


def test_a_text_to_go_on_with_is_its_own_answer(llama, tmp_path):
    plain = write_jsonl(tmp_path / "plain.jsonl", [{"text": row["text"]} for row in reviews(60)])
    recipe = small_run(llama, "language_modeling", plain, tmp_path / "plain", batch=8, judge={})
    found = wt.stress(wt.train(recipe(method="lora", **TRAIN), tell=quiet), tell=quiet).results
    assert "one text" in found["written_otherwise"]["why"]
    assert found["swaps"] == found["written_otherwise"]
    assert found["sections"] == {}


def test_no_answers_are_made_where_the_recipe_wants_none(llama, tmp_path):
    talk = write_jsonl(tmp_path / "talk.jsonl", dialogues(40))
    recipe = small_run(llama, "sft", talk, tmp_path / "talk", batch=8, judge={"samples": 1, "answers": 0})
    run = wt.train(
        recipe(method="lora", data={"split": {"test": 0.3}}, **TRAIN | {"num_train_epochs": 1}), tell=quiet
    )
    found = run.stress(untuned=False, rows=4, tell=quiet).results
    assert "evaluate.answers" in found["swapped_answers"]["why"]
    assert "swapped_answers" not in found["sections"]


def test_rows_that_are_each_others_candidates_are_none_of_their_own_copies(bert, tmp_path):
    """Only the words of who asks are written otherwise, and what is to be found stands among the passages as they are."""
    folder = tmp_path / "run"
    rows = [row for row in paired(120) if len({"film", "plot"} & {*row["anchor"].split()}) < 2]
    recipe = small_run(
        bert, "embedding", write_jsonl(tmp_path / "rows.jsonl", rows), folder, batch=8, judge={}
    )
    asked = recipe(method="full", data={"split": {"test": 0.4, "seed": 1}}, **TRAIN)
    run = wt.train(asked, tell=quiet)
    found = run.stress(tell=quiet).results["written_otherwise"]["perturbations"]
    said = next(one for one in found if one["name"] == "synonyms")
    records = [record for record, _ in kept(run.folder, "test")]
    meant = [record.values for record in records if {"film", "plot"} & {*record.values["anchor"].split()}]
    assert said["changed"] == len(meant) > 10
    other = {"film": "movie", "plot": "story"}
    reworded = [
        {**row, "anchor": " ".join(other.get(word, word) for word in row["anchor"].split())} for row in meant
    ]

    def vectors(rows):
        examples = [example for _, example in run.read([Record("", n, row) for n, row in enumerate(rows)])]
        return [told["vectors"] for told in run.alone(examples, None)]

    texts = {
        text: None for record in records for text in (record.values["positive"], *record.values["negative"])
    }
    passages = {
        text: vector
        for record, each in zip(records, vectors(record.values for record in records), strict=True)
        for text, vector in zip(
            (record.values["positive"], *record.values["negative"]), each[1:], strict=True
        )
    }
    for rows, value in (
        (meant, said["systems"]["tuned"]["before"]),
        (reworded, said["systems"]["tuned"]["after"]),
    ):
        gains = []
        for row, each in zip(rows, vectors(rows), strict=True):
            scores = {text: float(each[0] @ passages[text]) for text in texts}
            rank = 1 + sum(score > scores[row["positive"]] for score in scores.values())
            gains.append(1 / np.log2(1 + rank) if rank <= 10 else 0.0)
        assert value == pytest.approx(np.mean(gains), abs=1e-6)
