"""Does a bfloat16 base learn as a float32 one does?  The same training three times, and how far the losses part.

python -m benchmarks.precision [--jobs chat reviews] [--set KEY=VALUE ...] [--threads N] [--json FILE] [--tiny]

- `float32`: `wt.train` with `train.bf16=false`.
- `bf16`: with `train.bf16=true`, as it is: `models.linear.plus` hands LoRA's change to the product.
- `bf16-added`: the same with the change added to the output after it was rounded.  weitiao has no setting for
  that: this bench puts its own `plus` in the place of the library's, in the process of that one run.

Each is a process of its own with the same seed, rows, order and dropout masks; the bench stops when the rows of a
step, or the state in which a step leaves the random generator, are not equal for all three.  It is about numbers:
nothing is timed.  Exit code 1: `bf16` is not within 1 % of `float32`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from benchmarks.__main__ import Starter, columns, machine, say
from benchmarks.jobs import SEED

if TYPE_CHECKING:
    from torch import Tensor, nn

    from weitiao.api import Run

REFERENCE, OURS, ADDED = "float32", "bf16", "bf16-added"
WAYS = {
    REFERENCE: "float32",
    OURS: "bf16 (one product)",
    ADDED: "bf16, change added to the rounded output",
}
"""Way -> its line in the table."""
LIMIT = 0.01
"""What "within 1 %" is: no point of the smoothed curve, and not the held-out loss, may be further off."""
WINDOW = 5
"""Steps whose losses are averaged: a point of the smoothed curve."""
HELD_OUT = 0.15
PACKAGES = ("weitiao", "torch", "transformers", "tokenizers")


@dataclass(frozen=True)
class Job:
    """One training, the same for all ways."""

    model: str
    task: str
    data: str
    rows: int
    """A sample of the data, of which 15 % are held out."""
    batch_size: int
    epochs: int
    learning_rate: float
    tiny_rows: int


JOBS = {
    "chat": Job("smollm2-135m", "sft", "alpaca-en", 350, 4, 1, 2e-4, 14),
    "reviews": Job("minilm-l6", "text_classification", "film-reviews", 2_000, 32, 2, 5e-4, 80),
}


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.precision", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--jobs", nargs="+", choices=list(JOBS), default=list(JOBS))
    parser.add_argument(
        "--set", nargs="+", default=[], metavar="KEY=VALUE", help="change the recipe of all runs"
    )
    parser.add_argument("--threads", type=int, default=1, help="threads of every run (default: 1)")
    parser.add_argument("--json", type=Path, help="write all figures here too, with the loss of every step")
    parser.add_argument("--tiny", action="store_true", help="a handful of rows, to try the bench")
    parser.add_argument("--worker", nargs=2, type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args(words)
    if asked.worker:
        worker(*asked.worker)
        return
    facts = machine(threads=asked.threads, packages=PACKAGES)
    say(facts)
    with tempfile.TemporaryDirectory(prefix="weitiao-bench-") as temporary:
        folder = Path(temporary)
        start = Starter(folder, threads=asked.threads)
        jobs = {}
        for job in asked.jobs:
            runs = {}
            for way in WAYS:
                print(f"  {job}: {WAYS[way]}", file=sys.stderr, flush=True)
                runs[way] = run(job, way, folder, changes=asked.set, tiny=asked.tiny, start=start)
            jobs[job] = compare(runs)
            print(table(job, jobs[job], changes=asked.set), flush=True)
    if asked.json:
        asked.json.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"machine": facts, "changes": asked.set, "jobs": jobs}, indent=2)
        asked.json.write_text(text + "\n", encoding="utf-8")
    if asked.tiny:
        print("\n--tiny: a few steps say nothing about a whole training.")
    elif not all(found["ways"][OURS]["within"] for found in jobs.values()):
        raise SystemExit(1)


def run(
    job: str, way: str, folder: Path, *, changes: Sequence[str], tiny: bool, start: Starter
) -> dict[str, Any]:
    """What one training gives, in a process of its own."""
    place = folder / f"{job}-{way}"
    place.mkdir()
    asked = {
        "way": way,
        "recipe": recipe(JOBS[job], place / "run", bf16=way != REFERENCE, tiny=tiny),
        "changes": changes,
    }
    (place / "asked.json").write_text(json.dumps(asked), encoding="utf-8")
    start("benchmarks.precision", "--worker", place / "asked.json", place / "facts.json")
    return json.loads((place / "facts.json").read_text(encoding="utf-8"))


def recipe(job: Job, output: Path, *, bf16: bool, tiny: bool) -> dict[str, Any]:
    """What `wt.train` is asked; the ways differ in `bf16` alone."""
    return {
        "model": job.model,
        "task": job.task,
        "method": {"name": "lora", "r": 16, "lora_alpha": 32, "target_modules": "all-linear"},
        "data": {
            "train": f"{job.data}#{job.tiny_rows if tiny else job.rows}",
            "max_length": 256,
            "split": {"validation": HELD_OUT, "test": 0},
            "cache": False,
        },
        "train": {
            "bf16": bf16,
            "num_train_epochs": 1 if tiny else job.epochs,
            "per_device_train_batch_size": job.batch_size,
            "per_device_eval_batch_size": 8,
            "learning_rate": job.learning_rate,
            "save_strategy": "no",
            "load_best_model_at_end": False,
            "early_stopping_patience": None,
        },
        "seed": SEED,
        "output_dir": str(output),
    }


def compare(runs: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """How far each way is from float32, in shares of float32's loss.

    Args:
        runs: way -> what its worker wrote.
    """
    reference = runs[REFERENCE]
    for name in ("rows", "random", "trained"):
        if any(found[name] != reference[name] for found in runs.values()):
            raise SystemExit(f"not the same training: {name} differ between {', '.join(runs)}")
    if abs(reference["judged"] / reference["held_out"] - 1) > 1e-4:
        raise SystemExit("float32 and the judge, also float32, do not agree about the held-out rows")
    gain = reference["untuned"] - reference["held_out"]
    ways = {}
    for way, found in runs.items():
        parted = [
            ours / theirs - 1
            for ours, theirs in zip(smooth(found["loss"]), smooth(reference["loss"]), strict=True)
        ]
        largest = max(map(abs, parted))
        held_out = found["held_out"] / reference["held_out"] - 1
        ways[way] = {
            "loss": found["loss"],
            "smoothed": smooth(found["loss"]),
            "mean_difference": fmean(map(abs, parted)),
            "mean_signed_difference": fmean(parted),
            "largest_difference": largest,
            "held_out": found["held_out"],
            "held_out_difference": held_out,
            "gain": (reference["untuned"] - found["held_out"]) / gain,
            "judged": found["judged"],
            "judged_difference": found["judged"] / reference["judged"] - 1,
            "within": largest <= LIMIT and abs(held_out) <= LIMIT,
        }
    same = {name: reference[name] for name in ("train_rows", "held_out_rows", "trained")}
    return {"same": same, "untuned": reference["untuned"], "window": WINDOW, "limit": LIMIT, "ways": ways}


def smooth(losses: Sequence[float]) -> list[float]:
    """Means of `WINDOW` consecutive losses; of fewer, one mean of all."""
    window = min(WINDOW, len(losses))
    return [fmean(losses[i : i + window]) for i in range(len(losses) - window + 1)]


def table(job: str, result: dict[str, Any], *, changes: Sequence[str] = ()) -> str:
    """The figures of one job as text; differences are percentages of float32's loss."""
    head = ("", "first loss", "last loss", "mean |diff| %", "mean diff %", "largest %")
    held_out = ("held-out loss", "diff %", "gain %", "judged in float32", "diff %")
    lines = [(*head, *held_out, f"within {100 * LIMIT:g} %")]
    for way, found in result["ways"].items():
        lines.append(
            (
                WAYS[way],
                *(f"{found['smoothed'][0]:.4f}", f"{found['smoothed'][-1]:.4f}"),
                *(f"{100 * found['mean_difference']:.3f}", f"{100 * found['mean_signed_difference']:+.3f}"),
                f"{100 * found['largest_difference']:.3f}",
                *(f"{found['held_out']:.4f}", f"{100 * found['held_out_difference']:+.3f}"),
                f"{100 * found['gain']:.1f}",
                *(f"{found['judged']:.4f}", f"{100 * found['judged_difference']:+.3f}"),
                "-" if way == REFERENCE else "yes" if found["within"] else "no",
            )
        )
    same = result["same"]
    title = (
        f"\n{job}{''.join(f' {word}' for word in changes)}: {len(same['trained'])} steps over "
        f"{same['train_rows']:,} rows, {same['held_out_rows']:,} held out; untuned held-out loss "
        f"{result['untuned']:.4f}; curves smoothed over {result['window']} steps"
    )
    return "\n".join([title, *columns(lines)])


