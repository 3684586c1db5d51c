"""Judge a saved model on its locked test rows, or on others, and write the report.

evaluate(run)                  ->  results.json, predictions.jsonl, analysis.json, report.html in the run folder
evaluate(run, "new.csv")       ->  the same, and data/ledger.json, in evaluations/new/
evaluate(run, variant="merged")  ->  the same of another form of its model, beside that
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from weitiao.core.contracts import Judged, Metric
from weitiao.core.files import read_lines, refuse_unwritable, write_json, write_lines
from weitiao.core.results import VERSION
from weitiao.core.why import reason
from weitiao.data.overlong import advice
from weitiao.evaluate import general
from weitiao.evaluate.chosen import LATE
from weitiao.evaluate.noise import floor
from weitiao.stages import noise
from weitiao.stages.analyse import FILE as ANALYSIS
from weitiao.stages.analyse import analyse
from weitiao.stages.beside import Beside
from weitiao.stages.evaluation_folder import place_for
from weitiao.stages.events import Tell, listening
from weitiao.stages.general import General
from weitiao.stages.kept_rows import seen_in_training
from weitiao.stages.model_card import write_model_card
from weitiao.stages.run import Run
from weitiao.stages.runs import load
from weitiao.stages.systems import ask_all
from weitiao.stages.to_judge import ToJudge, given, locked, of_files
from weitiao.stages.usage import usage


def evaluate(
    run: Run | str | Path,
    data: Any = None,
    *,
    columns: Mapping[str, str] | None = None,
    name: str = "",
    strict: bool = False,
    variant: str = "",
    tell: Tell | None = None,
) -> Run:
    """Judge the saved model on the locked test rows, beside the untuned one and baselines; write the report.

    What is judged is the model as it lies in the folder, read back from disk.  What stands beside it, the samples and
    the page may each fail alone: `results["missing"]` then says what is not there, and why.

    Rows that are given are read, checked and repaired as the run's own were; those that it was trained on, or chose by, are
    left out.  `results["given"]` says how many, and `data/ledger.json` beside the results what became of every row.

    Args:
        run: a run, or its folder, or that of a variant in it.
        data: other rows than the locked ones: a file or several, or a table as `wt.train(data=...)` takes it.
        columns: with `data`: our column -> theirs; default: as the recipe names them, or by our names.
        name: with `data`: its results lie in `evaluations/NAME`; default: the file's name.
        strict: with `data`: refuse where a row cannot be used, was seen in training, or has a label that the model does not
            know, which else counts as one that it gets wrong.
        variant: a folder of the run that holds its model in another form, such as `merged`; default: the tuned model.
        tell: hears how it goes; without it a bar or lines on standard error say so.

    Returns:
        The run, whose `results` and `report` are those that were written here.

    Raises:
        WeitiaoError: `unfinished_run`, `broken_model`, `no_permission` when the folder cannot be written, `no_variant`, what
            loading raises; with `data` what reading raises, `bad_rows`, `evaluation_there`.
    """
    run = run if isinstance(run, Run) else load(run)
    run = run.as_variant(variant) if variant else run
    with listening(tell) as (told, _, _):
        told("asked", recipe=run.recipe)
        if data is None:
            judged = run.judged("")
            refuse_unwritable(judged.place)
            return _judge(judged, locked(judged), told)
        with place_for(run, data, name) as (judged, files):
            refuse_unwritable(judged.place)
            rows = given(judged, of_files(judged, files, columns), name=judged.place.name, strict=strict)
            return _judge(judged, rows, told)


def _judge(run: Run, these: ToJudge | None, tell: Tell) -> Run:
    if these is None:
        write_model_card(run)
        return run  # data.split.test was 0: there is nothing to judge by
    started = time.perf_counter()
    tell("judging", rows=len(these.records), given=these.given is not None)
    judging = _ask(run, these, tell)
    results = judging.numbers()
    results["seconds"]["evaluate"] = time.perf_counter() - started
    judging.weigh(results)
    rows = judging.rows()
    results["sections"] = judging.sections(rows, results["general"])
    judging.write(rows, results)
    tell("results", results=results, report=run.report)
    return run


def _ask(run: Run, these: ToJudge, tell: Tell) -> _Judging:
    """Every system is asked every row, and some rows are answered in words: all that a metric of answers is to see, or
    those that are shown."""
    from weitiao.evaluate.answered import chosen
    from weitiao.evaluate.chosen import judged

    task, settings = run.task, run.recipe.evaluate
    metrics, beside = judged(task, settings.metrics), Beside(tell)
    references = [task.reference(record) for record in these.records]
    speaks = any({*LATE} & {*metric.needs} for metric in metrics.values())
    wanted = chosen(len(references), settings.answers if speaks else settings.samples, seed=run.recipe.seed)
    answered = wanted if task.generates or task.paints else []
    systems, forgetting = ask_all(run, these, references, answered, beside=beside, tell=tell)
    return _Judging(run, these, tell, beside, metrics, references, answered, systems, forgetting)


@dataclass(frozen=True)
class _Judging:
    """What every system said of the rows, to be made numbers, findings, sections and files of."""

    run: Run
    these: ToJudge
    tell: Tell
    beside: Beside
    metrics: Mapping[str, Metric]
    references: Sequence[Mapping[str, Any]]
    answered: Sequence[int]
    systems: Mapping[str, Sequence[dict[str, Any]]]
    forgetting: General

    def numbers(self) -> dict[str, Any]:
        """What `results.json` holds before it is weighed."""
        from weitiao.evaluate.answered import judge_some
        from weitiao.models.store import read_card

        run, these, recipe = self.run, self.these, self.run.recipe
        settings, card = recipe.evaluate, read_card(run.folder.model)
        found = judge_some(
            self.references,
            self.systems,
            self.metrics,
            rows=self.answered,
            labels=these.labels,
            groups=these.groups,
            confidence=settings.confidence,
            resamples=settings.resamples,
            seed=recipe.seed,
        )
        cut = int((these.examples.counts("tokens_lost") > 0).sum())
        passes = recipe.data.max_windows if recipe.data.overlong == "windows" else 1
        return {
            "version": VERSION,
            "task": recipe.task["name"],
            "model": recipe.model,
            "method": recipe.method["name"],
            "primary": run.task.primary,
            "higher_is_better": self.metrics[run.task.primary].higher_is_better,
            "lower_is_better": [name for name, one in self.metrics.items() if not one.higher_is_better],
            "labels": list(these.labels),
            "rows": len(these.records),
            "given": these.given,
            "cut": {"rows": cut, "limit": run.limit * passes} if cut else None,
            "advice": advice(these.lengths, run.task, recipe.data, limit=run.limit, most=run.most),
            **found,
            "sections": {},
            "answers": _answers(self.systems["tuned"], self.answered, settings.max_new_tokens),
            "trainable": {"trained": card["trained"], "total": card["total"]},
            "seconds": {"train": card["seconds"]},
            "usage": [],
            "missing": self.beside.missing,
            "findings": [],
            "general": self.forgetting.compared(confidence=settings.confidence),
        }

    def weigh(self, results: dict[str, Any]) -> None:
        """Put in what the numbers mean: how far they move by chance, how the model is used, findings, the verdict."""
        from weitiao.evaluate.verdict import verdict

        run, these, beside = self.run, self.these, self.beside
        if not these.given:  # other seeds were judged by the locked rows
            with beside.may_fail("noise"):
                results["noise"] = _noise(run, results, beside)
        with beside.may_fail("usage"):
            results["usage"] = usage(run)
        seen = 0
        with beside.may_fail("seen_in_training"):
            near = these.given is not None
            seen = seen_in_training(run.folder, these.records, run.task.shape, run.recipe.data, near=near)
        with beside.may_fail("findings"):
            results["findings"] = self._findings(results, seen)
        results["verdict"] = verdict(results, confidence=run.recipe.evaluate.confidence)

    def _findings(self, results: Mapping[str, Any], seen: int) -> list[dict[str, Any]]:
        """What a reader should know of the training and of the rows."""
        from weitiao.evaluate.chosen import watched
        from weitiao.evaluate.findings import findings
        from weitiao.evaluate.findings.evidence import Evidence
        from weitiao.evaluate.judge import measured

        run, these, task, told = self.run, self.these, self.run.task, self.systems["tuned"]
        # A label that the model has no output for has no loss: it would outweigh all others.
        # A prompt that was not answered says nothing.
        heard = [
            place for place, record in enumerate(these.records) if told[place] and not task.known(record)[1]
        ]
        examples = [these.examples[place] for place in heard]
        loss = measured(task, watched(task), [told[place] for place in heard], examples) if heard else None
        evidence = Evidence(
            results,
            read_lines(run.path / "log.jsonl"),
            self.references,
            self.systems,
            seen,
            confidence=run.recipe.evaluate.confidence,
            test_loss=(loss["loss"], loss["loss_se"]) if loss else None,
            vocabulary=len(run.tuned.processor) if task.generates else 0,
        )
        return findings(evidence)

    def rows(self) -> list[dict[str, Any]]:
        """What was expected of each row, and where it lies."""
        these = self.these
        tokens = these.lengths.tolist()
        if len(tokens) != len(these.records):  # a row is several examples: none of them is its length
            tokens = [None] * len(these.records)
        return [
            {
                "file": record.file,
                "line": record.line,
                "group": group,
                "row_tokens": tokens,
                **_plain(reference),
            }
            for record, group, tokens, reference in zip(
                these.records, these.groups, these.lengths.tolist(), self.references, strict=True
            )
        ]

    def sections(self, rows: Sequence[Mapping[str, Any]], forgotten: dict[str, Any] | None) -> dict[str, Any]:
        """What else there is to be seen of the rows; each section may fail alone."""
        from weitiao.evaluate.analysed import analyses, in_order

        recipe = self.run.recipe
        judged = Judged(
            rows,
            self.systems,
            labels=self.these.labels,
            metrics=self.metrics,
            sure=self.run.task.sure,
            samples=recipe.evaluate.samples,
            confidence=recipe.evaluate.confidence,
            seed=recipe.seed,
        )
        sections = {}
        for name, analysis in analyses(judged).items():
            with self.beside.may_fail(name):
                if section := analysis.section(judged):
                    sections[name] = section
        if forgotten:
            sections["general"] = general.section(forgotten)
        return in_order(sections)

    def write(self, rows: Sequence[Mapping[str, Any]], results: dict[str, Any]) -> None:
        """Predictions and results, then what is made from them: the analysis, the model's card, the page."""
        from weitiao.evaluate.report import write_report

        run, these, beside = self.run, self.these, self.beside
        lines = [
            {**row, **{name: told[i] for name, told in self.systems.items()}} for i, row in enumerate(rows)
        ]
        if these.given:
            these.ledger.write(run.place / "data")
        write_lines(run.place / "predictions.jsonl", lines)
        write_json(run.place / "results.json", results)
        there = len(beside.missing)
        (run.place / ANALYSIS).unlink(missing_ok=True)  # as of a page: of other numbers it is worse than none
        with beside.may_fail("analysis"):
            analyse(run)
        if not run.judged_in:
            with beside.may_fail("model_card"):
                write_model_card(run)
        with beside.may_fail("page"):
            run.report.unlink(missing_ok=True)  # a page of other numbers is worse than none
            write_report(run.path, run.place)
        if len(beside.missing) > there:
            write_json(run.place / "results.json", results)


