"""What energy a run took: counters as Linux lays them out, and what the log and nobody tells."""

from __future__ import annotations

import pytest

import weitiao as wt
from tests.conftest import reviews, small_run, write_csv
from weitiao.core.files import read_lines
from weitiao.train import energy


def zone(root, name, kind, now, range_uj=1_000_000):
    folder = root / name
    folder.mkdir(exist_ok=True)
    for file, text in (("name", kind), ("energy_uj", str(now)), ("max_energy_range_uj", str(range_uj))):
        (folder / file).write_text(text + "\n", encoding="ascii")


def test_joules_of_packages_and_their_memory_over_a_turn_of_the_counter(tmp_path):
    zone(tmp_path, "intel-rapl:0", "package-0", 999_000)
    zone(tmp_path, "intel-rapl:0:0", "core", 5_000)  # lies in the package
    zone(tmp_path, "intel-rapl:0:1", "dram", 100)
    zone(tmp_path, "intel-rapl:1", "psys", 7_000)  # holds the package
    before = energy.counters(tmp_path)
    assert sorted(path.name for path in before) == ["intel-rapl:0", "intel-rapl:0:1"]
    zone(tmp_path, "intel-rapl:0", "package-0", 249_000)
    zone(tmp_path, "intel-rapl:0:1", "dram", 50_100)
    assert energy.taken(before, tmp_path) == {"energy_j": pytest.approx(0.3, abs=1e-5)}


def test_a_machine_that_does_not_tell_says_nothing(tmp_path):
    assert energy.taken(energy.counters(tmp_path / "none"), tmp_path / "none") == {}
    zone(tmp_path, "intel-rapl:0", "package-0", 1)
    before = energy.counters(tmp_path)
    (tmp_path / "intel-rapl:0" / "energy_uj").write_text("?", encoding="ascii")
    assert energy.counters(tmp_path) == energy.taken(before, tmp_path) == {}


@pytest.mark.whole
def test_every_step_says_what_it_took_and_the_page_sums_it(bert, tmp_path, monkeypatch):
    asked = []

    def counters(root=energy.POWERCAP):
        asked.append(root)
        return {root: (1_800_000_000 * len(asked), 10**15)}

    monkeypatch.setattr(energy, "counters", counters)
    rows = write_csv(tmp_path / "rows.csv", reviews(60))
    recipe = small_run(bert, "text_classification", rows, tmp_path / "run", batch=8, judge={})
    quick = {"max_steps": 2, "eval_strategy": "no", "load_best_model_at_end": False}
    run = wt.train(recipe(**quick))
    steps = [line for line in read_lines(run.path / "log.jsonl") if line["event"] == "step"]
    assert [line["energy_j"] for line in steps] == [1800.0, 1800.0]
    assert "1.000 Wh" in run.report.read_text(encoding="utf-8")
