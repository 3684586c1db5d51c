"""Answers that have a form, JSON of a schema: which words may come next.

    tokens = tokens_of(tokenizer, stops)                        once a model
    grammar = Grammar.json(tokens, {"type": "object", ...})     once a request
    guide = Guide(grammar);  guide.narrowed(scores_V);  guide.took(token)      once an answer

llguidance keeps which bytes the grammar takes next, and holds the tokenizer's words against them; a word that leads nowhere
gets the score -inf, whatever the model makes of it.  How likely the others are stays as it was.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from weitiao.core.errors import fault, need
from weitiao.core.why import because

LAID_OUT: Any = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
"""As `json.dumps` writes it.  Where white space was free a small model would write it for ever."""


def tokens_of(tokenizer: Any, stops: Collection[int]) -> Any:
    """A tokenizer's words as llguidance holds them; it takes about a second.

    Args:
        tokenizer: of Transformers, a fast one.
        stops: tokens that end an answer.

    Raises:
        WeitiaoError: `missing_extra`; `wrong_usage` where its words are not known by their bytes.
    """
    need("llguidance", extra="serve")
    from llguidance.hf import from_tokenizer

    try:
        return from_tokenizer(tokenizer, eos_token=sorted(stops))
    except ValueError as error:  # Python's own tokenizers, and what llguidance does not read
        raise fault("wrong_usage", **because("form_of_no_bytes", why=_brief(error))) from error


@dataclass(frozen=True, eq=False)
class Grammar:
    """What may be said."""

    start: Any
    """llguidance's matcher, before the first word; answers have copies of it, for a schema takes its time to be read."""

    @classmethod
    def json(cls, tokens: Any, schema: Mapping[str, Any]) -> Grammar:
        """JSON that satisfies a schema.

        Raises:
            WeitiaoError: `wrong_usage` where no answer can, or llguidance does not know what the schema asks.
        """
        from llguidance import LLMatcher

        try:
            source = LLMatcher.grammar_from_json_schema(json.dumps(schema), overrides=LAID_OUT)
        except ValueError as error:
            raise fault("wrong_usage", **because("schema_unfit", why=_brief(error))) from error
        start = LLMatcher(tokens, source)
        if why := start.get_error():
            raise fault("wrong_usage", **because("schema_unfit", why=_brief(why)))
        return cls(start)


class Guide:
    """Where an answer stands in its grammar."""

    def __init__(self, grammar: Grammar):
        self._at = grammar.start.deep_copy()

    def narrowed(self, scores_V: Tensor) -> Tensor:
        """The scores with -inf where a word may not come next; at the end of the form the words that end an answer are left.

        Raises:
            WeitiaoError: `wrong_usage` where the grammar grows beyond what llguidance holds.
        """
        bits = np.unpackbits(np.frombuffer(self._at.compute_bitmask(), np.uint8), bitorder="little")
        if why := self._at.get_error():
            raise fault("wrong_usage", **because("schema_unfit", why=_brief(why)))
        may_V = torch.zeros(len(scores_V), dtype=torch.bool)
        known = min(len(bits), len(may_V))  # a model may have scores for more words than its tokenizer knows
        may_V[:known] = torch.from_numpy(bits[:known].astype(bool))
        return scores_V.masked_fill(~may_V.to(scores_V.device), -torch.inf)

    def took(self, token: int) -> None:
        """A word that was said."""
        self._at.consume_token(token)


class Guided:
    """A processor of scores for Transformers' `generate`, of one row.

    Args:
        grammar: of its answer.
        before: tokens before the answer.
    """

    def __init__(self, grammar: Grammar, before: int):
        self._guide, self._seen = Guide(grammar), before

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """The scores that `generate` goes by."""
        for token in input_ids[0, self._seen :].tolist():
            self._guide.took(token)
        self._seen = input_ids.shape[1]
        return self._guide.narrowed(scores[0])[None]


def _brief(error: object) -> str:
    return (str(error).strip().splitlines() or ["?"])[0][:300]
