"""A run folder is whole at every moment, belongs to one process, and says why it cannot be used."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys

import pytest
import yaml

from weitiao.core import run as runs
from weitiao.core.errors import WeitiaoError
from weitiao.core.files import disk, read_lines, sha256, write_json, write_lines, write_text
from weitiao.core.recipe import Recipe
from weitiao.core.run import RunFolder, claim, differences, facts, open_run


def refused(code: str, *words: str):
    return pytest.raises(WeitiaoError, match=rf"(?s)^\[{code}\].*" + ".*".join(words))


def recipe(path, **words) -> Recipe:
    return Recipe.read({"model": "m", "task": "sft", "output_dir": str(path), **words})


def listing(path) -> dict[str, bytes]:
    """Every file of a folder with its bytes; the lock is no content."""
    return {
        str(p.relative_to(path)): p.read_bytes() for p in path.rglob("*") if p.is_file() and p.name != ".lock"
    }


def begin(path, **words) -> RunFolder:
    """A run that has taken a step and was left."""
    with claim(recipe(path, **words), resume=False) as folder:
        folder.log(event="step", step=1, loss=0.5)
    return folder


# --- writing


@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_a_write_that_fails_leaves_the_old_file(call, number, tmp_path, monkeypatch):
    path = tmp_path / "results.json"
    write_json(path, {"old": 1})

    def fail(*args, **options):
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        with pytest.raises((WeitiaoError, OSError)):
            write_json(path, {"new": 2})
    assert list(listing(tmp_path)) == ["results.json"], "nothing half-written stays"
    assert json.loads(path.read_text()) == {"old": 1}
    write_json(path, {"new": 2})
    assert json.loads(path.read_text()) == {"new": 2}


def test_a_file_is_flushed_before_it_gets_its_name(tmp_path, monkeypatch):
    order = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda handle: (order.append("fsync"), fsync(handle)))
    monkeypatch.setattr(os, "replace", lambda a, b: (order.append("replace"), replace(a, b)))
    write_text(tmp_path / "deep" / "er" / "a.txt", "字")
    assert order == ["fsync", "replace"]
    assert (tmp_path / "deep" / "er" / "a.txt").read_text(encoding="utf-8") == "字"


def test_lines_come_back_and_a_cut_last_one_is_left_out(tmp_path):
    path = tmp_path / "log.jsonl"
    values = [{"a": 1}, {"text": "好\u2028坏"}, {"b": 0.1}]
    write_lines(path, values)
    assert read_lines(path) == values
    whole = path.read_bytes()
    ends = [i + 1 for i, byte in enumerate(whole) if byte == ord("\n")]
    for cut in range(len(whole)):
        path.write_bytes(whole[:cut])
        # A line is there from its last brace on, with or without its line feed.
        assert read_lines(path) == values[: sum(cut >= end - 1 for end in ends)], cut
    assert read_lines(tmp_path / "nowhere.jsonl") == []


def test_floats_keep_every_bit_in_the_log(tmp_path):
    folder = RunFolder(tmp_path)
    folder.log(loss=0.1 + 0.2, rate=1e-45)
    assert read_lines(tmp_path / "log.jsonl") == [{"loss": 0.1 + 0.2, "rate": 1e-45}]


def test_forgetting_drops_later_steps_and_the_end(tmp_path):
    folder = RunFolder(tmp_path)
    for step in (1, 2, 3):
        folder.log(event="step", step=step)
    folder.log(event="end", step=3)
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"event": "st')
    folder.forget_after(2)
    assert read_lines(tmp_path / "log.jsonl") == [{"event": "step", "step": 1}, {"event": "step", "step": 2}]
    folder.forget_after(0)
    assert read_lines(tmp_path / "log.jsonl") == []


# --- the disk


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "disk_full"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "disk_full"),
        (PermissionError(errno.EACCES, "Permission denied"), "no_permission"),
        (OSError(errno.EROFS, "Read-only file system"), "no_permission"),
        (NotADirectoryError(errno.ENOTDIR, "Not a directory"), "not_a_folder"),
        # What safetensors raises is no OSError.
        (
            RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)"),
            "disk_full",
        ),
        (
            RuntimeError("Error while serializing: I/O error: Permission denied (os error 13)"),
            "no_permission",
        ),
    ],
)
def test_what_the_disk_says_becomes_a_coded_error(error, code, tmp_path):
    path = tmp_path / "not" / "there" / "yet"
    with refused(code, str(path)), disk(path, needed_bytes=5_000_000):
        raise error


def test_where_nobody_may_make_a_folder_another_file_that_is_missing_is_not_meant(tmp_path):
    path = tmp_path / "not" / "there"
    for there in (path, path.parent, path.with_name(".there.tmp")):  # as below /proc
        with refused("no_permission", str(there)), disk(path):
            raise FileNotFoundError(errno.ENOENT, "", str(there))
    with pytest.raises(FileNotFoundError), disk(path):
        raise FileNotFoundError(errno.ENOENT, "", str(tmp_path / "rows" / "picture.png"))


def test_disk_full_says_how_much_is_needed(tmp_path):
    with refused("disk_full", "5 MB needed", r"\d+ MB free"), disk(tmp_path, needed_bytes=5_000_000):
        raise OSError(errno.ENOSPC, "")


def test_other_errors_pass_the_disk_unchanged(tmp_path):
    for error in (OSError(errno.EIO, "x"), ValueError("y"), RuntimeError("(os error 5)")):
        with pytest.raises(type(error)) as caught, disk(tmp_path):
            raise error
        assert not isinstance(caught.value, WeitiaoError)


def test_a_log_line_on_a_full_disk_is_a_coded_error(tmp_path, monkeypatch):
    folder = begin(tmp_path / "run")

    def full(self, *args, **options):
        raise OSError(errno.ENOSPC, "")

    monkeypatch.setattr(type(folder.path), "open", full)
    with refused("disk_full", "run"):
        folder.log(step=2)


# --- one run, one folder


def test_a_claimed_folder_holds_the_recipe_and_is_released(tmp_path):
    asked = recipe(tmp_path / "run", seed=3)
    with claim(asked, resume=False) as folder:
        assert folder.recipe == asked
        assert (folder.path / ".holder").read_text() == str(os.getpid())
        assert not folder.begun
        assert folder.state == "not begun"
    assert not (folder.path / ".holder").exists()
    with claim(asked, resume=False):
        pass


def test_the_folder_is_released_when_the_run_fails(tmp_path):
    with pytest.raises(ZeroDivisionError), claim(recipe(tmp_path / "run"), resume=False):
        raise ZeroDivisionError
    with claim(recipe(tmp_path / "run"), resume=False):
        pass


HOLDER = """
import sys
from weitiao.core.recipe import Recipe
from weitiao.core.run import claim
with claim(Recipe.read({"model": "m", "task": "sft", "output_dir": sys.argv[1]}), resume=False) as folder:
    folder.log(event="step", step=1)
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_process_is_refused_with_the_pid_of_the_first(tmp_path):
    path = tmp_path / "run"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "held\n"
        before = listing(path)
        for resume in (False, True):
            with refused("run_busy", str(path), f"process {other.pid}"), claim(recipe(path), resume=resume):
                pass
        assert listing(path) == before, "the loser touches nothing"
        other.send_signal(signal.SIGKILL)
        other.wait()
    # The lock of a killed process is free at once.
    with claim(recipe(path), resume=True):
        pass


