"""The one thread that has jobs done, one after the other, each as an ordinary run in a process of its own.

tuner = Tuner(folder, advise=..., train=..., serve=...);  tuner.begin();  tuner.add(job, ...);  tuner.cancel(job);  tuner.close()

A server that ends tells the training to end too, which leaves a checkpoint; the next one goes on from there.  One that was
killed leaves the training behind: the next one tells that to end, and goes on from its checkpoint.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from weitiao.core.errors import WeitiaoError, fault
from weitiao.core.files import write_text
from weitiao.core.recipe import Recipe
from weitiao.core.why import reason
from weitiao.serve.tuning.files import RESULTS, Files
from weitiao.serve.tuning.jobs import Job, Jobs
from weitiao.serve.tuning.rows import TASKS, converted
from weitiao.serve.tuning.told import results

BUSY_S = 1.0
"""Between two looks whether a training that was left behind has ended."""


@dataclass(frozen=True)
class Wanted:
    """What a run is to be."""

    model: str
    """A base."""
    start_from: Path | None
    """A run of it that is tuned further."""
    task: str
    rows: Path
    validation: Path | None
    hyperparameters: Mapping[str, Any]
    """Those that were said: `n_epochs`, `batch_size`, `learning_rate_multiplier`, `beta`."""
    seed: int
    output: Path


class Child(Protocol):
    """A training in a process of its own."""

    def terminate(self) -> None:
        """It saves a checkpoint and ends."""


Advise = Callable[[Wanted], Recipe]
"""The whole recipe: what was not said is as is advised."""
Train = Callable[[Path, Callable[[Child], None]], Mapping[str, Any] | None]
"""Has a recipe trained in a process of its own, which it tells of: None, or what went wrong (`error`, `message`)."""
Serve = Callable[[Job, Path], None]
"""Have the model of a run asked from now on."""
Based = Callable[[str], tuple[str, Path | None]]
"""What a model's name stands for: a base, and a run of it."""


@dataclass
class Tuner:
    """Who has jobs done."""

    folder: Path
    """Where runs come to lie."""
    advise: Advise
    train: Train
    serve: Serve
    based: Based
    files: Files = field(init=False)
    jobs: Jobs = field(init=False)
    _line: queue.SimpleQueue[Job | None] = field(default_factory=queue.SimpleQueue)
    _child: Child | None = None
    _closing: bool = False
    _thread: threading.Thread | None = None

    def __post_init__(self) -> None:
        self.files = Files(self.folder / "tuning" / "files")
        self.jobs = Jobs(self.folder / "tuning" / "jobs")

    def begin(self) -> None:
        """Models of jobs that are done are asked again; jobs that are not are gone on with."""
        self._thread = threading.Thread(target=self._run, name="weitiao-tuner", daemon=True)
        for job in self.jobs.all():
            if job.status == "succeeded" and job.served:
                self._serve(job)
            if job.status == "running":
                self.jobs.change(job, status="queued")
                self.jobs.say(job, reason("job_goes_on"), level="warn")
            if job.status == "queued":
                self._line.put(job)
        self._thread.start()

    def close(self) -> None:
        """What is being trained leaves a checkpoint, and stays in the queue."""
        self._closing = True
        if self._child is not None:
            self._child.terminate()
        self._line.put(None)
        if self._thread is not None:
            self._thread.join()

    def add(self, job: Job) -> None:
        """A job at the end of the queue; its rows are its own from now on."""
        home = self.jobs.home(job)
        home.mkdir(parents=True)
        for side, name in (("training", job.training_file), ("validation", job.validation_file)):
            if name is not None:
                converted(self.files.content(name), home / f"{side}.jsonl")
        self.jobs.add(job)
        self.jobs.say(job, reason("job_created", id=job.id))
        self._line.put(job)

    def cancel(self, job: Job) -> bool:
        """It is not done, or not to its end; False where it has ended before."""
        if not self.jobs.change(job, status="cancelled", finished_at=int(self.jobs.now())):
            return False
        self.jobs.say(job, reason("job_cancelled"))
        # One that is just about to begin is told then (`_started`).
        if self._child is not None and self._current is job:
            self._child.terminate()
        return True

    def run_of(self, job: Job) -> Path:
        """Its run folder."""
        return self.folder / job.id

    _current: Job | None = None

    def _run(self) -> None:
        while (job := self._line.get()) is not None and not self._closing:
            if self.jobs.change(job, only=("queued",), status="running", started_at=int(self.jobs.now())):
                self._current = job
                try:
                    self._do(job)
                except WeitiaoError as error:
                    self._fail(job, {"error": error.code, "message": error.text()})
                except Exception as error:  # the next job is done all the same
                    told = fault("internal", kind=type(error).__name__, why=error)
                    self._fail(job, {"error": told.code, "message": told.text()})
                self._current = None

    def _do(self, job: Job) -> None:
        self.jobs.say(job, reason("job_started"))
        failure = self.train(self._recipe(job), lambda child: self._started(job, child))
        while failure and failure["error"] == "run_busy" and job.status == "running" and not self._closing:
            _end_whoever_is_at_it(self.run_of(job))
            time.sleep(BUSY_S)
            failure = self.train(self._recipe(job), lambda child: self._started(job, child))
        self._child = None
        if failure and self._closing:
            self.jobs.change(job, status="queued")
        elif failure:
            self._fail(job, failure)
        else:
            self._succeed(job)

    def _recipe(self, job: Job) -> Path:
        run, home = self.run_of(job), self.jobs.home(job)
        file = run / "recipe.yaml"
        if not file.is_file():
            base, start_from = self.based(job.model)
            validation = home / "validation.jsonl"
            said = {name: value for name, value in job.hyperparameters.items() if value != "auto"}
            wanted = Wanted(
                model=base,
                start_from=start_from,
                task=TASKS[job.way][0],
                rows=(home / "training.jsonl").resolve(),
                validation=validation.resolve() if job.validation_file else None,
                hyperparameters=said,
                seed=job.seed,
                output=run.resolve(),
            )
            write_text(file, self.advise(wanted).to_yaml())
        return file

    def _started(self, job: Job, child: Child) -> None:
        self._child = child
        if job.status != "running" or self._closing:
            child.terminate()

    def _fail(self, job: Job, failure: Mapping[str, Any]) -> None:
        error = {"code": failure["error"], "message": failure["message"], "param": None}
        if self.jobs.change(job, status="failed", error=error, finished_at=int(self.jobs.now())):
            self.jobs.say(job, failure["message"], level="error")

    def _succeed(self, job: Job) -> None:
        table, tokens = results(self.run_of(job))
        kept = self.files.add("step_metrics.csv", table, purpose=RESULTS)
        self._serve(job)
        done: dict[str, Any] = {
            "finished_at": int(self.jobs.now()),
            "trained_tokens": tokens,
            "result_files": [kept.id],
        }
        if self.jobs.change(job, status="succeeded", **done):
            self.jobs.say(job, reason("job_succeeded", name=job.name))

    def _serve(self, job: Job) -> None:
        try:
            self.serve(job, self.run_of(job))
        except WeitiaoError as error:
            self.jobs.say(job, error.text(), level="warn")


def _end_whoever_is_at_it(run: Path) -> None:
    """A training that a server left behind which was killed: it leaves a checkpoint."""
    with contextlib.suppress(OSError, ValueError):
        os.kill(int((run / ".holder").read_text(encoding="utf-8")), signal.SIGTERM)
