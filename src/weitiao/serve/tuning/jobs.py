"""Jobs of tuning, each on disk as it is.

jobs = Jobs(folder);  jobs.add(Job(...));  jobs.change(job, status="running")
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from weitiao.core.files import read_lines, write_json
from weitiao.serve.tuning.held import by_id, on_disk
from weitiao.serve.tuning.rows import Way

Status = Literal["queued", "running", "succeeded", "failed", "cancelled"]
OPEN: tuple[Status, ...] = ("queued", "running")


@dataclass
class Job:
    """What is asked, and what became of it."""

    id: str
    created_at: int
    model: str
    way: Way
    hyperparameters: dict[str, Any]
    """As they were asked for; `auto`: as is advised."""
    seed: int
    training_file: str
    validation_file: str | None = None
    suffix: str | None = None
    metadata: dict[str, str] | None = None
    status: Status = "queued"
    started_at: int | None = None
    finished_at: int | None = None
    error: dict[str, Any] | None = None
    result_files: list[str] = field(default_factory=list)
    trained_tokens: int | None = None
    served: bool = True
    """Is its model asked, once it is there?  Not where it was deleted."""

    @property
    def name(self) -> str:
        """Of the model that comes of it."""
        root = self.model.split(":")[1] if self.model.startswith("ft:") else self.model
        return f"ft:{root.replace('/', '-')}:weitiao:{self.suffix or ''}:{self.id[-8:]}"

    def told(self) -> dict[str, Any]:
        """As OpenAI says it."""
        hidden = ("way", "hyperparameters", "suffix", "started_at", "served")
        known = {name: value for name, value in asdict(self).items() if name not in hidden}
        shared = {name: value for name, value in self.hyperparameters.items() if name != "beta"}
        return {
            **known,
            "object": "fine_tuning.job",
            "organization_id": "weitiao",
            "fine_tuned_model": self.name if self.status == "succeeded" else None,
            "hyperparameters": shared,
            "method": {"type": self.way, self.way: {"hyperparameters": self.hyperparameters}},
            "estimated_finish": None,
            "integrations": [],
            "user_provided_suffix": self.suffix,
        }


@dataclass
class Jobs:
    """All jobs of a folder, in the order in which they came."""

    folder: Path
    now: Callable[[], float] = time.time
    _held: dict[str, Job] = field(default_factory=dict)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def __post_init__(self) -> None:
        self._held = on_disk(self.folder.glob("ftjob-*/job.json"), Job)

    def all(self) -> list[Job]:
        """Those that there are."""
        return list(self._held.values())

    def get(self, name: str) -> Job:
        """The job of that id.

        Raises:
            WeitiaoError: `unknown_name`.
        """
        return by_id(self._held, name, shelf="fine-tuning job")

    def add(self, job: Job) -> None:
        """It is on disk when this returns."""
        with self._lock:
            write_json(self._card(job), asdict(job))
            self._held[job.id] = job

    def change(self, job: Job, *, only: tuple[Status, ...] = OPEN, **facts: Any) -> bool:
        """Something became of it, if it stands as it is thought to; on disk first."""
        with self._lock:
            if job.status not in only:
                return False
            write_json(self._card(job), {**asdict(job), **facts})
            vars(job).update(facts)
            return True

    def say(self, job: Job, message: str, *, level: str = "info") -> None:
        """An event."""
        told = {"created_at": int(self.now()), "level": level, "message": message}
        with self._lock, (self.home(job) / "events.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(told, ensure_ascii=False) + "\n")

    def said(self, job: Job) -> list[Mapping[str, Any]]:
        """All events but those of steps."""
        return list(read_lines(self.home(job) / "events.jsonl"))

    def home(self, job: Job) -> Path:
        """Where its rows and what is known of it lie."""
        return self.folder / job.id

    def _card(self, job: Job) -> Path:
        return self.home(job) / "job.json"