def test_a_folder_with_strangers_is_refused_untouched(tmp_path):
    path = tmp_path / "thesis"
    path.mkdir()
    (path / "chapter.txt").write_text("dear")
    (path / "recipe.yaml").write_text("# of my grandmother\nmodel: cake\n")
    before = listing(path)
    for resume in (False, True):
        with refused("folder_not_empty", "chapter.txt"), claim(recipe(path), resume=resume):
            pass
        assert listing(path) == before


def test_a_recipe_written_by_a_person_is_not_overwritten(tmp_path):
    path = tmp_path / "run"
    path.mkdir()
    asked = recipe(path)
    (path / "recipe.yaml").write_text("# my notes\n" + asked.to_yaml())
    with refused("folder_not_empty", "recipe.yaml"), claim(asked, resume=False):
        pass
    assert (path / "recipe.yaml").read_text().startswith("# my notes")


def test_a_file_in_the_way_is_named(tmp_path):
    (tmp_path / "run").write_text("a file")
    with refused("not_a_folder", "run"), claim(recipe(tmp_path / "run"), resume=False):
        pass
    with refused("not_a_folder", "deeper"), claim(recipe(tmp_path / "run" / "deeper"), resume=False):
        pass


def test_a_begun_run_is_gone_on_with_only_when_asked(tmp_path):
    path = tmp_path / "run"
    begin(path)
    before = listing(path)
    with refused("run_exists", "unfinished", "--resume"), claim(recipe(path), resume=False):
        pass
    assert listing(path) == before
    with claim(recipe(path), resume=True) as folder:
        assert folder.begun


