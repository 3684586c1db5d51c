"""A run needs the files of its rows no more, once they are dealt: gone on with, it is the run that it would have been."""

from __future__ import annotations

import filecmp
import importlib

import pytest

import weitiao as wt
from tests.conftest import reviews, write_csv
from tests.train.test_loop import KillAt, Killed, same, steps
from weitiao.core.errors import WeitiaoError
from weitiao.core.run import RunFolder
from weitiao.models.assets.fetch import cache_dir
from weitiao.stages.dealt import hand_on
from weitiao.stages.events import silent
from weitiao.study.child_process import Outcome

SHORT = {"overlong": "drop", "max_length": 12, "max_dropped_fraction": 1.0}
"""With it some rows of every side are lost."""
DATA = ("ledger.json", "split.json", "train.jsonl.gz", "validation.jsonl.gz", "test.jsonl", "dealt.jsonl.gz")


@pytest.fixture
def files(tmp_path):
    """Two files of reviews, with a row that cannot be used."""
    rows = reviews(160)
    more = write_csv(tmp_path / "more.csv", [*rows[100:], {"text": "", "label": "good"}])
    return [write_csv(tmp_path / "own.csv", rows[:100]), more]


@pytest.fixture
def own(classify, files, tmp_path):
    """A run killed behind a checkpoint: made rows, weights of files, and rows that are too long."""

    def recipe(name: str, **data):
        words = {"train": list(map(str, files)), "weights": [2.0, 0.5], **SHORT, **data}
        words["augment"] = [{"name": "swap", "copies": 1}]
        judge = {"untuned": False, "baseline": "none"}
        return classify(output_dir=str(tmp_path / name), data=words, max_steps=8, evaluate=judge)

    with pytest.raises(Killed):
        wt.train(recipe("run"), watchers=[KillAt(6)])
    return recipe


def going_on(recipe, **words) -> tuple[wt.Run, list[str]]:
    said: list[str] = []

    def tell(event, **facts):
        said.extend([facts["text"]] if event == "notice" else [])

    return wt.train(recipe, resume=True, tell=tell, **words), said


@pytest.mark.whole
def test_with_its_files_gone_a_run_ends_as_it_would_have_and_encodes_nothing_anew(own, files, tmp_path):
    whole = wt.train(own("whole"))
    ledger = whole.folder.json("data/ledger.json")
    lost = [row for row in ledger["rows"] if row["status"] == "dropped"]
    assert lost
    assert ledger["made"]["swap"]["made"]
    for file in files:
        file.unlink()
    before = set((cache_dir() / "encoded").iterdir())
    run, said = going_on(own("run"))
    assert [text for text in said if "is not there any more" in text] == [
        f"{file} is not there any more: the run goes on with the rows that it keeps" for file in files
    ]
    assert set((cache_dir() / "encoded").iterdir()) == before
    assert same(run.path, whole.path)
    assert steps(run.path) == steps(whole.path)
    for name in DATA:
        assert filecmp.cmp(run.path / "data" / name, whole.path / "data" / name, shallow=False), name
    assert run.results["metrics"] == whole.results["metrics"]
    prints = (each.folder.json("facts.json")["fingerprints"] for each in (run, whole))
    assert next(prints) == next(prints)
    assert wt.evaluate(run).results["metrics"] == whole.results["metrics"]


@pytest.mark.whole
def test_changed_files_are_told_and_not_looked_into_unless_they_are_meant(own, files, tmp_path):
    whole = wt.train(own("whole"))
    files[0].write_text(files[0].read_text() + "one more film,good\n")
    run, said = going_on(own("run"))
    (notice,) = (text for text in said if "is not what it was" in text)
    assert notice.startswith(str(files[0]))
    assert same(run.path, whole.path)
    with pytest.raises(Killed):
        wt.train(own("other"), watchers=[KillAt(6)])
    files[1].write_text(files[1].read_text() + "and one more,good\n")
    other, said = going_on(own("other"), changes=["data.train"])
    assert not any("it goes on with the rows" in text for text in said)
    assert (
        other.folder.json("data/ledger.json")["total"] == whole.folder.json("data/ledger.json")["total"] + 2
    )


