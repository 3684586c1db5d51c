"""Answers to many prompts: ours together, ours one by one, and Transformers' `generate` on padded batches.

    python -m benchmarks.answers [--rows 32] [--batch 16] [--mean 40] [--max-new-tokens 200] [--rounds 3] [--threads 2]

SmolLM2-135M (instruct) answers embedded instructions, in float32, greedily.  Where an answer ends is planted, so that
answers are of varied length whatever the model would say: after every token it ends with a chance of 1 in `--mean`, drawn
by a hash of that token and its place, so that a row ends at the same word however it is asked.  Transformers' batches are
of rows of like length, which spares padding.  All run in one process, in turn, round by round.  Seconds are of the CPU
(user and system, all threads) and by the wall clock; other work on the machine spoils the wall clock most.  What ours
measures of the model first, once (`decoding.measure`), stands in a line of its own.

Exit code 1 when an answer is not the same, token for token, as one by one: but for a word beside which another is as
likely, to 1e-3 in its score.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

Answers = dict[int, list[int]]
OURS, ALONE, THEIRS = "ours", "ours, one by one", "generate, padded batches by length"
TIE = 1e-3
"""Scores of two words that are as likely: float32 sums in another order move them by some 1e-5."""


def main(words: Sequence[str] | None = None) -> None:
    """Run all systems in turn and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.answers", description=__doc__.splitlines()[0])
    for name, default in (
        ("rows", 32),
        ("batch", 16),
        ("mean", 40),
        ("max-new-tokens", 200),
        ("rounds", 3),
        ("threads", 2),
    ):
        parser.add_argument(f"--{name}", type=int, default=default)
    asked = parser.parse_args(words)
    import weitiao  # noqa: F401 - before torch: it says how long waiting threads spin, for all three
    import torch  # isort: skip

    torch.set_num_threads(asked.threads)
    bench = opened(asked.rows, batch=asked.batch, longest=asked.max_new_tokens)
    with torch.inference_mode():
        cpu = time.process_time()
        bench = bench.measured()
        print(f"rows may be answered together: {bench.way} ({time.process_time() - cpu:.1f} CPU s)")
    systems = {OURS: bench.together, ALONE: bench.alone, THEIRS: bench.padded}
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in systems}
    said: dict[str, Answers] = {}
    with torch.inference_mode(), planted(bench.model, bench.stop, mean=asked.mean):
        bench.few(2).padded()  # the first products set things up
        for _ in range(asked.rounds):
            for name, answer in systems.items():
                cpu, wall = time.process_time(), time.perf_counter()
                said[name] = answer()
                seconds[name].append((time.process_time() - cpu, time.perf_counter() - wall))
                cpu, wall = seconds[name][-1]
                print(f"{name}: {cpu:.1f} CPU s, {wall:.1f} s", file=sys.stderr)
        ties = {name: _ties(bench, said[name], said[ALONE]) for name in systems}
    _show(seconds, said, bench.prompts)
    for name, other in ties.items():
        for row, gap in other.items():
            print(f"{name}: row {row} goes another way at a word that is {gap:.1e} less likely than another")
    if any(gap > TIE for other in ties.values() for gap in other.values()):
        raise SystemExit(1)


@contextmanager
def planted(model: Any, stop: int, *, mean: float, certain: float = math.inf) -> Iterator[None]:
    """The model says its end token, by a score of `certain`, with a chance of 1 in `mean` after every token, and never
    else."""
    import torch

    def ends(_: Any, __: Any, asked: dict[str, Any], said: Any) -> None:
        last, place = asked["input_ids"][:, -1], asked["position_ids"][:, -1]
        # Multiplicative hashing (Knuth, The Art of Computer Programming 3, 6.4), the upper bits of 32.
        drawn = ((last * 31 + place + 1) * 2654435761 % 2**32).double() / 2**32
        said.logits[:, -1, stop] = torch.where(drawn * mean < 1, certain, -math.inf).to(said.logits.dtype)

    hook = model.register_forward_hook(ends, with_kwargs=True)
    try:
        yield
    finally:
        hook.remove()


