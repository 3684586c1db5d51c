"""Runs of toys that are exported, and faults that are planted in what was."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import weitiao as wt
from tests.conftest import CHATML, dialogues, reviews, small_run, write_csv, write_jsonl
from weitiao.export.writing import seal

WORDS = {
    "learning_rate": 5e-2,
    "max_steps": 4,
    "eval_strategy": "no",
    "load_best_model_at_end": False,
    "method": {"name": "lora", "r": 4},
}


def trained(model: str, task: str, rows: Path, folder: Path, **words) -> wt.Run:
    """A run of a few steps; what is tuned is seen in every output."""
    judge = {"samples": 0, "answers": 0, "untuned": False, "baseline": "none"}
    recipe = small_run(model, task, rows, folder, batch=8, judge=judge)
    return wt.train(recipe(**{**WORDS, **words}))


def classifier(bert: str, folder: Path) -> wt.Run:
    return trained(bert, "text_classification", write_csv(folder / "r.csv", reviews(80)), folder / "run")


def speaker(llama: str, folder: Path) -> wt.Run:
    """A chat model whose template begins with a begin token, as the tokenizer itself would put one."""
    from tokenizers import processors
    from transformers import AutoTokenizer

    base = folder / "base"
    shutil.copytree(llama, base)
    tokenizer = AutoTokenizer.from_pretrained(base)
    tokenizer.add_special_tokens({"bos_token": "<s>"})
    tokenizer.chat_template = "{{ bos_token }}" + CHATML
    begin = [("<s>", tokenizer.bos_token_id)]
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing("<s> $A", special_tokens=begin)
    tokenizer.save_pretrained(base)
    return trained(str(base), "sft", write_jsonl(folder / "d.jsonl", dialogues(40)), folder / "run")


def planted(form: Path, name: str, change) -> None:
    """A copy of a form with a fault in it, sealed as if it were meant so."""
    copy = form.with_name(name)
    shutil.copytree(form, copy)
    change(copy)
    seal(copy)


def edited(name: str, change):
    """A fault in a JSON file."""

    def edit(folder: Path) -> None:
        path = folder / name
        tree = json.loads(path.read_text(encoding="utf-8"))
        change(tree)
        path.write_text(json.dumps(tree), encoding="utf-8")

    return edit


def replaced(name: str, old: str, new: str):
    """A fault in a text."""

    def edit(folder: Path) -> None:
        path = folder / name
        before = path.read_text(encoding="utf-8")
        assert old in before
        path.write_text(before.replace(old, new), encoding="utf-8")

    return edit


def transposed(base: str):
    """What one LoRA has changed of a square layer, the wrong way round."""
    from safetensors.torch import load_file, save_file

    def edit(folder: Path) -> None:
        path, own = folder / "model.safetensors", load_file(Path(base) / "model.safetensors")
        weights = load_file(path)
        name = next(name for name in weights if name.endswith("layer.1.attention.output.dense.weight"))
        before = own[name if name in own else name.removeprefix("bert.")]
        weights[name] = (before + (weights[name] - before).T).contiguous()
        save_file(weights, path, {"format": "pt"})

    return edit


def swapped(config: dict) -> None:
    """The labels in another order."""
    first, second = config["id2label"]["0"], config["id2label"]["1"]
    config["id2label"] |= {"0": second, "1": first}
