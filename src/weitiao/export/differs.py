"""What is raised where a form does not answer as the judged model does, or cannot be made of it."""

from __future__ import annotations

from weitiao.core.why import reason

STAGES = (
    "files",
    "version",
    "runs",
    "template",
    "ids",
    "pixels",
    "bos",
    "ends",
    "logits",
    "labels",
    "answers",
    "metric",
    "spoken",
)
"""What is compared, in this order."""


class Differs(Exception):
    """One stage differs; `why` says by what."""

    def __init__(self, stage: str, *, why: str):
        super().__init__(why)
        self.stage = stage
        self.why = why

    @property
    def said(self) -> str:
        """In the reader's language."""
        return reason(f"differs_{self.stage}", why=self.why)


class Unwritable(Exception):
    """A form cannot be made of this model, which only trying has shown; the text says why."""
