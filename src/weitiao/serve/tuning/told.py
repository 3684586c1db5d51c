"""What the log of a run tells of a job, as OpenAI says it.

events(job, said, log)   checkpoints(job, run)   results(log)  ->  "step,train_loss,valid_loss\\n..."
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from weitiao.core.files import read_lines
from weitiao.serve.tuning.jobs import Job

Facts = Sequence[Mapping[str, Any]]


def events(job: Job, said: Facts, run: Path) -> list[dict[str, Any]]:
    """Everything that happened, the newest first."""
    begun = float(job.started_at or job.created_at)
    log = read_lines(run / "log.jsonl")
    seconds, steps = 0.0, []
    for fact in log:
        seconds += fact.get("seconds", 0.0) if fact.get("event") == "step" else 0.0
        if (told := _metrics(fact)) is not None:
            steps.append({"created_at": int(begun + seconds), "level": "info", "type": "metrics", **told})
    plain = [{**fact, "type": "message", "data": {}} for fact in said]
    # What was said of its beginning comes before the steps, whatever the clock says; of its end, behind them.
    ends = [fact for fact in plain if job.finished_at and fact["created_at"] >= job.finished_at]
    begins = [fact for fact in plain if fact not in ends]
    every = [*begins, *steps, *ends]
    mark = job.id.removeprefix("ftjob-")
    named = [
        {"object": "fine_tuning.job.event", "id": f"ftevent-{mark}-{number}", **fact}
        for number, fact in enumerate(every)
    ]
    return named[::-1]


def _metrics(fact: Mapping[str, Any]) -> dict[str, Any] | None:
    step = fact.get("step")
    if fact.get("event") == "step":
        loss = fact["loss"]
        return {"message": f"Step {step}: training loss={loss:.4f}", "data": _data(step, train_loss=loss)}
    loss = fact.get("validation/loss") if fact.get("event") == "evaluate" else None
    if loss is None:
        return None
    return {"message": f"Step {step}: validation loss={loss:.4f}", "data": _data(step, full_valid_loss=loss)}


def _data(step: Any, **losses: float) -> dict[str, Any]:
    # JSON has no infinity.
    return {"step": step} | {name: loss for name, loss in losses.items() if math.isfinite(loss)}


def checkpoints(job: Job, run: Path) -> list[dict[str, Any]]:
    """Those that are still there, the newest first."""
    log = read_lines(run / "log.jsonl")
    found = []
    for folder in sorted(run.glob("checkpoint-*"), key=lambda path: path.stat().st_mtime, reverse=True):
        number = folder.name.rpartition("-")[2]
        if not number.isdigit():
            continue
        metrics: dict[str, Any] = {}
        for fact in log:
            if fact.get("step") == int(number):
                metrics |= (_metrics(fact) or {}).get("data", {})
        found.append(
            {
                "object": "fine_tuning.job.checkpoint",
                "id": f"ftckpt-{job.id.removeprefix('ftjob-')}-{number}",
                "created_at": int(folder.stat().st_mtime),
                "fine_tuned_model_checkpoint": f"{job.name}:ckpt-step-{number}",
                "fine_tuning_job_id": job.id,
                "metrics": metrics,
                "step_number": int(number),
            }
        )
    return found


def results(run: Path) -> tuple[bytes, int]:
    """A table of all steps, and how many tokens were read in them."""
    log = read_lines(run / "log.jsonl")
    lines: dict[int, dict[str, Any]] = {}
    for fact in log:
        if (told := _metrics(fact)) is not None:
            lines.setdefault(fact["step"], {}).update(told["data"])
    names = ("step", "train_loss", "full_valid_loss")
    table = [",".join(names)]
    table += [",".join(str(line.get(name, "")) for name in names) for line in lines.values()]
    tokens = sum(fact["tokens"] for fact in log if fact.get("event") == "step")
    return ("\n".join(table) + "\n").encode(), tokens
