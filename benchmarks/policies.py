"""Learning from rewards (GRPO): ours beside TRL's `GRPOTrainer`, in CPU time for every token that is sampled.

    python -m benchmarks.policies [--prompts 6] [--rounds 2] [--threads 1] [--systems ours trl ...] [--json FILE]

Needs trl, peft, datasets and accelerate.  SmolLM2-135M (instruct), LoRA on all linear layers, embedded instructions, groups
of 8 answers of at most 64 tokens at temperature 1, two prompts a step, held to the reference (`beta` 0.04), rewarded by the
same function of the text.  Every run is a process of its own, in turn, round by round; a ratio compares runs of one round.
CPU time, user and system, all threads, of whole steps: sampling, rewards, what the reference says, learning.  What is drawn
differs, so that time is given for every token that was drawn and kept, end tokens included.  TRL is met at its defaults
(float32 weights under bfloat16 autocast, activations recomputed) and with its best knobs tried (`TUNED`).
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.__main__ import Starter, columns, machine, rounds, say
from benchmarks.preferences import LORA
from benchmarks.worker import cpu_s, peak_rss_mb

MODEL, DATA, LONGEST, GROUP, PROMPTS = "smollm2-135m", "alpaca-en", 64, 8, 2
RATE, BETA, MOST = 1e-5, 0.04, 120
"""Learning rate, weight of the divergence, and characters of a prompt, at most."""
TUNED: Mapping[str, Any] = {"gradient_checkpointing": False, "dtype": "bfloat16"}
TRL: Mapping[str, Mapping[str, Any]] = {"trl": {}, "trl-tuned": TUNED}
"""What TRL is told beside what all are told; `dtype`: of the model's weights."""
SYSTEMS = {
    "ours": "weitiao",
    "trl": "TRL, defaults",
    "trl-tuned": "TRL, no recomputation, bfloat16 weights",
}


def reward(prompts: Any, answers: Sequence[str], rows: Any) -> list[float]:
    """The share of letters that are small: various, and known at once."""
    return [sum(letter.islower() for letter in answer) / (len(answer) + 1) for answer in answers]