@pytest.mark.whole
def test_a_setting_of_rows_is_changed_in_their_files_and_one_of_encoding_in_the_rows_that_are_kept(
    own, files
):
    again = wt.train(own("longer", max_length=20))
    copies = [file.read_bytes() for file in files]
    for file in files:
        file.unlink()
    with pytest.raises(WeitiaoError, match="other_recipe"):
        going_on(own("run", clean=["html"]))
    with pytest.raises(WeitiaoError, match="file_missing"):
        going_on(own("run", clean=["html"]), changes=["data.clean"])
    for file, copy in zip(files, copies, strict=True):
        file.write_bytes(copy)
    run, _ = going_on(own("run", max_length=20, clean=[]), changes=["data.max_length", "data.clean"])
    for name in DATA:
        assert filecmp.cmp(run.path / "data" / name, again.path / "data" / name, shallow=False), name


@pytest.mark.whole
def test_kept_rows_that_were_changed_are_not_taken_for_those_that_were_dealt(own, files, tmp_path):
    whole = wt.train(own("whole"))
    for name in ("test.jsonl", "dealt.jsonl.gz"):
        path = tmp_path / "run" / "data" / name
        path.write_bytes(path.read_bytes()[:-40])
    run, said = going_on(own("run"))
    assert any("are not whole" in text for text in said)
    assert same(run.path, whole.path)


@pytest.mark.whole
def test_before_its_first_step_a_run_reads_its_files(classify, tmp_path):
    file = write_csv(tmp_path / "own.csv", reviews(60))

    class Stop(KillAt):
        def around(self, training):
            raise Killed

    words = classify(data={"train": str(file)}, max_steps=1)
    with pytest.raises(Killed):
        wt.train(words, watchers=[Stop(0)])
    write_csv(file, reviews(70))
    assert wt.train(words, resume=True).folder.json("data/ledger.json")["total"] == 70


@pytest.mark.whole
def test_repetitions_and_shares_are_made_on_the_rows_of_their_run(own, files, tmp_path):
    judge = {"untuned": False, "baseline": "none"}
    whole = own("whole", split={"seed": 0}) | {"seed": 1, "evaluate": judge}
    again = wt.train(whole)
    half = wt.train(own("half", split={"train_share": 0.5}))
    for file in files:
        file.unlink()
    asked = own("run") | {"evaluate": {**judge, "noise_runs": 1}}
    run, _ = going_on(asked, changes=["evaluate"])
    assert steps(run.path / "noise" / "seed-1") == steps(again.path)
    given = own("given", split={"train_share": 0.5})
    hand_on(run.folder, RunFolder(tmp_path / "given"), wt.Recipe.read(given), share=0.5)
    fewer = wt.train(given)
    assert same(fewer.path, half.path)
    for name in DATA:
        assert filecmp.cmp(fewer.path / "data" / name, half.path / "data" / name, shallow=False), name


@pytest.mark.whole
def test_studies_go_on_with_the_rows_of_their_runs(classify, files, tmp_path, monkeypatch):
    def attempt(path, **words):
        wt.train(path, resume=True, tell=silent)
        return Outcome(1.0, None)

    monkeypatch.setattr(importlib.import_module("weitiao.study.schedule"), "train_apart", attempt)
    judge = {"untuned": False, "baseline": "none"}
    words = {"data": {"train": str(files[0])}, "evaluate": judge, "max_steps": 2}
    compared, crossed = (classify(output_dir=str(tmp_path / name), **words) for name in ("methods", "folds"))
    wt.compare(compared, methods=["head", "full"], tell=silent)
    folds = wt.cross_validate(crossed, folds=2, tell=silent).results
    alone = wt.train(classify(output_dir=str(tmp_path / "alone"), method="bitfit", **words))
    files[0].unlink()
    found = wt.compare(compared, methods=["bitfit"], resume=True, tell=silent)
    assert [row["state"] for row in found.results["methods"]] == 3 * ["judged"]
    assert same(found.run("bitfit").path, alone.path)
    assert wt.cross_validate(crossed, folds=2, resume=True, tell=silent).results == folds
