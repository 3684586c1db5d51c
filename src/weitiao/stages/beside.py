"""What may fail alone: it is noted, with its reason, and the rest goes on.

with beside.may_fail("usage"): ...  ->  beside.missing == [{"what": "usage", "why": "..."}]
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from weitiao.stages.events import Tell


@dataclass
class Beside:
    """What stands beside the judged model may fail alone."""

    tell: Tell
    missing: list[dict[str, str]] = field(default_factory=list)
    """What is not there, and why."""

    @contextmanager
    def may_fail(self, what: str) -> Iterator[None]:
        """Whatever goes wrong in here is noted, and the rest goes on."""
        try:
            yield
        except (
            Exception
        ) as error:  # whatever it is: what was trained and measured is kept, and what is missing said
            why = str(error).strip().partition("\n")[0] or type(error).__name__
            self.missing.append({"what": what, "why": why})
            self.tell("notice", text=f"{what}: {why}")
