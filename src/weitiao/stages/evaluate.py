"""Judge a saved model on its locked test rows, or on others, and write the report.

evaluate(run)                  ->  results.json, predictions.jsonl, analysis.json, report.html in the run folder
evaluate(run, "new.csv")       ->  the same, and data/ledger.json, in evaluations/new/
evaluate(run, variant="merged")  ->  the same of another form of its model, beside that
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from weitiao.core.contracts import OURS, Judged
from weitiao.core.files import disk, read_lines, write_json, write_lines
from weitiao.core.results import VERSION
from weitiao.core.why import reason
from weitiao.data.overlong import FITTED, advice
from weitiao.evaluate import general
from weitiao.evaluate.chosen import ANSWER
from weitiao.evaluate.noise import floor
from weitiao.stages import noise, validation_rows
from weitiao.stages.analyse import FILE as ANALYSIS
from weitiao.stages.analyse import analyse
from weitiao.stages.beside import Beside
from weitiao.stages.evaluation_folder import place_for
from weitiao.stages.events import Tell, listening
from weitiao.stages.kept_rows import seen_in_training
from weitiao.stages.model_card import write_model_card
from weitiao.stages.run import Run, load
from weitiao.stages.systems import ask_all
from weitiao.stages.to_judge import ToJudge, given, locked, of_files


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
            refuse_unwritable_place(judged.place)
            return _judge(judged, locked(judged), told)
        with place_for(run, data, name) as (judged, files):
            refuse_unwritable_place(judged.place)
            rows = given(judged, of_files(judged, files, columns), name=judged.place.name, strict=strict)
            return _judge(judged, rows, told)


def refuse_unwritable_place(place: Path) -> None:
    """Judging takes long: a folder that its results cannot be written to is said before."""
    with disk(place), tempfile.TemporaryFile(dir=place):
        pass


def _judge(run: Run, these: ToJudge, tell: Tell) -> Run:
    from weitiao.evaluate.answered import chosen, judge_some
    from weitiao.evaluate.chosen import judged, watched
    from weitiao.evaluate.findings import findings
    from weitiao.evaluate.findings.evidence import Evidence
    from weitiao.evaluate.judge import measured
    from weitiao.evaluate.report import write_report
    from weitiao.evaluate.verdict import verdict
    from weitiao.models.store import read_card

    folder, recipe = run.folder, run.recipe
    settings, started = recipe.evaluate, time.perf_counter()
    card = read_card(folder.model)
    task = run.task
    records, groups, examples, labels = these.records, these.groups, these.examples, these.labels
    if examples is None:
        write_model_card(run)
        return run  # data.split.test was 0: there is nothing to judge by
    metrics = judged(task, settings.metrics)
    tell("judging", rows=len(records), given=these.given is not None)
    references = [task.reference(record) for record in records]
    beside = Beside(tell)
    speaks = any(ANSWER in metric.needs for metric in metrics.values())
    wanted = chosen(len(records), settings.answers if speaks else settings.samples, seed=recipe.seed)
    answered = wanted if task.generates else []
    systems, forgetting = ask_all(run, these, references, answered, beside=beside, tell=tell)
    found = judge_some(
        references,
        systems,
        metrics,
        rows=answered,
        labels=labels,
        groups=groups,
        confidence=settings.confidence,
        resamples=settings.resamples,
        seed=recipe.seed,
    )
    cut = int((examples.counts("tokens_lost") > 0).sum())
    passes = recipe.data.max_windows if recipe.data.overlong == "windows" else 1
    results = {
        "version": VERSION,
        "task": recipe.task["name"],
        "model": recipe.model,
        "method": recipe.method["name"],
        "primary": task.primary,
        "higher_is_better": metrics[task.primary].higher_is_better,
        "lower_is_better": [name for name, metric in metrics.items() if not metric.higher_is_better],
        "labels": list(labels),
        "rows": len(records),
        "given": these.given,
        "cut": {"rows": cut, "limit": run.limit * passes} if cut else None,
        "advice": advice(these.lengths, task, recipe.data, limit=run.limit, most=run.most),
        **found,
        "sections": {},
        "answers": _answers(systems["tuned"], answered, settings.max_new_tokens),
        "trainable": {"trained": card["trained"], "total": card["total"]},
        "seconds": {"train": card["seconds"], "evaluate": time.perf_counter() - started},
        "usage": [],
        "missing": beside.missing,
        "findings": [],
    }
    results["general"] = forgetting.compared(confidence=settings.confidence)
    if not these.given:  # other seeds were judged by the locked rows
        with beside.may_fail("noise"):
            results["noise"] = _noise(run, results, beside)
    with beside.may_fail("usage"):
        results["usage"] = usage(run)
    seen = 0
    with beside.may_fail("seen_in_training"):
        seen = seen_in_training(folder, records, task.shape, recipe.data, near=these.given is not None)
    with beside.may_fail("findings"):
        log = read_lines(folder.path / "log.jsonl")
        # A label that the model has no output for has no loss: it would outweigh all others.
        heard = [place for place, record in enumerate(records) if not task.known(record)[1]]
        told = [systems["tuned"][place] for place in heard]
        loss = measured(task, watched(task), told, [examples[place] for place in heard]) if heard else None
        evidence = Evidence(
            results,
            log,
            references,
            systems,
            seen,
            confidence=settings.confidence,
            test_loss=(loss["loss"], loss["loss_se"]) if loss else None,
        )
        results["findings"] = findings(evidence)
    results["verdict"] = verdict(results, confidence=settings.confidence)
    rows = [
        {"file": record.file, "line": record.line, "group": group, **_plain(reference)}
        for record, group, reference in zip(records, groups, references, strict=True)
    ]
    shown = Judged(
        rows,
        systems,
        labels=labels,
        metrics=metrics,
        samples=settings.samples,
        confidence=settings.confidence,
        seed=recipe.seed,
    )
    results["sections"] = _sections(shown, results["general"], beside)
    lines = [row | {name: told[i] for name, told in systems.items()} for i, row in enumerate(rows)]
    if these.given:
        these.ledger.write(run.place / "data")
    write_lines(run.place / "predictions.jsonl", lines)
    write_json(run.place / "results.json", results)
    there = len(beside.missing)
    (run.place / ANALYSIS).unlink(missing_ok=True)  # as of a page: of other numbers it is worse than none
    if not these.given or not validation_rows.where(run).is_file():
        with beside.may_fail("validation"):
            validation_rows.keep(run, tell)
    with beside.may_fail("analysis"):
        analyse(run)
    if run.place == run.path:
        with beside.may_fail("model_card"):
            write_model_card(run)
    with beside.may_fail("page"):
        run.report.unlink(missing_ok=True)  # a page of other numbers is worse than none
        write_report(folder.path, run.place)
    if len(beside.missing) > there:
        write_json(run.place / "results.json", results)
    tell("results", results=results, report=run.report)
    return run


def _plain(reference: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: "\n".join(turn.get("content") or "" for turn in value) if key == "prompt" else value
        for key, value in reference.items()
    }


def _noise(run: Run, results: Mapping[str, Any], beside: Beside) -> dict[str, Any] | None:
    """How far the score moves with the seed, by runs of the same recipe and rows; what was asked for and is not there is
    said."""
    own, wanted = results["metrics"]["tuned"][results["primary"]]["value"], run.recipe.evaluate.noise_runs
    known = noise.scores(run.folder, own=own, metric=results["primary"]) if own is not None else {}
    if (there := max(0, len(known) - 1)) < wanted:
        beside.missing.append({"what": "noise", "why": reason("noise_missing", there=there, wanted=wanted)})
    return floor(known, metric=results["primary"], confidence=run.recipe.evaluate.confidence)


def _sections(judged: Judged, forgotten: dict[str, Any] | None, beside: Beside) -> dict[str, Any]:
    """What else there is to be seen of the rows; each section may fail alone."""
    from weitiao.evaluate.analysed import analyses, in_order

    sections = {}
    for name, analysis in analyses(judged).items():
        with beside.may_fail(name):
            if section := analysis.section(judged):
                sections[name] = section
    if forgotten:
        sections["general"] = general.section(forgotten)
    return in_order(sections)


def _answers(
    told: Sequence[Mapping[str, Any]], answered: Sequence[int], longest: int
) -> dict[str, int] | None:
    """How many rows were answered, and how many of the tuned model's answers did not come to their end."""
    endings = [told[row]["ending"] for row in answered if "ending" in told[row]]
    if not endings:
        return None
    counts = {"unended": endings.count("length"), "full": endings.count("full")}
    return {"rows": len(endings), **counts, "max_new_tokens": longest}


