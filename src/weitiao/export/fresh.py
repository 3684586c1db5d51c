"""What an exported folder says, in a process that knows neither weitiao nor a network.  Run by its path, never imported.

    python -I fresh.py FOLDER WORK     WORK/asked.json, WORK/asked.npz  ->  WORK/said.json, WORK/said.npz

`FOLDER/runner.py` reads texts, is asked batches, and answers; it is started and timed on one core.
"""

import importlib.util
import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

NETWORK = ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto")
TIMED = 20
"""Answers whose time is taken, of the rows of middle length; the first ones warm up."""


def _offline(event: str, values: object) -> None:
    if event in NETWORK:
        raise RuntimeError(f"{event}: an exported model needs no network")


def _peak_mb() -> float:
    status = Path("/proc/self/status")
    if status.is_file():  # what getrusage says on Linux is also of whoever has started this process
        found = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
        return int(found["VmHWM"].split()[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _runner(folder: Path) -> Any:
    spec: Any = importlib.util.spec_from_file_location("runner", folder / "runner.py")
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def _losses(logits: np.ndarray, places: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Cross-entropy of learnt tokens, of scores laid flat."""
    kept = logits.reshape(-1, logits.shape[-1])[places].astype(np.float64)
    most = kept.max(-1, keepdims=True)
    return most[:, 0] + np.log(np.exp(kept - most).sum(-1)) - kept[np.arange(len(targets)), targets]


def _asked(runner: Any, asked: dict, arrays: dict) -> dict:
    found: dict = {}
    for number, names in enumerate(asked["passes"]):
        said = runner.ask({name: arrays[f"{number}/{name}"] for name in names})
        if f"{number}|places" in arrays:
            places, targets = arrays[f"{number}|places"], arrays[f"{number}|targets"]
            found[f"{number}|losses"] = _losses(said["logits"], places, targets)
        if number < asked["whole"]:
            found |= {f"{number}/{name}": value for name, value in said.items()}
    return found


def _read(runner: Any, asked: dict) -> dict:
    found: dict = {}
    for number, rows in enumerate(asked["texts"]):
        read = runner.read([tuple(row) for row in rows])
        found |= {f"read{number}/{name}": np.asarray(value) for name, value in read.items()}
    return found


def _milliseconds(runner: Any, rows: list) -> float | None:
    spent = []
    for row in rows[:TIMED]:
        begun = time.process_time()
        runner.answers([tuple(row)])
        spent.append(time.process_time() - begun)
    return round(1e3 * float(np.median(spent[len(spent) // 4 :])), 3) if spent else None


def main(folder: Path, work: Path) -> None:
    """Ask everything, and write what is said."""
    sys.addaudithook(_offline)
    asked = json.loads((work / "asked.json").read_text(encoding="utf-8"))
    cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
    if cores:
        os.sched_setaffinity(0, {max(cores)})
    begun = time.process_time()
    runner = _runner(folder)
    told: dict = {"start_s": round(time.process_time() - begun, 3)}
    told["ms"] = _milliseconds(runner, asked["timed"])
    told["peak_mb"] = round(_peak_mb(), 1)
    if cores:
        os.sched_setaffinity(0, cores)
    with np.load(work / "asked.npz") as file:  # no earlier: they are no part of what the runner takes
        arrays = dict(file)
    found = _read(runner, asked)
    found |= _asked(runner, asked, arrays)
    told["answers"] = [runner.answers([tuple(row) for row in rows]) for rows in asked["texts"]]
    if asked["turns"]:
        begun = time.process_time()
        told["spoken"] = [runner.spoken(turns, **asked["speaks"]) for turns in asked["turns"]]
        told["ms"] = round(1e3 * (time.process_time() - begun) / len(asked["turns"]), 3)
    if asked["speaks"]:
        told["ends"] = sorted(runner.ENDS)
    if hasattr(runner, "READER"):  # one that has several ways to read its file says which it took
        told["reader"] = runner.READER
    told["modules"] = sorted({name.partition(".")[0] for name in sys.modules})
    np.savez(work / "said.npz", **found)
    (work / "said.json").write_text(json.dumps(told), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
