"""What a task that answers in words has beside the rest: a part of `Task`'s contract.

turns --opening--> prompt --answer--> words that end
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from weitiao.core.contracts.rows import Example, Record
from weitiao.core.errors import WeitiaoError, fault


class Answering:
    """How a task answers, where it `generates`."""

    generates: ClassVar[bool] = False
    """Can it answer in words (`weitiao chat`)?"""

    @property
    def chats(self) -> bool:
        """Is it talked with, turn after turn (`weitiao chat`)?  One that answers the text of a column is asked for it
        (`weitiao predict`)."""
        return self.generates and not self.record("")

    def opening(self, turns: Sequence[Mapping[str, Any]], processor: Any, *, tools: Any = None) -> list[int]:
        """Turns as the tokens that the model goes on from, as in training; only when `generates`."""
        raise self._unfinished("opening", says="generates")

    def answer(
        self, loaded: Any, prompts: Sequence[Sequence[int]], **asked: Any
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        """What the model says after each prompt of `opening`, as answers end: its place among them, and `answer` with
        `ending`, why it ends there; only when `generates`.  To score (`predict`) is one pass and another thing.

        Args:
            loaded: a model with its processor (`models.load.Loaded`), in evaluation mode.
            prompts: token ids.
            asked: `max_new_tokens` and `limit`, the longest row in tokens; what else `models.decoding.Decoding` has, and
                `streamer` and `notice`, who hear tokens of a single answer and what a user should know.
        """
        raise self._unfinished("answer", says="generates")

    def answered(self, record: Record, answer: str) -> tuple[Record, str, int]:
        """A prompt with an answer as a row, the address of the text that the answer stands in, and where it begins there
        in code points; no address where it is no part of what is read (then `explains` says what is explained of it);
        only when `generates`."""
        raise self._unfinished("answered", says="generates")

    def text_bytes(self, example: Example, processor: Any) -> int:
        """UTF-8 bytes of the text that is learnt of a row, as far as it was not cut; only when `generates`."""
        raise self._unfinished("text_bytes", says="generates")

    def ends(self, processor: Any) -> list[int]:
        """Tokens at which what it generates ends, beside the tokenizer's end token."""
        return []

    def record(self, text: str) -> dict[str, Any]:
        """The columns of a text of which nothing else is known (`weitiao predict`)."""
        return {}

    def _unfinished(self, lacks: str, *, says: str) -> WeitiaoError:
        """What is said of a task that claims more than it has."""
        return fault("unfinished_task", task=type(self).__name__, lacks=lacks, says=says)
