"""What every system says of the rows that judge: the tuned model, the untuned one, the baselines.

run, rows  ->  ask_all  ->  {"tuned": [...], "untuned": [...], "tfidf": [...]}, one dict a row
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from weitiao.core.contracts import SEEN, Baseline, Record, Sampling
from weitiao.core.files import read_lines
from weitiao.stages import validation_rows
from weitiao.stages.beside import Beside
from weitiao.stages.events import Tell
from weitiao.stages.general import General
from weitiao.stages.kept_rows import kept
from weitiao.stages.rollouts import Rater
from weitiao.stages.run import Run
from weitiao.stages.to_judge import ToJudge
from weitiao.train import memory


def ask_all(
    run: Run,
    these: ToJudge,
    references: Sequence[Mapping[str, Any]],
    answered: Sequence[int],
    *,
    beside: Beside,
    tell: Tell,
) -> tuple[dict[str, list[dict[str, Any]]], General]:
    """What each says of the same rows, and what the models know of general texts.

    Args:
        run: whose models are asked.
        these: the rows, encoded.
        references: what is expected of each.
        answered: the rows that models answer in words.
        beside: all but the tuned model may fail.
        tell: hears how it goes.
    """
    from weitiao.evaluate.chosen import baselines

    settings = run.recipe.evaluate
    systems: dict[str, list[dict[str, Any]]] = {}
    forgetting = General.none()
    with beside.may_fail("general"):
        forgetting = General.of(run)

    def ask(name: str, model: Run) -> None:
        systems[name] = _scored(run, model, these, name=name, tell=tell)
        with beside.may_fail("general"):
            forgetting.ask(name, model)
        if answered:
            with beside.may_fail("answers"):
                words: dict[str, Any] = {"name": name, "tell": tell}
                if run.task.paints:
                    said = _painted(model, these.records, answered, **words)
                else:
                    said = _spoken(model, these.records, references, answered, **words)
                for row, one in zip(answered, said, strict=True):
                    systems[name][row] |= one

    ask("tuned", run)
    if not these.given or not validation_rows.where(run).is_file():
        # Before baselines are imported and learnt, which stay in memory.
        with beside.may_fail("validation"):
            validation_rows.keep(run, tell)
    if settings.untuned:
        with beside.may_fail("untuned"), run.untuned() as before:
            ask("untuned", before)
    _set_against(systems, answered)
    for name, baseline in baselines(run.task, settings.baseline).items():
        with beside.may_fail(name):
            known = [] if these.given else _said_before(run, name, len(these.records))
            systems[name] = known or _learnt(run, baseline, these.records)
        memory.trim()
    return systems, forgetting


def _scored(run: Run, model: Run, these: ToJudge, *, name: str, tell: Tell) -> list[dict[str, Any]]:
    """One pass over the rows, and of models that write how many bytes their loss is of.  Of a prompt that a model is to answer
    itself there is nothing to be said in one pass."""
    if isinstance(run.task, Sampling) and run.task.rewarded:
        return [{} for _ in these.records]
    told = model._predict(these.examples, lambda done, all: tell("judged", what=name, done=done, all=all))
    shown = [run.task.shown(record, row) for record, row in zip(these.records, told, strict=True)]
    if run.task.generates:
        for one, example in zip(shown, these.examples, strict=True):
            one["bytes"] = run.task.text_bytes(example, run.tuned.processor)
    return shown


def _spoken(
    model: Run,
    records: Sequence[Record],
    references: Sequence[Mapping[str, Any]],
    answered: Sequence[int],
    *,
    name: str,
    tell: Tell,
) -> list[dict[str, Any]]:
    """Answers in words, one for each of these rows."""
    said = model.speaker.answers(
        [references[row]["prompt"] for row in answered],
        tools=[records[row].values.get("tools") for row in answered],
        max_new_tokens=model.recipe.evaluate.max_new_tokens,
        progress=lambda done, all: tell("judged", what=f"{name}: answers", done=done, all=all),
        notice=(lambda text: tell("notice", text=text)) if name == "tuned" else None,
    )
    if not isinstance(model.task, Sampling) or not model.task.rewarded:
        return said
    read = model.tuned.processor
    counted = [
        {**one, "tokens": len(read(one["answer"], add_special_tokens=False)["input_ids"])} for one in said
    ]
    worth = Rater(model.task).rate([records[row] for row in answered], counted)
    return [{**one, **told} for one, told in zip(said, worth, strict=True)]


def _painted(
    model: Run, records: Sequence[Record], answered: Sequence[int], *, name: str, tell: Tell
) -> list[dict[str, Any]]:
    """A picture for each of these rows, drawn without its own, and what is seen in both."""
    task, rows = model.task, [records[row] for row in answered]
    asked = [Record(row.file, row.line, task.shape.asks(row.values), row.nth) for row in rows]
    examples = [example for _, example in model.read(asked)]
    told = model._predict(
        examples, lambda done, all: tell("judged", what=f"{name}: pictures", done=done, all=all)
    )
    return task.looked_at(rows, told)


def _set_against(systems: Mapping[str, list[dict[str, Any]]], answered: Sequence[int]) -> None:
    """Which answers are worth more than the untuned model's (1), less (0), or as much (a half)."""
    for told in systems.values():
        for row in answered:
            worth, before = (one.get("reward") for one in (told[row], systems.get("untuned", told)[row]))
            if "untuned" in systems and worth is not None and before is not None:
                told[row]["won"] = (1 + (worth > before) - (worth < before)) / 2


def _learnt(run: Run, baseline: Baseline, records: Sequence[Record]) -> list[dict[str, Any]]:
    """What a baseline says of the test rows, learnt from the training rows."""
    known, asked = [row for row, _ in kept(run.folder, "train")], records
    if baseline.sees:
        with run.untuned() as before:
            known, asked = (_seen(before, rows) for rows in (known, asked))
    told = baseline.fit(known, run.task.shape)(asked)
    return [run.task.shown(row, one) for row, one in zip(records, told, strict=True)]


def _seen(before: Run, records: Sequence[Record]) -> list[Record]:
    """The rows with what a model sees in each."""
    from weitiao.evaluate.features import features

    train = before.recipe.train
    words: dict[str, Any] = {"longest": before.limit, "device": before.device, "half": train.half}
    examples = [example for _, example in before.read(records)]
    seen_ND = features(
        before.tuned, before.task, examples, batch_size=train.per_device_eval_batch_size, **words
    )
    return [
        replace(row, values={**row.values, SEEN: one_D}) for row, one_D in zip(records, seen_ND, strict=True)
    ]


def _said_before(run: Run, system: str, count: int) -> list[dict[str, Any]]:
    """What a baseline said; a run's splits do not change, so that stands, also of a run of before its rows were kept."""
    before = [line[system] for line in read_lines(run.path / "predictions.jsonl") if line.get(system)]
    return before if len(before) == count else []
