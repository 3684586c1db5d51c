"""Preference learning (DPO): ours beside TRL's `DPOTrainer`, in CPU seconds a pair with the reference's pass counted.

    python -m benchmarks.preferences [--rows 64] [--rounds 2] [--threads 1] [--systems ours trl ...] [--json FILE]

Needs trl, peft, datasets and accelerate.  SmolLM2-135M, LoRA on all linear layers, pairs of film-preferences, one epoch of
batches of 8, `sigmoid` with beta 0.1, one learning rate and schedule.  Every run is a process of its own, in turn, round by
round; a ratio compares runs of one round.  CPU seconds, user and system, all threads: from the encoded rows on, the
reference's pass, to the last step.  TRL is met at its defaults (float32 weights under bfloat16 autocast, activations
recomputed, the reference asked in every step) and with its best knobs tried (`ASKED_ONCE`, bfloat16 weights).  One judge, plain Transformers and PEFT in
float32, then says the loss of other pairs under each adapter.
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
from benchmarks.worker import cpu_s, peak_rss_mb

MODEL, DATA, LONGEST, BATCH, RATE, BETA, HELD_OUT = "smollm2-135m", "film-preferences", 256, 8, 2e-4, 0.1, 24
LORA: Mapping[str, Any] = {"r": 16, "lora_alpha": 32, "lora_dropout": 0.0, "target_modules": "all-linear"}
ASKED_ONCE = {"precompute_ref_log_probs": True, "gradient_checkpointing": False}
TRL: Mapping[str, Mapping[str, Any]] = {
    "trl": {},
    "trl-tuned": {**ASKED_ONCE, "dtype": "bfloat16"},
}
"""What TRL is told beside what all are told; `dtype`: of the model's weights.  Its batches cannot be grouped by length: the
sampler asks for `input_ids`, which pairs do not have."""
SYSTEMS = {
    "ours": "weitiao",
    "trl": "TRL, defaults",
    "trl-tuned": "TRL, asked once, no recomputation, bfloat16 weights",
}


def main(words: Sequence[str] | None = None) -> None:
    """Deal the rows, train in turn, print a table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.preferences", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--rows", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1, help="of every process (default: 1)")
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=["ours", "trl", "trl-tuned"])
    parser.add_argument("--json", type=Path, help="write all figures here too")
    asked = parser.parse_args(words)
    with tempfile.TemporaryDirectory(prefix="weitiao-bench-") as temporary:
        folder = Path(temporary)
        start = Starter(folder, threads=asked.threads)
        say(facts := machine(threads=asked.threads))
        start("benchmarks.preferences", "deal", str(asked.rows), folder)

        def measure(system: str, turn: int) -> dict[str, Any]:
            start("benchmarks.preferences", "train", system, folder)
            # A process of its own: what judging takes is none of the run's memory.
            if not turn:
                start("benchmarks.preferences", "judge", system, folder)
            return json.loads((folder / f"{system}.json").read_text(encoding="utf-8"))

        found = rounds(asked.systems, asked.rounds, measure)
    print(table(found))
    if asked.json:
        asked.json.write_text(json.dumps({"machine": facts, "systems": found}), encoding="utf-8")