@dataclass(frozen=True)
class Bench:
    """What is asked of all alike."""

    model: Any
    processor: Any
    stop: int
    """The one token that ends an answer."""
    prompts: list[list[int]]
    batch: int
    longest: int
    """Tokens of an answer, at most."""
    way: Any = None
    """What `measured` found."""

    def few(self, count: int) -> Bench:
        """The first prompts alone."""
        return replace(self, prompts=self.prompts[:count])

    def measured(self) -> Bench:
        """Knows what the model can do.  Not with planted ends, which are no scores of the model's."""
        from weitiao.models.decoding import measure

        return replace(self, way=measure(self.model, self.processor, longest=self.asked().limit))

    def together(self) -> Answers:
        """As the judge asks: rows come and go."""
        return self._decoded(self.way)

    def alone(self) -> Answers:
        """One row after the other."""
        from weitiao.models.decoding import Way

        return self._decoded(Way.ALONE)

    def padded(self) -> Answers:
        """Rows of like length, filled up on the left; a batch is done when its last row is."""
        import torch

        order = sorted(range(len(self.prompts)), key=lambda row: -len(self.prompts[row]))
        found: Answers = {}
        for start in range(0, len(order), self.batch):
            rows = order[start : start + self.batch]
            width = max(len(self.prompts[row]) for row in rows)
            fill = [width - len(self.prompts[row]) for row in rows]
            ids = [[self._padding] * n + self.prompts[row] for n, row in zip(fill, rows, strict=True)]
            mask = [[0] * n + [1] * (width - n) for n in fill]
            made = self.model.generate(
                input_ids=torch.tensor(ids),
                attention_mask=torch.tensor(mask),
                max_new_tokens=self.longest,
                do_sample=False,
                eos_token_id=self.stop,
                pad_token_id=self._padding,
                **dict.fromkeys(("temperature", "top_p", "top_k")),
            )[:, width:].tolist()
            for row, tokens in zip(rows, made, strict=True):
                found[row] = tokens[: tokens.index(self.stop)] if self.stop in tokens else tokens
        return found

    @property
    def _padding(self) -> int:
        return int(self.processor.pad_token_id)

    def asked(self) -> Any:
        """What `decode` is asked for."""
        from weitiao.models.decoding import Decoding
        from weitiao.models.positions import limit

        return Decoding(
            max_new_tokens=self.longest,
            stops=frozenset([self.stop]),
            limit=limit(self.model.config, self.processor),
            padding=self._padding,
            rows=self.batch,
            tokens=10**9,
        )

    def _decoded(self, way: Any) -> Answers:
        from weitiao.models.decoding import decode

        return {row: answer.ids for row, answer in decode(self.model, self.prompts, self.asked(), way=way)}


def opened(rows: int, *, batch: int, longest: int) -> Bench:
    """SmolLM2-135M and embedded instructions."""
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
    stop = min(marks.ends(found.model, found.processor))
    return Bench(found.model, found.processor, stop, prompts, batch, longest)


def _ties(bench: Bench, said: Answers, truth: Answers) -> dict[int, float]:
    """Rows whose answer is another, with how much less likely one of the two words is where they part."""
    import torch

    found = {}
    for row, tokens in truth.items():
        if said[row] == tokens:
            continue
        ours, theirs = [*said[row], bench.stop], [*tokens, bench.stop]
        at = next(place for place, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b)
        ids = torch.tensor([bench.prompts[row] + tokens[:at]])
        places = torch.arange(ids.shape[1])[None]
        scores = bench.model(input_ids=ids, position_ids=places, use_cache=False).logits[0, -1]
        found[row] = abs(float(scores[ours[at]] - scores[theirs[at]]))
    return found


def _show(
    seconds: dict[str, list[tuple[float, float]]], said: dict[str, Answers], prompts: Sequence[Sequence[int]]
) -> None:
    truth = said[ALONE]
    lengths = sorted(len(tokens) for tokens in truth.values())
    print(
        f"{len(prompts)} prompts of {min(map(len, prompts))} to {max(map(len, prompts))} tokens; answers of "
        f"{lengths[0]} to {lengths[-1]} tokens, half of them up to {lengths[len(lengths) // 2]}, "
        f"{sum(lengths):,} in all"
    )
    print(
        "| system | CPU s | times ours | s | times ours | answer tokens per CPU s | the same as one by one |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name, taken in seconds.items():
        cells = []
        for kind in (0, 1):
            pairs = zip(taken, seconds[OURS], strict=True)
            ratio = statistics.median(theirs[kind] / ours[kind] for theirs, ours in pairs)
            cells += [f"{statistics.median(each[kind] for each in taken):.1f}", f"{ratio:.2f}"]
        rate = sum(lengths) / statistics.median(cpu for cpu, _ in taken)
        same = sum(said[name][row] == truth[row] for row in truth)
        print(f"| {name} | {' | '.join(cells)} | {rate:.0f} | {same} of {len(truth)} |")


if __name__ == "__main__":
    main()
