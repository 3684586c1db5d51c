"""Which tokens of a rendered conversation are trained.

    Labels(processor)([text, ...], [spans, ...])  ->  (ids, labels) or what makes the row unusable, one each

The rule: a token is trained when it holds a character of an answer.  So a token that joins the end of the prompt
with the beginning of the answer (`ASSISTANT: ` + `Yes` -> `▁Yes`) is trained, since nothing else would teach that
word; one that holds only prompt text never is.  Two exceptions: a special token that begins in the prompt (Phi-3's
swallow the white space after them) is a mark of the prompt, and the first token has nothing before it to be
predicted from.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from operator import itemgetter
from typing import Any, NamedTuple

from weitiao.core.errors import fault
from weitiao.core.why import reason
from weitiao.data.chat.spans import Span
from weitiao.data.formats import Unusable
from weitiao.data.plain import Twin

IGNORE = -100  # PyTorch's ignore_index
_LEFT, _RIGHT = itemgetter(0), itemgetter(1)


class Tokens(NamedTuple):
    """A conversation as tokens."""

    ids: list[int]
    labels: list[int]
    """Beside each id itself where it is trained and IGNORE where not."""
    places: list[Span]
    """What else was asked for."""


class Labels:
    """Tokenises rendered conversations and marks what is trained; holds what is the same for every row.

    Args:
        processor: a fast tokenizer.
        twin: its twin, where texts come as that spells them.
    """

    def __init__(self, processor: Any, twin: Twin | None = None) -> None:
        self.processor = processor
        self._read = twin.processor if twin else processor
        self.bos: int | None = getattr(processor, "bos_token_id", None)
        specials = special_tokens(processor)
        self._specials = frozenset(specials.values())
        self._marks = tuple(twin.names.values() if twin else specials)

    def __call__(
        self,
        texts: Sequence[str],
        spans: Sequence[Sequence[Span]],
        places: Sequence[Sequence[Span]] | None = None,
    ) -> list[Tokens | Unusable]:
        """Token ids and, beside each, itself where it is trained and IGNORE where not.

        Args:
            texts: rendered conversations.
            spans: where the answers of each stand.
            places: what else of each is asked for in tokens, in order.

        Raises:
            WeitiaoError: `slow_tokenizer` when the tokenizer cannot say where its tokens stand.
        """
        try:
            encoded = self._read(
                list(texts),
                add_special_tokens=False,  # the template wrote them
                return_offsets_mapping=True,
                return_attention_mask=False,
                return_token_type_ids=False,
                verbose=False,  # a text longer than the model's limit is cut later, and counted
            )
        except NotImplementedError:
            raise fault("slow_tokenizer", kind=type(self.processor).__name__) from None
        found: list[Tokens | Unusable] = []
        others = places or [()] * len(texts)
        rows = zip(encoded["input_ids"], encoded["offset_mapping"], texts, spans, strict=True)
        for (ids, offsets, text, its), asked in zip(rows, others, strict=True):
            row = self._row(ids, offsets, text, its)
            within = [
                (bisect_right(offsets, a, key=_RIGHT), bisect_left(offsets, b, key=_LEFT)) for a, b in asked
            ]
            found.append(row if isinstance(row, Unusable) else Tokens(*row, within))
        return found

    def _row(
        self, ids: list[int], offsets: Sequence[Span], text: str, spans: Sequence[Span]
    ) -> tuple[list[int], list[int]] | Unusable:
        if self.bos is not None and ids[:2] == [self.bos, self.bos]:
            return Unusable(reason("begin_twice"))
        labels = [IGNORE] * len(ids)
        for start, end in spans:
            # Offsets never go back, and a token of no width (a trimmed space) counts where it stands.
            first = bisect_right(offsets, start, key=_RIGHT)
            first -= self._reaches_in(ids, offsets, first, start)
            last = bisect_left(offsets, end, key=_LEFT)
            while first < last and offsets[first][0] < start and ids[first] in self._specials:
                first += 1
            first = max(first, 1)
            labels[first:last] = ids[first:last]
            if text.endswith(self._marks, start, end) and not (
                first < last and ids[last - 1] in self._specials and offsets[last - 1][1] >= end
            ):
                return Unusable(reason("end_in_pieces"))
        if all(label == IGNORE for label in labels):
            return Unusable(reason("no_token_of_answer"))
        return ids, labels

    def _reaches_in(self, ids: list[int], offsets: Sequence[Span], first: int, start: int) -> bool:
        """Does the token before `first` hold spaces of the answer, which its offsets leave out?

        Byte-level tokenizers with `trim_offsets` do that; it matters only where the answer's first characters
        belong to no token.
        """
        if not 0 < first < len(ids) or offsets[first][0] <= start or ids[first - 1] in self._specials:
            return False
        left, right = offsets[first - 1]
        word = self.processor.convert_ids_to_tokens(ids[first - 1])
        return left < right and right + len(word) - len(word.rstrip("Ġ")) > start


def special_tokens(processor: Any) -> dict[str, int]:
    """The special tokens of a tokenizer: text -> id."""
    added = getattr(processor, "added_tokens_decoder", {})
    found = {token.content: index for index, token in added.items() if token.special}
    named = zip(
        getattr(processor, "all_special_tokens", ()), getattr(processor, "all_special_ids", ()), strict=True
    )
    return {text: index for text, index in {**found, **dict(named)}.items() if text and index is not None}