def test_another_recipe_is_refused_with_the_difference(tmp_path):
    path = tmp_path / "run"
    begin(path, train={"learning_rate": 0.001}, method={"name": "lora", "r": 8})
    before = listing(path)
    other = recipe(path, train={"learning_rate": 0.01}, method={"name": "lora", "r": 8}, seed=2)
    with (
        refused("other_recipe", "seed: 0 -> 2\n", "train.learning_rate: 0.001 -> 0.01\n") as caught,
        claim(other, resume=True),
    ):
        pass
    assert "method" not in str(caught.value), "what is equal is not named"
    assert listing(path) == before


def test_keys_that_came_since_a_run_was_begun_stand_at_their_defaults(tmp_path):
    """An update of weitiao brings keys that an older run's recipe does not have; the run goes on all the same."""
    path = tmp_path / "run"
    begin(path, method={"name": "lora", "r": 16})
    tree = yaml.safe_load((path / "recipe.yaml").read_text())
    del tree["evaluate"], tree["data"]["split"]["seed"], tree["train"]["weight_decay"], tree["method"]["r"]
    (path / "recipe.yaml").write_text(yaml.safe_dump(tree))
    with claim(recipe(path, method={"name": "lora", "r": 16}), resume=True) as folder:
        assert folder.begun
    (path / "recipe.yaml").write_text(yaml.safe_dump(tree))
    other = recipe(path, method={"name": "lora", "r": 4}, data={"split": {"seed": 7}})
    with (
        refused("other_recipe", "data.split.seed: None -> 7", "method.r: 16 -> 4"),
        claim(other, resume=True),
    ):
        pass


def test_a_run_that_took_no_step_binds_nobody(tmp_path):
    """Bad rows stop a run before its first step; the same command with another recipe must then work."""
    path = tmp_path / "run"
    with claim(recipe(path), resume=False) as folder:
        write_json(path / "facts.json", {"fingerprints": {"data": "old"}})
        write_lines(path / "data" / "rows.jsonl", [{"a": 1}])
    for resume in (False, True):
        with claim(recipe(path, data={"bad_rows": "drop"}), resume=resume) as folder:
            assert folder.recipe.data.bad_rows == "drop"
            assert folder.json("facts.json") == {}


def test_a_full_disk_or_a_closed_door_leaves_a_folder_that_can_be_claimed(tmp_path, monkeypatch):
    path = tmp_path / "run"
    for number, code in ((errno.ENOSPC, "disk_full"), (errno.EACCES, "no_permission")):
        with monkeypatch.context() as patch:

            def fail(*args, number=number):
                raise OSError(number, os.strerror(number))

            patch.setattr(os, "replace", fail)
            with refused(code), claim(recipe(path), resume=False):
                pass
    with claim(recipe(path), resume=False):
        pass


def test_differences_name_keys_with_their_path():
    old = {"a": 1, "b": {"c": 1, "d": [1]}, "gone": 3}
    new = {"a": 1, "b": {"c": 2, "d": [1]}, "new": {"x": 1}}
    assert list(differences(old, new)) == ["b.c: 1 -> 2", "gone: 3 -> None", "new: None -> {'x': 1}"]
    assert list(differences(old, old)) == []


# --- looking


def test_opening_needs_a_run(tmp_path):
    with refused("no_run", str(tmp_path)):
        open_run(tmp_path)
    assert open_run(begin(tmp_path / "run").path).recipe.model == "m"


def test_checkpoints_are_ordered_by_number(tmp_path):
    for name in ("checkpoint-2", "checkpoint-10", "checkpoint-9", "checkpoint-x", ".checkpoint-11.tmp"):
        (tmp_path / name).mkdir()
    assert [p.name for p in RunFolder(tmp_path).checkpoints()] == [
        "checkpoint-10",
        "checkpoint-9",
        "checkpoint-2",
    ]


def test_a_run_says_how_far_it_is(tmp_path):
    folder = begin(tmp_path / "run")
    assert (folder.state, folder.finished, folder.begun) == ("unfinished", False, True)
    write_json(folder.model / "weitiao.json", {})
    assert (folder.state, folder.finished) == ("trained", True)
    write_json(folder.path / "results.json", {})
    assert folder.state == "judged"


def test_facts_name_what_a_repetition_needs():
    found = facts(seed=3, device="cpu", fingerprints={"data": "a", "base": "b"})
    assert found["seed"] == 3
    assert found["fingerprints"] == {"data": "a", "base": "b"}
    assert found["versions"]["torch"]
    assert {"python", "platform", "cores", "memory_gb", "device"} == set(found["machine"])
    json.dumps(found)


def test_facts_do_without_a_package(monkeypatch):
    monkeypatch.setattr(runs, "PACKAGES", ("weitiao", "nowhere-to-be-found"))
    found = facts(seed=0, device="cpu", fingerprints={})
    assert found["versions"]["nowhere-to-be-found"] == "not installed as a package"


def test_sha256_is_of_the_bytes(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