def usage(run: Run) -> list[dict[str, str]]:
    """How the tuned model is used: on the command line, from Python, and without weitiao."""
    path, base = run.path / run.variant, run.tuned.source
    home = path if run.variant else path / "model"
    auto = run.task.auto_class
    options = run.task.model_options()
    if run.task.generates:
        line, call = f"weitiao chat {path}", 'run.answer([{"role": "user", "content": "..."}])'
    else:
        line, call = f'weitiao predict {path} "..."', 'run.predict(["..."])'
    python = f'import weitiao as wt\n\nrun = wt.load("{path}")\nprint({call})'
    reads = f"\n\n{said}" if (said := run.task.of_logits()) else ""
    if run.recipe.data.overlong in FITTED:
        reads += f"\n# of rows longer than {run.limit} tokens weitiao reads more (data.overlong: {run.recipe.data.overlong})"
    ways = [{"title": reason("on_the_command_line"), "code": line}, {"title": "Python", "code": python}]
    kind = None if run.variant else run.folder.json("model/adapter_config.json").get("peft_type")
    opened = f'tokenizer = AutoTokenizer.from_pretrained("{home}")'
    if kind is None:
        without = (
            f"from transformers import {auto}, AutoTokenizer\n\n"
            f'model = {auto}.from_pretrained("{home}")\n{opened}{reads}'
        )
        ways += [{"title": reason("without_us", by="Transformers"), "code": without}]
    elif kind != OURS:
        extra = f", num_labels={options['num_labels']}" if options else ""
        note = "# in full precision; it was tuned in 4 bits, so scores differ a little\n" * (
            run.method.base_bits == 4
        )
        # The base's own settings may stop at fewer tokens than the answers that were learnt end with.
        more = ", GenerationConfig" * run.task.generates
        ends = (
            f'model.generation_config = GenerationConfig.from_pretrained("{path}/model")\n'
            * run.task.generates
        )
        without = (
            f"from peft import PeftModel\nfrom transformers import {auto}, AutoTokenizer{more}\n\n{note}"
            f'base = {auto}.from_pretrained("{base}"{extra})\n'
            f'model = PeftModel.from_pretrained(base, "{path}/model")\n{ends}{opened}{reads}'
        )
        ways += [{"title": reason("without_us", by="PEFT"), "code": without}]
    if kind is not None and run.method.foldable:
        ways += [{"title": reason("one_plain_model"), "code": f"weitiao merge {path} -o {path}/merged"}]
    return ways
