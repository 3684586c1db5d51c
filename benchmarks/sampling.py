"""Groups of samples: ours, and Transformers' `generate(do_sample=True, num_return_sequences=G)`.

    python -m benchmarks.sampling [--prompts 8] [--samples 8] [--rows 64] [--mean 40] [--max-new-tokens 128] [--top-p 1]
                                  [--rounds 2] [--threads 1] [--dtypes bfloat16 float32]

SmolLM2-135M (instruct) answers embedded instructions at temperature 1.  Where an answer ends is planted as in
`benchmarks.answers`, so that answers of both are as various in length, whatever was drawn.  Both run in one process, in
turn, round by round; CPU seconds (user and system, all threads) for every token that was drawn and kept, end tokens
included: what `generate` draws behind an end counts for nothing, but takes its time.

Exit code 1 when a log-probability that ours gives is not what one pass over prompt and answer says, to 1e-3, in float32;
in bfloat16 the largest and the mean difference are printed.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.answers import Bench, opened, planted

OURS, THEIRS = "ours", "generate, num_return_sequences"
CERTAIN = 1e4
"""The score of a planted end: as good as certain, and finite, as a distribution wants it."""
CLOSE = 1e-3


def main(words: Sequence[str] | None = None) -> None:
    """Run both in turn, in each precision, and print a table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.sampling", description=__doc__.splitlines()[0]
    )
    numbers = {
        "prompts": 8,
        "samples": 8,
        "rows": 64,
        "mean": 40,
        "max-new-tokens": 128,
        "rounds": 2,
        "threads": 1,
    }
    for name, default in numbers.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--top-p", type=float, default=1.0)
    parser.add_argument("--dtypes", nargs="+", default=["bfloat16", "float32"])
    asked = parser.parse_args(words)
    import weitiao  # noqa: F401 - before torch: it says how long waiting threads spin, for both
    import torch  # isort: skip

    torch.set_num_threads(asked.threads)
    bench = opened(asked.prompts, batch=asked.rows, longest=asked.max_new_tokens)
    print(
        "| precision | system | CPU s | tokens | ms a token | times ours |\n| --- | --- | --- | --- | --- | --- |"
    )
    gaps = {}
    for name in asked.dtypes:
        bench.model.to(getattr(torch, name))
        with torch.inference_mode():
            group = Group(bench.measured(), asked.samples, asked.top_p)
        with torch.inference_mode(), planted(bench.model, bench.stop, mean=asked.mean, certain=CERTAIN):
            found = _rounds(group, asked.rounds)
            gaps[name] = group.gaps()
        ours = {seed: cpu / tokens for seed, (cpu, tokens) in enumerate(found[OURS])}
        for system, runs in found.items():
            cpu, tokens = (statistics.median(each) for each in zip(*runs, strict=True))
            ratio = statistics.median(c / t / ours[seed] for seed, (c, t) in enumerate(runs))
            print(
                f"| {name} | {system} | {cpu:.1f} | {tokens:.0f} | {1e3 * cpu / tokens:.2f} | {ratio:.2f} |"
            )
    for name, gap in gaps.items():
        mean = statistics.mean(gap)
        print(
            f"{name}: log-probabilities and those of one pass differ by {max(gap):.1e} at most, {mean:.1e} as a mean"
        )
    if max(gaps.get("float32", [0.0])) > CLOSE:
        raise SystemExit(1)


@dataclass(frozen=True)
class Group:
    """What is asked of both alike."""

    bench: Bench
    samples: int
    top_p: float

    def ours(self, seed: int) -> int:
        """Tokens drawn."""
        return sum(len(answer.logps) for _, answer in self._drawn(seed))

    def theirs(self, seed: int) -> int:
        """Tokens drawn up to the ends; in batches of as many rows as ours keeps."""
        import torch

        bench = self.bench
        torch.manual_seed(seed)
        count, at_once = 0, max(1, bench.batch // self.samples)
        for start in range(0, len(bench.prompts), at_once):
            part = bench.prompts[start : start + at_once]
            width = max(map(len, part))
            fill = [width - len(prompt) for prompt in part]
            ids = [[bench.stop] * n + prompt for n, prompt in zip(fill, part, strict=True)]
            mask = [[0] * n + [1] * (width - n) for n in fill]
            made = bench.model.generate(
                input_ids=torch.tensor(ids),
                attention_mask=torch.tensor(mask),
                max_new_tokens=bench.longest,
                do_sample=True,
                temperature=1.0,
                top_k=0,
                top_p=self.top_p,
                num_return_sequences=self.samples,
                eos_token_id=bench.stop,
                pad_token_id=bench.stop,
            )[:, width:]
            ended = (made == bench.stop).int().argmax(1) + 1
            count += int(torch.where((made == bench.stop).any(1), ended, made.shape[1]).sum())
        return count

    def gaps(self) -> list[float]:
        """How far each log-probability is from what one pass over prompt and answer says."""
        import torch

        from weitiao.models.decoding import log_probabilities

        found = []
        for row, answer in self._drawn(0):
            prompt = self.bench.prompts[row // self.samples]
            said = answer.ids if answer.end is None else [*answer.ids, answer.end]
            # Planted ends are in the last score of a pass alone; one that never ends has no chance of it in between.
            ids = torch.tensor([prompt + said])
            places = torch.arange(ids.shape[1])[None]
            scores = self.bench.model(input_ids=ids, position_ids=places, use_cache=False).logits[0]
            scores = scores[len(prompt) - 1 : -1].float()[: len(answer.ids)]
            scores[:, self.bench.stop] = -torch.inf
            logps = log_probabilities(scores, top_p=self.top_p)
            scored = logps.gather(-1, torch.tensor(answer.ids)[:, None])[:, 0].tolist()
            found += [abs(a - b) for a, b in zip(scored, answer.logps[: len(scored)], strict=True)]
        return found

    def _drawn(self, seed: int) -> Any:
        from dataclasses import replace

        from weitiao.models.decoding import decode

        words = {"sample": True, "seed": seed, "temperature": 1.0, "top_k": None, "top_p": self.top_p}
        prompts = [prompt for prompt in self.bench.prompts for _ in range(self.samples)]
        return decode(self.bench.model, prompts, replace(self.bench.asked(), **words), way=self.bench.way)


def _rounds(group: Group, rounds: int) -> dict[str, list[tuple[float, int]]]:
    """CPU seconds and tokens of each round."""
    systems: dict[str, Callable[[int], int]] = {OURS: group.ours, THEIRS: group.theirs}
    found: dict[str, list[tuple[float, int]]] = {name: [] for name in systems}
    few = Group(group.bench.few(1), 2, group.top_p)
    few.ours(0), few.theirs(0)  # the first products set things up
    for seed in range(rounds):
        for name, draw in systems.items():
            cpu = time.process_time()
            tokens = draw(seed)
            found[name].append((time.process_time() - cpu, tokens))
            print(f"{name}: {found[name][-1][0]:.1f} CPU s, {tokens} tokens", file=sys.stderr)
    return found


if __name__ == "__main__":
    main()