def _plain(reference: Mapping[str, Any]) -> dict[str, Any]:
    plain = {
        key: "\n".join(turn.get("content") or "" for turn in value) if key == "prompt" else value
        for key, value in reference.items()
    }
    turns = [turn for turn in reference.get("prompt") or () if isinstance(turn, Mapping)]
    paths = [each["image"] for turn in turns for each in turn.get("images") or ()]
    return {**plain, "images": paths} if paths else plain


def _noise(run: Run, results: Mapping[str, Any], beside: Beside) -> dict[str, Any] | None:
    """How far the score moves with the seed, by runs of the same recipe and rows; what was asked for and is not there is
    said."""
    own, wanted = results["metrics"]["tuned"][results["primary"]]["value"], run.recipe.evaluate.noise_runs
    known = noise.scores(run.folder, own=own, metric=results["primary"]) if own is not None else {}
    if (there := max(0, len(known) - 1)) < wanted:
        beside.missing.append({"what": "noise", "why": reason("noise_missing", there=there, wanted=wanted)})
    return floor(known, metric=results["primary"], confidence=run.recipe.evaluate.confidence)


def _answers(
    told: Sequence[Mapping[str, Any]], answered: Sequence[int], longest: int
) -> dict[str, int] | None:
    """How many rows were answered, and how many of the tuned model's answers did not come to their end."""
    endings = [told[row]["ending"] for row in answered if "ending" in told[row]]
    if not endings:
        return None
    counts = {"unended": endings.count("length"), "full": endings.count("full")}
    return {"rows": len(endings), **counts, "max_new_tokens": longest}