def main(words: Sequence[str] | None = None) -> None:
    """Deal the rows, train in turn, print a table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.policies", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--prompts", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1, help="of every process (default: 1)")
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=[*SYSTEMS])
    parser.add_argument("--json", type=Path, help="write all figures here too")
    asked = parser.parse_args(words)
    with tempfile.TemporaryDirectory(prefix="weitiao-bench-") as temporary:
        folder = Path(temporary)
        start = Starter(folder, threads=asked.threads)
        say(facts := machine(threads=asked.threads))
        start("benchmarks.policies", "deal", str(asked.prompts), folder)

        def measure(system: str, turn: int) -> dict[str, Any]:
            start("benchmarks.policies", "train", system, folder)
            return json.loads((folder / f"{system}.json").read_text(encoding="utf-8"))

        found = rounds(asked.systems, asked.rounds, measure)
    print(table(found))
    if asked.json:
        asked.json.write_text(json.dumps({"machine": facts, "systems": found}), encoding="utf-8")


def table(found: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """A line a system: medians over the rounds, and how many times ours in the same round."""
    lines: list[tuple[str, ...]] = [
        ("", "CPU ms a sampled token", "x", "peak MB", "x", "sampled tokens", "mean reward")
    ]

    def each(run: Mapping[str, Any], name: str) -> float:
        return run["cpu_s"] * 1000 / run["tokens"] if name == "cpu_s" else run[name]

    for system, runs in found.items():
        cells = [SYSTEMS[system]]
        for name, form in (("cpu_s", "{:.1f}"), ("peak_mb", "{:.0f}")):
            cells.append(form.format(statistics.median(each(run, name) for run in runs)))
            pairs = zip(runs, found["ours"], strict=True) if "ours" in found else ()
            times = [each(run, name) / each(ours, name) for run, ours in pairs]
            cells.append(f"{statistics.median(times):.2f}" if times else "-")
        cells += [f"{statistics.mean(run[name] for run in runs):.3g}" for name in ("tokens", "reward")]
        lines.append(tuple(cells))
    return "\n".join(columns(lines))


def deal(count: int, folder: Path) -> None:
    """Instructions as they stand in the file, short ones alone."""
    from weitiao.models.assets.catalog import dataset_path

    lines = dataset_path(DATA).read_text(encoding="utf-8").splitlines()
    found = [row["instruction"] for row in map(json.loads, lines) if not row.get("input")]
    asked = [{"prompt": prompt} for prompt in found if len(prompt) <= MOST][:count]
    (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in asked), encoding="utf-8")


def train(system: str, folder: Path) -> None:
    """One run, and its clock."""
    place = folder / system
    shutil.rmtree(place, ignore_errors=True)
    facts = _ours(folder, place) if system == "ours" else _theirs(folder, place, TRL[system])
    facts |= {"peak_mb": peak_rss_mb()}
    (folder / f"{system}.json").write_text(json.dumps(facts), encoding="utf-8")


def _ours(folder: Path, place: Path) -> dict[str, Any]:
    import weitiao as wt

    class Clock(wt.Watcher):
        def __init__(self) -> None:
            self.start = self.stop = self.tokens = 0.0
            self.rewards: list[float] = []

        def on_start(self, training: Any) -> None:
            self.start = cpu_s()

        def on_step(self, training: Any) -> None:
            self.stop = cpu_s()
            self.tokens += training.facts["trained"]
            self.rewards.append(training.facts["reward"])

    clock = Clock()
    wt.train(
        model=MODEL,
        task={
            "name": "grpo",
            "rewards": [f"{__file__}:reward"],
            "num_generations": GROUP,
            "max_completion_length": LONGEST,
            "beta": BETA,
        },
        method={"name": "lora", **LORA},
        data={
            "train": str(folder / "train.jsonl"),
            "duplicates": "keep",
            "near_duplicates": "keep",
            "cache": False,
            "split": {"validation": 0, "test": 0},
        },
        train={
            "num_train_epochs": 1,
            "per_device_train_batch_size": GROUP * PROMPTS,
            "learning_rate": RATE,
            "lr_scheduler_type": "linear",
            "warmup_steps": 0,
            "weight_decay": 0.0,
            "eval_strategy": "no",
            "save_strategy": "no",
            "load_best_model_at_end": False,
            "early_stopping_patience": None,
        },
        output_dir=str(place / "run"),
        watchers=[clock],
    )
    used = clock.stop - clock.start
    return {"cpu_s": used, "tokens": clock.tokens, "reward": statistics.mean(clock.rewards)}


def _theirs(folder: Path, place: Path, settings: Mapping[str, Any]) -> dict[str, Any]:
    import torch
    from datasets import Dataset, disable_progress_bars
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
    from trl import GRPOConfig, GRPOTrainer

    from weitiao.models.assets.catalog import model_path

    disable_progress_bars()
    source, settings = model_path(MODEL), dict(settings)
    dtype = getattr(torch, settings.pop("dtype", "float32"))
    sampled: list[int] = []
    rewards: list[float] = []

    def rated(completions: Any, completion_ids: Any, **_: Any) -> list[float]:
        sampled.extend(map(len, completion_ids))
        found = reward(None, [turns[0]["content"] for turns in completions], None)
        rewards.extend(found)
        return found

    class Clock(TrainerCallback):
        start = stop = 0.0

        def on_train_begin(self, *_: Any, **__: Any) -> None:
            self.start = cpu_s()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            self.stop = cpu_s()

    lines = (folder / "train.jsonl").read_text(encoding="utf-8").splitlines()
    asked = [[{"role": "user", "content": json.loads(line)["prompt"]}] for line in lines]
    clock = Clock()
    trainer = GRPOTrainer(
        AutoModelForCausalLM.from_pretrained(source, dtype=dtype),
        reward_funcs=rated,
        args=GRPOConfig(
            str(place / "trainer"),
            beta=BETA,
            num_generations=GROUP,
            max_completion_length=LONGEST,
            temperature=1.0,
            num_train_epochs=1,
            per_device_train_batch_size=GROUP * PROMPTS,
            learning_rate=RATE,
            lr_scheduler_type="linear",
            warmup_steps=0,
            weight_decay=0.0,
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
            use_cpu=True,
            **settings,
        ),
        train_dataset=Dataset.from_list([{"prompt": turns} for turns in asked]),
        processing_class=AutoTokenizer.from_pretrained(source),
        peft_config=LoraConfig(task_type="CAUSAL_LM", **LORA),
        callbacks=[clock],
    )
    trainer.train()
    return {"cpu_s": clock.stop - clock.start, "tokens": sum(sampled), "reward": statistics.mean(rewards)}


if __name__ == "__main__":
    if sys.argv[1:2] == ["deal"]:
        deal(int(sys.argv[2]), Path(sys.argv[3]))
    elif sys.argv[1:2] == ["train"]:
        train(sys.argv[2], Path(sys.argv[3]))
    else:
        main()
