"""What could go wrong in a run and is not refused, said before its first step.

warnings(recipe, method, labels of the rows, validation=40, total=280)  ->  sentences
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from weitiao.core.contracts import Method, Record, Task
from weitiao.core.recipe import Recipe
from weitiao.core.why import reason
from weitiao.data.doctor.synonyms import propose
from weitiao.data.overlong import advice, advised
from weitiao.data.unknown import UNKNOWN, unknown_id
from weitiao.models.assets.entries import MODELS
from weitiao.stages.data import READERS, WRITERS

if TYPE_CHECKING:
    import numpy as np

    from weitiao.data.encoded import Encoded

SHOWN = 5  # pairs of labels
LOOKED_AT = 200
"""Targets of which it is seen whether the tokenizer gives them back."""
LONGEST = 80
"""Characters of one that is shown."""


def warnings(
    recipe: Recipe, method: Method, labels: Mapping[str, Mapping[str, int]], *, validation: int, total: int
) -> Iterator[str]:
    """One sentence a thing.

    Args:
        recipe: resolved.
        method: what trains.
        labels: side -> label -> rows, where rows have labels.
        validation: how many validation rows there are.
        total: steps of the whole run.
    """
    from weitiao.train import optim

    settings = recipe.train
    warmup = optim.count(settings.warmup_steps, total)
    if warmup >= total > 1:
        reached = optim.schedule(settings).share(total - 1, total=total, peak=settings.learning_rate or 1.0)
        warmup_steps = f"{settings.warmup_steps:g}"
        yield reason("warming_up_all_along", warmup=warmup_steps, total=total, share=f"{reached:.0%}")
    for what in ("eval", "save"):
        steps, strategy = f"{what}_steps", getattr(settings, f"{what}_strategy")
        if (
            strategy not in ("steps", "no")
            and getattr(settings, steps) != type(settings).model_fields[steps].default
        ):
            yield reason("idle_steps", key=steps, owner=f"{what}_strategy", value=strategy)
    if method.listens and (not validation or settings.eval_strategy == "no"):
        yield reason("nobody_listens", method=recipe.method["name"])
    counts: Counter[str] = Counter()
    for rows_of in labels.values():
        counts.update(rows_of)
    if alike := propose(counts):
        pairs = ", ".join(f'"{label}" → "{meant}"' for label, (meant, _) in list(alike.items())[:SHOWN])
        (label, (meant, _)), *_ = alike.items()
        yield reason("alike_labels", count=len(alike), pairs=pairs, label=label, meant=meant)
    for side in ("validation", "test"):
        found = labels.get(side, {})
        if len(found) == 1 and len(labels["train"]) > 1:
            ((label, rows),) = found.items()
            yield reason("one_label", rows=rows, side=side, label=label)


def unknown_words(recipe: Recipe, task: Task, processor: Any, examples: Encoded) -> Iterator[str]:
    """One sentence where the tokenizer does not know much of what the training rows say.

    Args:
        recipe: resolved.
        task: what is learnt.
        processor: what encoded the rows.
        examples: the encoded training rows.
    """
    share = examples.unknown(processor)
    if share > UNKNOWN:
        broad = _broader(recipe, task)
        way = reason("known_by_e5", model=broad) if broad else reason("known_elsewhere")
        yield reason("unknown_words", share=f"{share:.0%}", model=recipe.model, way=way)


def written_otherwise(
    recipe: Recipe, task: Task, processor: Any, rows: Sequence[Record], examples: Encoded
) -> Iterator[str]:
    """One sentence where the tokenizer gives targets back otherwise than they stand: without capitals, in other signs.

    White space is left out, which decoders set as they like, and what is unknown or cut is told elsewhere.

    Args:
        recipe: resolved.
        task: what is learnt.
        processor: what encoded the rows.
        rows: the training rows.
        examples: the same, encoded.
    """
    if examples.written is None:
        return
    strange, lost, looked, other = unknown_id(processor), examples.counts("trained_lost"), 0, []
    for place in range(0, len(examples), max(1, len(examples) // LOOKED_AT)):
        ids = [int(one) for one in examples[place].inputs["labels"]]
        if lost[place] or strange in ids:
            continue
        looked += 1
        said = str(rows[int(examples.rows[place])].values[task.shape.target])
        back = processor.decode(ids, skip_special_tokens=True)
        if "".join(said.split()) != "".join(back.split()):
            other.append((said, back))
    if len(other) > UNKNOWN * looked:
        target, back = (" ".join(text.split()) for text in min(other, key=lambda pair: len(pair[0])))
        facts = {"share": f"{len(other) / looked:.0%}", "rows": looked, "target": target[:LONGEST]}
        broad = _broader(recipe, task)
        way = reason("written_by_e5", model=broad) if broad else reason("written_elsewhere")
        yield reason("targets_otherwise", model=recipe.model, back=back[:LONGEST], way=way, **facts)


def _broader(recipe: Recipe, task: Task) -> str:
    """The embedded model of a hundred languages, where it is of this kind and not the one that is asked; else empty."""
    broad = WRITERS.get(task.auto_class, READERS)[-1]
    return broad if recipe.model != broad and MODELS[broad].languages[0] != "en" else ""


def cut_much(recipe: Recipe, task: Task, lengths: np.ndarray, *, most: int) -> Iterator[str]:
    """One sentence where many training rows lose much, with the keys that help and their costs.

    Args:
        recipe: resolved.
        task: what is learnt.
        lengths: tokens of each training row before the cut (N,).
        most: tokens that the model could read at once.
    """
    limit = recipe.data.max_length or most
    if found := advice(lengths, task, recipe.data, limit=limit, most=most):
        facts = {name: found[name] for name in ("rows", "all")}
        yield reason("cut_much", limit=limit, lost=f"{found['lost']:.0%}", way=advised(found), **facts)


def written_cut(examples: Encoded) -> Iterator[str]:
    """One sentence where what is to be written is longer than it may be.

    Args:
        examples: the encoded training rows.
    """
    if examples.written is None:
        return
    lost = examples.counts("trained_lost") > 0
    if rows := int(lost.sum()):
        limit = int(examples.counts("trained")[lost].max())
        longest = int(examples.written.max())
        yield reason("written_cut", rows=rows, all=len(examples), limit=limit, max=longest)
