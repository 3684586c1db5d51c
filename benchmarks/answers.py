"""Answers to many prompts: ours beside Transformers' `generate`, one by one and in padded batches.

    python -m benchmarks.answers [--rows 32] [--batch 16] [--max-new-tokens 200] [--rounds 2] [--threads 1]

SmolLM2-135M (instruct) answers the prompts of the embedded instructions until its end token, in float32, greedily; so
answers are of the lengths that they have.  All see the same token ids and end tokens.  Transformers' batches are of rows
of like length (sorted, which spares padding) and, as users make them, of rows as they come.  Everything runs in one
process, in turn, round by round; times are CPU seconds of the process, and the prompts' own pass is part of them.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

Answers = dict[int, list[int]]


def main(words: Sequence[str] | None = None) -> None:
    """Run all systems in turn and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.answers", description=__doc__.splitlines()[0])
    for name, default in (
        ("rows", 32),
        ("batch", 16),
        ("max-new-tokens", 200),
        ("rounds", 2),
        ("threads", 1),
    ):
        parser.add_argument(f"--{name}", type=int, default=default)
    asked = parser.parse_args(words)
    import torch

    torch.set_num_threads(asked.threads)
    model, stops, prompts, processor = _opened(asked.rows)
    systems = _systems(model, stops, prompts, processor, asked.batch, asked.max_new_tokens)
    seconds: dict[str, list[float]] = {name: [] for name in systems}
    said: dict[str, Answers] = {}
    with torch.inference_mode():
        for _ in range(asked.rounds):
            for name, answer in systems.items():
                began = time.process_time()
                said[name] = answer()
                seconds[name].append(time.process_time() - began)
                print(f"{name}: {seconds[name][-1]:.1f} CPU s", file=sys.stderr, flush=True)
    _show(seconds, said, prompts)


def _opened(rows: int) -> tuple[Any, list[int], list[list[int]], Any]:
    from weitiao import api
    from weitiao.core import registry
    from weitiao.data.read import read
    from weitiao.models import load, marks

    task = registry.build("task", {"name": "sft"})
    found = load.load("smollm2-135m", task)
    found.model.eval()
    (source,) = read([str(api.fetch("alpaca-en"))], encoding="auto", seed=0)
    prompts = []
    for row in source.rows():
        asked = "\n".join(filter(None, (row.values["instruction"], row.values.get("input"))))
        prompts.append(task.opening([{"role": "user", "content": asked}], found.processor))
        if len(prompts) == rows:
            break
    return found.model, sorted(marks.ends(found.model, found.processor)), prompts, found.processor


def _systems(
    model: Any, stops: list[int], prompts: list[list[int]], processor: Any, batch: int, longest: int
) -> dict[str, Callable[[], Answers]]:
    import torch

    from weitiao.models.decoding import Decoding, decode, measure
    from weitiao.models.positions import limit

    padding = processor.pad_token_id
    words = {
        "max_new_tokens": longest,
        "do_sample": False,
        "eos_token_id": stops,
        "pad_token_id": padding,
        "temperature": None,
        "top_p": None,
        "top_k": None,
    }

    def generated(rows: Sequence[int]) -> Answers:
        width = max(len(prompts[row]) for row in rows)
        fill = [width - len(prompts[row]) for row in rows]
        ids = torch.tensor([[padding] * n + prompts[row] for n, row in zip(fill, rows, strict=True)])
        mask = torch.tensor([[0] * n + [1] * (width - n) for n in fill])
        made = model.generate(input_ids=ids, attention_mask=mask, **words)[:, width:].tolist()
        return {row: _ended(tokens, stops) for row, tokens in zip(rows, made, strict=True)}

    def batches(order: Sequence[int], size: int) -> Answers:
        found: Answers = {}
        for start in range(0, len(order), size):
            found |= generated(order[start : start + size])
        return found

    def ours() -> Answers:
        asked = Decoding(
            max_new_tokens=longest,
            stops=frozenset(stops),
            limit=limit(model.config, processor),
            padding=padding,
            rows=batch,
            tokens=10**9,
        )
        way = measure(model, processor, longest=asked.limit)
        return {row: answer.ids for row, answer in decode(model, prompts, asked, way=way)}

    as_they_come = list(range(len(prompts)))
    by_length = sorted(as_they_come, key=lambda row: -len(prompts[row]))
    return {
        "ours": ours,
        "generate, batches by length": lambda: batches(by_length, batch),
        "generate, batches as they come": lambda: batches(as_they_come, batch),
        "generate, one by one": lambda: batches(as_they_come, 1),
    }


def _ended(tokens: list[int], stops: Sequence[int]) -> list[int]:
    end = next((place for place, token in enumerate(tokens) if token in stops), len(tokens))
    return tokens[:end]


def _show(
    seconds: dict[str, list[float]], said: dict[str, Answers], prompts: Sequence[Sequence[int]]
) -> None:
    truth, first = said["generate, one by one"], next(iter(seconds))
    lengths = sorted(len(tokens) for tokens in truth.values())
    print(
        f"{len(prompts)} prompts of {min(map(len, prompts))} to {max(map(len, prompts))} tokens; answers of "
        f"{lengths[0]} to {lengths[-1]} tokens, half of them up to {lengths[len(lengths) // 2]}"
    )
    total = sum(lengths)
    print("| system | CPU s | times ours | answer tokens per CPU s | the same as one by one |")
    print("| --- | --- | --- | --- | --- |")
    for name, taken in seconds.items():
        ratio = statistics.median(a / b for a, b in zip(taken, seconds[first], strict=True))
        same = sum(said[name][row] == truth[row] for row in truth)
        middle = statistics.median(taken)
        print(f"| {name} | {middle:.1f} | {ratio:.2f} | {total / middle:.0f} | {same} of {len(truth)} |")


if __name__ == "__main__":
    main()