def worker(asked: Path, facts: Path) -> None:
    """One training through the front door, and its adapter judged once more in float32."""
    import weitiao as wt
    from weitiao.models import linear

    told = json.loads(asked.read_text(encoding="utf-8"))
    added, curve = Added(), _curve()
    if told["way"] == ADDED:
        linear.plus, linear.plus_low_rank = added, added.low_rank  # type: ignore[assignment]
    trained = wt.train(told["recipe"], overrides=told["changes"], watchers=[curve])
    if told["way"] == ADDED and not added.calls:
        raise SystemExit(
            "LoRA no longer asks weitiao.models.linear.plus: this bench must be told where it adds"
        )
    split = trained.folder.json("data/split.json")
    known = {
        **vars(curve),
        "train_rows": len(split["train"]),
        "held_out_rows": len(split["validation"]),
        "judged": judge(trained),
    }
    if told["way"] == REFERENCE:
        known["untuned"] = judge(trained, untuned=True)
    facts.write_text(json.dumps(known), encoding="utf-8")


class Added:
    """What the issue warns of: the layer's output, rounded, then the change added and the sum rounded again."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, layer: nn.Module, x: Tensor, low: Tensor) -> Tensor:
        self.calls += 1
        return layer(x) + low

    def low_rank(self, layer: nn.Module, x: Tensor, down_RI: Tensor, up_OR: Tensor) -> Tensor:
        from weitiao.models import linear

        return self(layer, x, linear.low_rank(x, down_RI, up_OR))


def _curve() -> Any:
    from weitiao.train.loop import Training, Watcher

    class Curve(Watcher):
        """Keeps the loss of each step and the proof that it was the same step; and the last held-out loss."""

        def __init__(self) -> None:
            self.loss: list[float] = []
            self.trained: list[int] = []
            self.rows: list[list[int]] = []
            self.random: list[str] = []
            self.held_out = float("nan")

        def on_step(self, training: Training) -> None:
            import torch

            # The loop seeds each batch anew, so this state says how many numbers the batch's masks have drawn.
            self.random.append(hashlib.sha256(torch.get_rng_state().numpy().tobytes()).hexdigest()[:16])
            self.loss.append(training.facts["loss"])
            self.trained.append(training.facts["trained"])
            batches = training.batches.step(training.state.step - 1)
            self.rows.append([row for batch in batches for row in batch.rows])
            self.held_out = training.metrics.get("loss", self.held_out)

    return Curve()


def judge(run: Run, *, untuned: bool = False) -> float:
    """The held-out loss of a run's adapter, or of its base, with everything in float32.

    It says what the weights have learnt, apart from what bfloat16 costs where they are used.
    """
    from weitiao.data import check
    from weitiao.evaluate.chosen import watched
    from weitiao.evaluate.judge import measured
    from weitiao.evaluate.predict import predict
    from weitiao.models.load import load
    from weitiao.models.store import load_tuned
    from weitiao.stages.data import located

    asked, task = run.recipe, run.task
    loaded = (
        load(asked.model, task, seed=asked.seed)
        if untuned
        else load_tuned(run.folder.model, ref=asked.model, task=task, method=run.method, device="cpu")
    )
    held_out = set(run.folder.json("data/split.json")["validation"])
    rows = check.check(located(asked.data), task.shape, seed=asked.seed).rows
    records = [row for row in rows if row.id in held_out]
    limit = min(asked.data.max_length or loaded.limit, loaded.limit)
    examples = list(task.encode(records, loaded.processor, limit=limit))
    batch_size = asked.train.per_device_eval_batch_size
    told = predict(loaded, task, examples, batch_size=batch_size)
    return measured(task, watched(task), told, examples)["loss"]


if __name__ == "__main__":
    main()
