"""One judge for all: PEFT's adapter files, or a whole model, in plain Transformers, float32, padded, the same held-out rows.

python -m benchmarks.judge JOB ROWS FILE ADAPTER...  ->  FILE: {"untuned": number, ADAPTER: number, ...}
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.jobs import JOBS

BATCH = {"reviews": 64, "chat": 4}


def judge(job: str, dealt: dict[str, Any], adapters: Sequence[str]) -> dict[str, float]:
    """Accuracy, or mean loss per answer token, of the base and of every adapter on it."""
    import torch
    from peft import PeftModel
    from transformers import AutoTokenizer
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    tokenizer = AutoTokenizer.from_pretrained(dealt["model"])
    load, score = JUDGES[JOBS[job].kind]
    found = {}
    for adapter in ("untuned", *adapters):
        torch.manual_seed(0)
        adapts = (Path(adapter) / "adapter_config.json").is_file()
        model = load(dealt["model"] if adapts or adapter == "untuned" else adapter)
        if adapts:
            model = PeftModel.from_pretrained(model, adapter)
        with torch.inference_mode():
            found[adapter] = score(model.eval(), tokenizer, dealt)
    return found


def _load_reviews(folder: str) -> Any:
    from transformers import AutoModelForSequenceClassification

    return AutoModelForSequenceClassification.from_pretrained(folder, num_labels=2)


def _accuracy(model: Any, tokenizer: Any, dealt: dict[str, Any]) -> float:
    labels = sorted({row["label"] for row in dealt["train"]})
    right = 0
    for rows in _batches(dealt["held_out"], BATCH["reviews"], length=lambda row: len(row["text"])):
        inputs = tokenizer([row["text"] for row in rows], padding=True, truncation=True, return_tensors="pt")
        chosen = model(**inputs).logits.argmax(-1).tolist()
        right += sum(labels[index] == row["label"] for index, row in zip(chosen, rows, strict=True))
    return right / len(dealt["held_out"])


def _load_chat(folder: str) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder, dtype="float32")


def _answer_loss(model: Any, tokenizer: Any, dealt: dict[str, Any]) -> float:
    import torch
    from torch.nn import functional as F

    encoded = []
    for row in dealt["held_out"]:
        prompt = tokenizer.apply_chat_template(
            row["messages"][:-1], tokenize=False, add_generation_prompt=True
        )
        ids = [
            tokenizer(text, add_special_tokens=False)["input_ids"]
            for text in (prompt, row["messages"][-1]["content"] + tokenizer.eos_token)
        ]
        encoded.append((ids[0] + ids[1], [-100] * len(ids[0]) + ids[1]))
    losses, targets = 0.0, 0
    for rows in _batches(encoded, BATCH["chat"], length=lambda row: len(row[0])):
        longest = max(len(ids) for ids, _ in rows)
        ids_BT = torch.tensor([ids + [tokenizer.pad_token_id] * (longest - len(ids)) for ids, _ in rows])
        mask_BT = torch.tensor([[1] * len(ids) + [0] * (longest - len(ids)) for ids, _ in rows])
        labels_BT = torch.tensor([labels + [-100] * (longest - len(labels)) for _, labels in rows])
        logits_BTV = model(input_ids=ids_BT, attention_mask=mask_BT, use_cache=False).logits.float()
        losses += F.cross_entropy(
            logits_BTV[:, :-1].flatten(0, 1), labels_BT[:, 1:].flatten(), ignore_index=-100, reduction="sum"
        ).item()
        targets += int((labels_BT[:, 1:] != -100).sum())
    return losses / targets


JUDGES: dict[str, tuple[Callable[..., Any], Callable[..., float]]] = {
    "reviews": (_load_reviews, _accuracy),
    "chat": (_load_chat, _answer_loss),
}


def _batches(rows: Sequence[Any], size: int, *, length: Callable[[Any], int]) -> list[list[Any]]:
    ordered = sorted(rows, key=length)
    return [ordered[i : i + size] for i in range(0, len(ordered), size)]


if __name__ == "__main__":
    job, rows, file, *adapters = sys.argv[1:]
    dealt = json.loads(Path(rows).read_text(encoding="utf-8"))[job]
    Path(file).write_text(json.dumps(judge(job, dealt, adapters)), encoding="utf-8")
