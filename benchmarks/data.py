"""The data room beside its peer, and against its own size.

python -m benchmarks.data [--mb 100] [--rows 1000000] [--rounds 2]

Two jobs, each system a process of its own, in turn; CPU time of the process and all its children, peak memory of the
largest of them.

- `encode`: tokenise plain texts and pack them.  Ours is the whole way of `weitiao train` up to the batches (read,
  check, find repeats, encode to disk, plan an epoch); the peer is `datasets`: `load_dataset`, `map` with the
  tokenizer and `map` into blocks of 512, two processes, as its documentation shows.  Also ours on a quarter of the
  file: memory that is flat does not fall with it.
- `check`: `weitiao data check` on short rows, and on half of them: linear time means a ratio of two.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median

BLOCK = 512
MODEL = "smollm2-135m"


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.data", description=__doc__.splitlines()[0])
    parser.add_argument("--mb", type=float, default=100, help="text to tokenise (default: 100)")
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows to check (default: 1,000,000)")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args(words)
    if asked.worker:
        worker(*asked.worker)
        return
    with tempfile.TemporaryDirectory(prefix="weitiao-bench-") as name:
        folder = Path(name)
        whole, part = folder / "texts.jsonl", folder / "quarter.jsonl"
        write_texts(whole, mb=asked.mb)
        write_texts(part, mb=asked.mb / 4)
        rows, half = folder / "rows.csv", folder / "half.csv"
        write_rows(rows, asked.rows)
        write_rows(half, asked.rows // 2)
        jobs = {
            f"encode {asked.mb:g} MB, weitiao": ("ours", whole),
            f"encode {asked.mb:g} MB, datasets.map": ("peer", whole),
            f"encode {asked.mb / 4:g} MB, weitiao": ("ours", part),
            f"check {asked.rows:,} rows": ("check", rows),
            f"check {asked.rows // 2:,} rows": ("check", half),
        }
        found: dict[str, list[dict[str, float]]] = {job: [] for job in jobs}
        for _ in range(asked.rounds):
            for job, (system, file) in jobs.items():
                found[job].append(start(system, file, folder))
        table(found)


def start(system: str, file: Path, folder: Path) -> dict[str, float]:
    """Run one system once, with an empty cache of encoded rows."""
    cache = Path(tempfile.mkdtemp(dir=folder))
    # Where the models lie; the cache of encoded rows is this run's own.
    from weitiao.models.assets import catalog

    environment = {
        **os.environ,
        **dict.fromkeys(("OMP_NUM_THREADS", "RAYON_NUM_THREADS"), "1"),
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": str(cache),
        "WEITIAO_CACHE": str(cache),
        "BENCH_MODEL": str(catalog.model_path(MODEL)),
    }
    command = [sys.executable, "-m", "benchmarks.data", "--worker", system, str(file)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr[-3000:])
    return json.loads(done.stdout.splitlines()[-1])


def worker(system: str, file: str) -> None:
    tokens = {"ours": encode_ours, "peer": encode_peer, "check": check}[system](file)
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    print(
        json.dumps(
            {
                "cpu_s": own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime,
                "peak_mb": max(own.ru_maxrss, children.ru_maxrss) / 1e3,
                "tokens": tokens,
            }
        )
    )


def encode_ours(file: str) -> int:
    from weitiao.core import registry
    from weitiao.core.recipe import Data
    from weitiao.data import check as checking
    from weitiao.data.encode import Encoder
    from weitiao.data.layout import Layout
    from weitiao.data.pack import Batches
    from weitiao.models import load
    from weitiao.models.assets.fetch import cache_dir

    processor, limit = load.processor(os.environ["BENCH_MODEL"])
    task = registry.build("task", {"name": "language_modeling"})
    data = Data(train=[file], near_duplicates="keep", overlong="split")
    checked = checking.check(data, task.shape)
    encoded = Encoder(task, processor, data, min(limit, BLOCK), cache_dir() / "encoded")(
        checked.rows, checked.ledger, side="train"
    )
    batches = Batches(
        encoded,
        task.pack,
        64,
        max_tokens=16 * BLOCK,
        layout=Layout.PACKED,
    )
    batches.plan(0)
    return int(encoded.lengths.sum())


def encode_peer(file: str) -> int:
    from itertools import chain

    import datasets
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(os.environ["BENCH_MODEL"])
    datasets.disable_progress_bars()

    def encode(rows: dict) -> dict:
        return {"input_ids": [ids + [tokenizer.eos_token_id] for ids in tokenizer(rows["text"])["input_ids"]]}

    def pack(rows: dict) -> dict:
        ids = list(chain.from_iterable(rows["input_ids"]))
        return {"input_ids": [ids[i : i + BLOCK] for i in range(0, len(ids), BLOCK)]}

    rows = datasets.load_dataset("json", data_files=file, split="train")
    encoded = rows.map(encode, batched=True, num_proc=2, remove_columns=["text"])
    packed = encoded.map(pack, batched=True, num_proc=2)
    return sum(len(column.flatten()) for column in packed.data.column("input_ids").chunks)


def check(file: str) -> int:
    from weitiao import api

    return api.check(file).ledger.total


def write_texts(path: Path, *, mb: float) -> None:
    """Plain texts of 20 to 300 words cut from real ones, so that words are as frequent as in the language."""
    from weitiao.models.assets import catalog

    words: list[str] = []
    for line in catalog.dataset_path("alpaca-en").read_text(encoding="utf-8").splitlines():
        words += json.loads(line)["output"].split()
    words += catalog.dataset_path("film-reviews").read_text(encoding="utf-8").split()
    rng, written = random.Random(0), 0
    with path.open("w", encoding="utf-8") as file:
        while written < mb * 1e6:
            start = rng.randrange(len(words) - 400)
            text = " ".join(words[start : start + rng.randint(20, 300)])
            written += len(text.encode())
            file.write(json.dumps({"text": text}) + "\n")


def write_rows(path: Path, rows: int) -> None:
    """Short labelled rows, some of them nearly alike."""
    rng = random.Random(1)
    words = [f"{a}{b}{c}" for a in "bdfgklmnprst" for b in "aeiou" for c in ("n", "r", "st", "lo", "mi")]
    with path.open("w", encoding="utf-8") as file:
        file.write("text,label\n")
        for _ in range(rows):
            file.write(f"{' '.join(rng.choices(words, k=rng.randint(6, 14)))},{rng.choice(('yes', 'no'))}\n")


def table(found: dict[str, list[dict[str, float]]]) -> None:
    """Medians, and the ratios that matter."""
    middle = {
        job: {name: median(run[name] for run in runs) for name in runs[0]} for job, runs in found.items()
    }
    for job, facts in middle.items():
        print(f"{job:<34} {facts['cpu_s']:8.1f} CPU s {facts['peak_mb']:8.0f} MB  {facts['tokens']:,.0f}")
    ours, peer, part, rows, half = middle.values()
    print(f"datasets.map needs {peer['cpu_s'] / ours['cpu_s']:.2f} times our CPU time", end="; ")
    print(f"four times the file needs {ours['peak_mb'] / part['peak_mb']:.2f} times the memory")
    print(f"twice the rows need {rows['cpu_s'] / half['cpu_s']:.2f} times the CPU time")


if __name__ == "__main__":
    main()
