"""Labels of pictures: ours beside Hugging Face's Trainer, and pictures decoded and made ready beside a plain loop and `datasets`.

    python -m benchmarks.pictures head    efficientnet-lite0, head only, ten epochs (the body is computed once)
    python -m benchmarks.pictures full    the same model, all weights, one epoch
    python -m benchmarks.pictures read    10,000 pictures decoded and made ready for the model
    [--rows 640] [--rounds 2] [--threads 1] [--systems ours trainer ...] [--json FILE]

Needs datasets and accelerate.  Fashion-MNIST at 64 x 64.  Every run is a process of its own, in turn, round by round; a ratio
compares runs of one round.  CPU time, user and system, all threads, from before the first step, decoding and whatever is made ready
beforehand included, to the last one.  Trainer is met as its documentation has it (float32, the model's own processor in
`set_transform`), in bfloat16, and with all pixels made ready once beforehand, too (`trainer-ready`), which holds them all in memory.
One judge, plain Transformers in float32, labels the same held-out pictures.
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.__main__ import Starter, columns, cores, machine, rounds, say
from benchmarks.worker import cpu_s, peak_rss_mb

MODEL, SIDE, BATCH, HELD_OUT = "efficientnet-lite0", 64, 32, 400
EPOCHS, RATES = {"head": 10, "full": 1}, {"head": 1e-2, "full": 1e-3}
TRAINED = {
    "ours": "weitiao",
    "ours-float32": "weitiao, float32",
    "trainer": "HF Trainer",
    "trainer-bf16": "HF Trainer, bf16",
    "trainer-ready": "HF Trainer, bf16, pixels ready",
}
READ = {"ours": "weitiao", "loop": "PIL in a plain loop", "datasets": "datasets, set_transform"}
SYSTEMS: Mapping[str, Mapping[str, str]] = {"head": TRAINED, "full": TRAINED, "read": READ}
ROWS = {"head": 640, "full": 640, "read": 10_000}
FILES = 500
"""Photographs that are made; each is read several times."""


def main(words: Sequence[str] | None = None) -> None:
    """Deal the rows, run in turn, print a table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.pictures", description=__doc__.splitlines()[0]
    )
    parser.add_argument("job", choices=SYSTEMS)
    parser.add_argument("--rows", type=int, help="pictures (default: 640, of read 10,000)")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1, help="of every process (default: 1)")
    parser.add_argument("--systems", nargs="+", choices=sorted({*TRAINED, *READ}), default=[])
    parser.add_argument("--json", type=Path, help="write all figures here too")
    asked = parser.parse_args(words)
    systems = asked.systems or [*SYSTEMS[asked.job]]
    with tempfile.TemporaryDirectory(prefix="weitiao-bench-") as temporary:
        folder = Path(temporary)
        start = Starter(folder, threads=asked.threads)
        say(facts := machine(threads=asked.threads))
        start("benchmarks.pictures", "deal", asked.job, asked.rows or ROWS[asked.job], folder)

        def measure(system: str, turn: int) -> dict[str, Any]:
            start("benchmarks.pictures", "run", asked.job, system, folder)
            return json.loads((folder / f"{system}.json").read_text(encoding="utf-8"))

        found = rounds(systems, asked.rounds, measure)
    print(table(asked.job, found))
    if asked.json:
        asked.json.write_text(json.dumps({"machine": facts, "systems": found}), encoding="utf-8")


