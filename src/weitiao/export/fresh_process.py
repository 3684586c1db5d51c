"""Asks an exported folder in a process of its own, and brings back what it said.

ask(folder, asked, run, extra)  ->  Answered(passes, read, answers, told)
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from weitiao.core.files import disk, write_json
from weitiao.export.differs import Differs
from weitiao.export.heard import Pass

PROGRAM = Path(__file__).with_name("fresh.py")
LEFT = {"PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH", "SYSTEMROOT", "PYTHONHASHSEED"}
"""What such a process keeps of the environment: nothing that says where packages or caches lie."""


@dataclass(frozen=True)
class Answered:
    """What the form's own runner said."""

    passes: list[Pass]
    losses: dict[int, np.ndarray]
    """Of the learnt tokens of passes that have some."""
    read: list[dict[str, np.ndarray]]
    answers: list[list[dict[str, Any]]]
    told: Mapping[str, Any]
    """How long it took, in what memory, and how it speaks."""


def ask(
    folder: Path,
    passes: Sequence[Pass],
    *,
    texts: Sequence[Sequence[Sequence[str]]],
    whole: int,
    learnt: Mapping[int, tuple[Any, Any]] | None = None,
    turns: Sequence[Any] = (),
    speaks: Mapping[str, Any] | None = None,
    without: Sequence[str] = (),
) -> Answered:
    """Run `runner.py` of a folder.

    Args:
        folder: of the form.
        passes: inputs that its model is to be called with.
        texts: batches of rows to be read and answered, each one text or two.
        whole: of so many of the passes all outputs come back.
        learnt: pass -> places and targets of learnt tokens, whose losses come back.
        turns: prompts to be answered in words.
        speaks: how.
        without: modules that must not be needed.

    Raises:
        Differs: `runs` where it cannot be asked, or needs what it must not.
    """
    with tempfile.TemporaryDirectory(prefix="weitiao-export-") as made, disk(Path(made)):
        work = Path(made)
        arrays = {
            f"{number}/{name}": each for number, one in enumerate(passes) for name, each in one.inputs.items()
        }
        for number, (places, targets) in (learnt or {}).items():
            arrays |= {f"{number}|places": np.asarray(places), f"{number}|targets": np.asarray(targets)}
        np.savez(work / "asked.npz", allow_pickle=False, **arrays)
        middle = [row for batch in texts[1:2] for row in batch]
        asked = {
            "passes": [list(one.inputs) for one in passes],
            "whole": whole,
            "texts": texts,
            "timed": (middle * 4)[:20],
            "turns": list(turns),
            "speaks": dict(speaks or {}),
        }
        write_json(work / "asked.json", asked)
        env = {name: value for name, value in os.environ.items() if name in LEFT}
        env |= {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "HF_HOME": str(work)}
        command = [sys.executable, "-I", "-B", str(PROGRAM), str(folder.resolve()), str(work)]
        done = subprocess.run(command, env=env, cwd=work, capture_output=True, text=True, errors="replace")
        if done.returncode or not (work / "said.json").is_file():
            lines = [line for line in done.stderr.strip().splitlines() if line.strip()]
            raise Differs("runs", why=(lines or [f"exit {done.returncode}"])[-1])
        told = json.loads((work / "said.json").read_text(encoding="utf-8"))
        with np.load(work / "said.npz") as file:
            said = dict(file)
    if needless := sorted({"weitiao", *without}.intersection(told.pop("modules"))):
        raise Differs("runs", why=", ".join(needless))
    return Answered(
        [Pass(one.inputs, _named(said, f"{at}/"), one.kind) for at, one in enumerate(passes[:whole])],
        {at: said[f"{at}|losses"] for at in learnt or {}},
        [_named(said, f"read{at}/") for at in range(len(texts))],
        told.pop("answers"),
        told,
    )


def _named(arrays: Mapping[str, np.ndarray], before: str) -> dict[str, np.ndarray]:
    return {name.removeprefix(before): each for name, each in arrays.items() if name.startswith(before)}