def table(found: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """A line a system: medians over the rounds, and how many times ours in the same round."""
    lines: list[tuple[str, ...]] = [
        ("", "CPU s a pair", "x", "peak MB", "x", "mean loss of steps", "loss of other pairs")
    ]
    for system, runs in found.items():
        cells = [SYSTEMS[system]]
        for name, shown in (("cpu_s", lambda run: f"{run['cpu_s'] / run['pairs']:.3f}"), ("peak_mb", None)):
            middle = sorted(runs, key=lambda run: run[name])[len(runs) // 2]
            cells.append(shown(middle) if shown else f"{middle[name]:.0f}")
            pairs = zip(runs, found["ours"], strict=True) if "ours" in found else ()
            times = [run[name] / ours[name] for run, ours in pairs]
            cells.append(f"{statistics.median(times):.2f}" if times else "-")
        cells += [f"{runs[0]['loss']:.4f}", f"{runs[0]['held_out']:.4f}"]
        lines.append(tuple(cells))
    return "\n".join(columns(lines))


def deal(count: int, folder: Path) -> None:
    """Pairs to learn from, and others to judge by, as they stand in the file."""
    from weitiao.models.assets.catalog import dataset_path

    lines = dataset_path(DATA).read_text(encoding="utf-8").splitlines(keepends=True)
    for name, part in (("train", lines[:count]), ("held-out", lines[-HELD_OUT:])):
        (folder / f"{name}.jsonl").write_text("".join(part), encoding="utf-8")


def train(system: str, folder: Path) -> None:
    """One run, and its clock."""
    place = folder / system
    shutil.rmtree(place, ignore_errors=True)
    facts = _ours(folder, place) if system == "ours" else _theirs(folder, place, TRL[system])
    facts |= {"peak_mb": peak_rss_mb(), "pairs": len(_rows(folder, "train"))}
    file = folder / f"{system}.json"
    before = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    file.write_text(json.dumps({**before, **facts}), encoding="utf-8")


def _rows(folder: Path, name: str) -> list[dict[str, str]]:
    return [json.loads(line) for line in (folder / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]


def _ours(folder: Path, place: Path) -> dict[str, Any]:
    import weitiao as wt

    class Clock(wt.Watcher):
        def __init__(self) -> None:
            self.start = self.stop = 0.0
            self.losses: list[float] = []

        def tell(self, event: str, **facts: Any) -> None:
            if event == "encoded":
                self.start = cpu_s()

        def on_step(self, training: Any) -> None:
            self.stop = cpu_s()
            self.losses.append(training.facts["loss"])

    clock = Clock()
    wt.train(
        model=MODEL,
        task={"name": "dpo", "beta": BETA},
        method={"name": "lora", **LORA},
        data={
            "train": str(folder / "train.jsonl"),
            "max_length": LONGEST,
            "overlong": "fail",
            "duplicates": "keep",
            "near_duplicates": "keep",
            "cache": False,
            "split": {"validation": 0, "test": 0},
        },
        train={
            "num_train_epochs": 1,
            "per_device_train_batch_size": BATCH,
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
        tell=clock.tell,
    )
    shutil.copytree(place / "run" / "model", place / "adapter")
    return {"cpu_s": clock.stop - clock.start, "loss": statistics.mean(clock.losses)}


def _theirs(folder: Path, place: Path, settings: Mapping[str, Any]) -> dict[str, Any]:
    import torch
    from datasets import Dataset, disable_progress_bars
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import DPOConfig, DPOTrainer

    from weitiao.models.assets.catalog import model_path

    disable_progress_bars()
    source, settings = model_path(MODEL), dict(settings)
    tokenizer = AutoTokenizer.from_pretrained(source)
    dtype = getattr(torch, settings.pop("dtype", "float32"))
    model = AutoModelForCausalLM.from_pretrained(source, dtype=dtype)
    start = cpu_s()
    trainer = DPOTrainer(
        model,
        args=DPOConfig(
            str(place / "trainer"),
            beta=BETA,
            max_length=LONGEST,
            num_train_epochs=1,
            per_device_train_batch_size=BATCH,
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
        train_dataset=Dataset.from_list([_rendered(row, tokenizer) for row in _rows(folder, "train")]),
        processing_class=tokenizer,
        peft_config=LoraConfig(task_type="CAUSAL_LM", **LORA),
    )
    loss = trainer.train().training_loss
    used = cpu_s() - start
    trainer.save_model(str(place / "adapter"))
    return {"cpu_s": used, "loss": loss}


def _rendered(row: Mapping[str, str], tokenizer: Any) -> dict[str, str]:
    """As text: from messages TRL would score the line feed behind an answer's end, too, which ours does not."""
    turns = [{"role": "user", "content": row["prompt"]}]
    prompt = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    return {"prompt": prompt, **{side: row[side] + tokenizer.eos_token for side in ("chosen", "rejected")}}


def judge(system: str, folder: Path) -> None:
    """Mean loss of other pairs, one by one, of the adapter and of the model without it."""
    import torch
    from peft import PeftModel
    from torch.nn.functional import logsigmoid
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from weitiao.models.assets.catalog import model_path

    tokenizer = AutoTokenizer.from_pretrained(model_path(MODEL))
    base = AutoModelForCausalLM.from_pretrained(model_path(MODEL), dtype=torch.float32)
    model, losses = PeftModel.from_pretrained(base, str(folder / system / "adapter")).eval(), []

    def log_probability(prompt: str, answer: str) -> float:
        before, all_of_it = (tokenizer(text)["input_ids"] for text in (prompt, prompt + answer))
        ids = torch.tensor([all_of_it])
        log_p = model(input_ids=ids).logits[0, :-1].log_softmax(-1)
        return float(log_p.gather(1, ids[0, 1:, None])[len(before) - 1 :].sum())

    with torch.no_grad():
        for row in _rows(folder, "held-out"):
            said = _rendered(row, tokenizer)
            tuned = [log_probability(said["prompt"], said[side]) for side in ("chosen", "rejected")]
            with model.disable_adapter():
                was = [log_probability(said["prompt"], said[side]) for side in ("chosen", "rejected")]
            margin = BETA * ((tuned[0] - was[0]) - (tuned[1] - was[1]))
            losses.append(-float(logsigmoid(torch.tensor(margin))))
    file = folder / f"{system}.json"
    facts = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps({**facts, "held_out": statistics.mean(losses)}), encoding="utf-8")


if __name__ == "__main__":
    if sys.argv[1:2] == ["deal"]:
        deal(int(sys.argv[2]), Path(sys.argv[3]))
    elif sys.argv[1:2] in (["train"], ["judge"]):
        {"train": train, "judge": judge}[sys.argv[1]](sys.argv[2], Path(sys.argv[3]))
    else:
        main()