def table(job: str, found: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """A line a system: medians over the rounds, and how many times ours in the same round."""
    last = "clock s" if job == "read" else "accuracy"
    lines: list[tuple[str, ...]] = [("", "CPU s", "x", "peak MB", last)]
    for system, runs in found.items():
        pairs = zip(runs, found["ours"], strict=True) if "ours" in found else ()
        times = [run["cpu_s"] / ours["cpu_s"] for run, ours in pairs]
        cells = [SYSTEMS[job][system], f"{statistics.median(run['cpu_s'] for run in runs):.1f}"]
        cells.append(f"{statistics.median(times):.2f}" if times else "-")
        cells += [f"{statistics.median(run[name] for run in runs):.3g}" for name in ("peak_mb", "last")]
        lines.append(tuple(cells))
    return "\n".join(columns(lines))


def deal(job: str, count: int, folder: Path) -> None:
    """`train.csv` and `held-out.csv` of Fashion-MNIST, drawn; for `read` parts of scikit-learn's photographs as JPEG."""
    import numpy as np

    rng = np.random.default_rng(0)
    if job == "read":
        from PIL import Image
        from sklearn.datasets import load_sample_images

        photographs = [Image.fromarray(each) for each in load_sample_images().images]
        (folder / "photographs").mkdir()
        for number in range(FILES):
            left, top = (int(each) for each in rng.integers(0, (240, 127)))
            part = photographs[number % len(photographs)].crop((left, top, left + 400, top + 300))
            part.save(folder / "photographs" / f"{number:04}.jpg", quality=90)
        files = sorted(map(str, (folder / "photographs").iterdir()))
        asked = [files[number % FILES] for number in range(count)]
        (folder / "asked.json").write_text(json.dumps(asked), encoding="utf-8")
        return
    from weitiao.models.assets.catalog import dataset_path

    table = dataset_path("fashion-mnist")
    with table.open(encoding="utf-8") as file:
        head, *rows = csv.reader(file)
    drawn = [rows[place] for place in rng.permutation(len(rows))[: count + HELD_OUT]]
    for name, part in (("train", drawn[:count]), ("held-out", drawn[count:])):
        with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerows([head, *([str(table.parent / path), label] for path, label in part)])


def run(job: str, system: str, folder: Path) -> None:
    """One run, and its clock."""
    place = folder / system
    shutil.rmtree(place, ignore_errors=True)
    facts: dict[str, Any]
    if job == "read":
        facts = _read(system, json.loads((folder / "asked.json").read_text(encoding="utf-8")))
    elif system.startswith("ours"):
        facts = _ours(job, folder, place, float32=system == "ours-float32")
    else:
        facts = _theirs(job, folder, place, half="bf16" in TRAINED[system], ready=system == "trainer-ready")
    facts |= {"peak_mb": peak_rss_mb()}
    if job != "read":
        facts["last"] = _accuracy(place / "model", folder)
    (folder / f"{system}.json").write_text(json.dumps(facts), encoding="utf-8")


def _ours(job: str, folder: Path, place: Path, *, float32: bool) -> dict[str, Any]:
    import weitiao as wt
    from weitiao.models.assets.catalog import dataset_path

    class Clock(wt.Watcher):
        began = ended = 0.0

        def tell(self, event: str, **_: Any) -> None:
            if event == "training":  # before the body is computed
                self.began = cpu_s()

        def on_step(self, training: wt.Training) -> None:
            self.ended = cpu_s()

    clock = Clock()
    wt.train(
        model=MODEL,
        task={"name": "image_classification", "image_size": SIDE},
        method=job,
        data={
            "train": str(folder / "train.csv"),
            "pictures": str(dataset_path("fashion-mnist").parent),
            "duplicates": "keep",
            "near_duplicates": "keep",
            "cache": False,
            "split": {"validation": 0, "test": 0},
        },
        train={
            "num_train_epochs": EPOCHS[job],
            "per_device_train_batch_size": BATCH,
            "learning_rate": RATES[job],
            "lr_scheduler_type": "linear",
            "warmup_steps": 0,
            "eval_strategy": "no",
            "save_strategy": "no",
            "load_best_model_at_end": False,
            "early_stopping_patience": None,
            **({"bf16": False} if float32 else {}),
        },
        output_dir=str(place),
        watchers=[clock],
        tell=clock.tell,
    )
    return {"cpu_s": clock.ended - clock.began}


def _theirs(job: str, folder: Path, place: Path, *, half: bool, ready: bool) -> dict[str, Any]:
    import torch
    from datasets import Dataset, Image, disable_progress_bars
    from transformers import (
        AutoImageProcessor,
        AutoModelForImageClassification,
        Trainer,
        TrainingArguments,
    )

    from weitiao.models.assets.catalog import model_path

    disable_progress_bars()
    rows, labels = _rows(folder / "train.csv")
    source = model_path(MODEL)
    square = {"height": SIDE, "width": SIDE}
    processor = AutoImageProcessor.from_pretrained(source, size={"shortest_edge": SIDE}, crop_size=square)
    model = AutoModelForImageClassification.from_pretrained(
        source,
        label2id={label: place for place, label in enumerate(labels)},
        id2label=dict(enumerate(labels)),
        ignore_mismatched_sizes=True,
    )
    if job == "head":
        for weight in model.base_model.parameters():
            weight.requires_grad = False

    def made(batch: Mapping[str, Any]) -> dict[str, Any]:
        pictures = [picture.convert("RGB") for picture in batch["image"]]
        return {**processor(pictures, return_tensors="pt"), "labels": batch["label"]}

    columns = {"image": [path for path, _ in rows], "label": [labels.index(label) for _, label in rows]}
    pictures = Dataset.from_dict(columns).cast_column("image", Image())
    began = cpu_s()
    if ready:
        held = [made(pictures[start : start + BATCH]) for start in range(0, len(rows), BATCH)]
        each = [
            {"pixel_values": pixels, "labels": label}
            for one in held
            for pixels, label in zip(one["pixel_values"], one["labels"], strict=True)
        ]
    else:
        pictures.set_transform(made)
    asked = TrainingArguments(
        output_dir=str(place / "out"),
        num_train_epochs=EPOCHS[job],
        per_device_train_batch_size=BATCH,
        learning_rate=RATES[job],
        weight_decay=0.01,
        bf16=half,
        use_cpu=True,
        report_to="none",
        save_strategy="no",
        disable_tqdm=True,
        remove_unused_columns=False,
    )

    def stacked(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        return {
            "pixel_values": torch.stack([row["pixel_values"] for row in rows]),
            "labels": torch.tensor([int(row["labels"]) for row in rows]),
        }

    Trainer(model, asked, train_dataset=each if ready else pictures, data_collator=stacked).train()
    used = cpu_s() - began
    model.save_pretrained(place / "model")
    processor.save_pretrained(place / "model")
    return {"cpu_s": used}


def _rows(table: Path) -> tuple[list[list[str]], list[str]]:
    with table.open(encoding="utf-8") as file:
        rows = [*csv.reader(file)][1:]
    return rows, sorted({label for _, label in rows})


def _accuracy(model: Path, folder: Path) -> float:
    """Of held-out pictures, by plain Transformers."""
    import torch
    from PIL import Image
    from transformers import AutoImageProcessor, AutoModelForImageClassification

    rows, _ = _rows(folder / "held-out.csv")
    judge = AutoModelForImageClassification.from_pretrained(model, torch_dtype=torch.float32).eval()
    processor, right = AutoImageProcessor.from_pretrained(model), 0
    with torch.no_grad():
        for start in range(0, len(rows), 50):
            part = rows[start : start + 50]
            pixels = processor([Image.open(path).convert("RGB") for path, _ in part], return_tensors="pt")
            said = judge(**pixels).logits.argmax(-1).tolist()
            right += sum(
                judge.config.id2label[place] == label for place, (_, label) in zip(said, part, strict=True)
            )
    return right / len(rows)


def _read(system: str, paths: Sequence[str]) -> dict[str, Any]:
    """Every picture decoded and made ready for the model, at its own size of 224 x 224."""
    from transformers import AutoImageProcessor

    from weitiao.models.assets.catalog import model_path

    processor = AutoImageProcessor.from_pretrained(model_path(MODEL))
    if system == "ours":
        from weitiao.core import registry
        from weitiao.core.contracts import Record

        task = registry.build("task", {"name": "image_classification", "labels": ["a", "b"]})
        records = [Record("", n, {"image": path, "label": "a"}) for n, path in enumerate(paths)]

        def read(start: int) -> Any:
            examples = list(task.encode(records[start : start + BATCH], processor, limit=1))
            return task.collate(examples, [*range(len(examples))], processor).inputs["pixel_values"]

    elif system == "loop":
        from PIL import Image

        def read(start: int) -> Any:
            pictures = [Image.open(path).convert("RGB") for path in paths[start : start + BATCH]]
            return processor(pictures, return_tensors="pt")["pixel_values"]

    else:
        from datasets import Dataset, Image

        rows = Dataset.from_dict({"image": list(paths)}).cast_column("image", Image())
        rows.set_transform(lambda batch: processor(batch["image"], return_tensors="pt"))

        def read(start: int) -> Any:
            return rows[start : start + BATCH]["pixel_values"]

    began, clock, total = cpu_s(), time.perf_counter(), 0
    for start in range(0, len(paths), BATCH):
        total += len(read(start))
    if total != len(paths):
        raise SystemExit(f"{total} pictures of {len(paths)} were read")
    return {"cpu_s": cpu_s() - began, "last": time.perf_counter() - clock, "cores": cores()}


if __name__ == "__main__":
    import sys

    if sys.argv[1:2] == ["deal"]:
        deal(sys.argv[2], int(sys.argv[3]), Path(sys.argv[4]))
    elif sys.argv[1:2] == ["run"]:
        run(sys.argv[2], sys.argv[3], Path(sys.argv[4]))
    else:
        main()
