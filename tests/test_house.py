"""The house keeps its law: rooms know each other downwards alone, nothing goes in a circle, and nothing is a drawer."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "weitiao"
DRAWERS = {"utils", "util", "helpers", "common", "misc"}


def linted(root: Path) -> tuple[int, str]:
    pytest.importorskip("importlinter")
    command = [
        sys.executable,
        "-c",
        "from importlinter.cli import lint_imports_command as c; c()",
        "--no-cache",
    ]
    env = os.environ | {"PYTHONPATH": str(root / "src"), "NO_COLOR": "1"}
    done = subprocess.run(command, cwd=root, env=env, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def house(tmp_path) -> Path:
    """A copy to build wrongly in."""
    shutil.copytree(SOURCE, tmp_path / "src" / "weitiao", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_an_arrow_upwards_and_a_circle_inside_a_room_are_found(house):
    room = house / "src" / "weitiao"
    for file, line in (
        ("stages/prepare.py", "from weitiao.forecast import memory"),
        ("data/labels.py", "from weitiao.data import check"),  # which imports the labels
    ):
        text = (room / file).read_text(encoding="utf-8")
        (room / file).write_text(text + f"\n\ndef planted():\n    {line}\n", encoding="utf-8")
    code, said = linted(house)
    assert code
    assert "weitiao.stages.prepare -> weitiao.forecast.memory" in said
    assert "No cycles are allowed in weitiao.data." in said


def test_nothing_is_called_a_drawer():
    found = [path for path in SOURCE.rglob("*") if path.stem in DRAWERS]
    assert not found, "a helper lives in the room whose word it is"
