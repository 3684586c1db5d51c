"""What a plain `pip install weitiao` brings is enough: the way of a run, in an environment that holds nothing else."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ALONE = "import sys; sys.path[:0] = sys.argv.pop(1).split(':'); from weitiao.cli import main; main()"


def closure(asked: list[str]) -> set[str]:
    """The distributions that a list of requirements brings here, extras left out."""
    found: set[str] = set()
    while asked:
        requirement = asked.pop()
        name = re.match(r"[\w.-]+", requirement)[0].lower().replace("_", "-")
        if name in found or "extra ==" in requirement:
            continue
        try:
            brought = distribution(name).requires or []
        except PackageNotFoundError:
            continue  # for another system
        found.add(name)
        asked += brought
    return found


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> Path:
    """A folder of packages with what the project's own dependencies bring, and nothing else."""
    folder = tmp_path_factory.mktemp("plain")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for name in closure(list(project["dependencies"])):
        one = distribution(name)
        for top in {Path(file).parts[0] for file in one.files or ()} - {"..", "__pycache__"}:
            link = folder / top
            if not link.exists():
                link.symlink_to(Path(str(one.locate_file(top))).resolve())
    return folder


def test_the_folder_lacks_what_extras_bring(plain):
    names = {path.name for path in plain.iterdir()}
    assert {"torch", "transformers", "accelerate", "sklearn"} <= names
    assert not {"peft", "bitsandbytes", "captum", "pyarrow", "pandas", "pytest"} & names


@pytest.mark.whole
def test_the_way_of_a_run_needs_no_extra(plain, bert, review_file, tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        f"model: {bert}\ntask: text_classification\ndata: {{train: {review_file}}}\n"
        f"train: {{max_steps: 2}}\noutput_dir: {tmp_path / 'run'}\n",
        encoding="utf-8",
    )
    path = f"{ROOT / 'src'}:{sysconfig.get_path('platstdlib')}/lib-dynload:{plain}"

    def weitiao(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-S", "-c", ALONE, path, *words],
            capture_output=True,
            text=True,
            env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
            cwd=tmp_path,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    for verb in ("check", "plan", "train"):
        weitiao(verb, str(recipe))
    assert weitiao("predict", str(tmp_path / "run"), "a great film").split()[0] in ("good", "bad")
    weitiao("report", str(tmp_path / "run"))
