"""What is imported before it is needed costs every start: told by `sys.modules` of a process of its own, not by a clock."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import rarely

SOURCE = Path(__file__).parents[2] / "src"
HEAVY = ("torch", "transformers", "scipy", "sklearn", "pandas", "matplotlib", "gguf", "jinja2")
NOT_TO_TRAIN = (
    "sklearn",
    "matplotlib",
    "pandas",
    "peft",
    "trl",
    "datasets",
    "gguf",
    "bitsandbytes",
    "torchvision",
)
"""Judging, the report, files of other kinds and 4-bit bases import theirs when it is their turn."""

LISTEN = """
import atexit, json, sys
atexit.register(lambda: print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})), file=sys.stderr))
"""


def modules(code: str, cwd: Path) -> set[str]:
    """Top-level modules that were imported when a process with this code ends."""
    done = subprocess.run(
        [sys.executable, "-c", LISTEN + code],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(SOURCE), "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return set(json.loads(done.stderr.splitlines()[-1]))


@pytest.mark.parametrize(
    "words", [["--help"], rarely(["--version"]), ["train", "--help"], rarely(["models"]), ["tasks"]]
)
def test_a_question_is_answered_without_heavy_imports(words, tmp_path):
    found = modules(f"from weitiao.cli import run\nassert run({words}) == 0", tmp_path)
    assert not found & set(HEAVY)
    assert "typer" in found, "or the list would be empty for another reason"


def test_importing_weitiao_imports_nothing_heavy(tmp_path):
    assert not modules("import weitiao as wt; wt.__version__", tmp_path) & set(HEAVY)


def test_a_word_imports_no_other_words_rooms_and_is_never_the_file_in_which_it_stands(tmp_path):
    code = """
import weitiao.api.stress
from weitiao import api
assert callable(api.stress) and callable(api.serve) and sorted(dir(api)) == sorted(api.__all__)
assert not any(name.startswith(("weitiao.study", "weitiao.forecast", "weitiao.launch")) for name in sys.modules)
assert callable(api.init) and callable(api.show)
"""
    assert "typer" not in modules(code, tmp_path)


def test_words_are_looked_for_where_their_types_are():
    from weitiao import api

    (types,) = [node for node in ast.parse(Path(api.__file__).read_text()).body if isinstance(node, ast.If)]
    said = {(line.module, each.name) for line in types.body for each in line.names}
    assert said == {(room, word) for room, words in api._WORDS.items() for word in words}
    assert sorted(word for _, word in said) == sorted(api.__all__)


@pytest.mark.whole
def test_what_judging_and_reporting_need_is_not_imported_before_the_first_step(converse, tmp_path):
    recipe = converse(output_dir=str(tmp_path / "run"), method="lora")
    code = f"""
import weitiao as wt
class Enough(Exception): ...
class First(wt.Watcher):
    def on_step(self, training):
        raise Enough
try:
    wt.train({recipe!r}, watchers=[First()])
except Enough:
    print("a step was taken")
"""
    found = modules(code, tmp_path)
    assert not found & set(NOT_TO_TRAIN)
    assert {"torch", "transformers"} <= found, "or no step was taken at all"
