"""How long a row a model has positions for: asked of the model, for its configuration tells half of it.

    limit(config, processor)  ->  512
    places(config)            ->  Places(room=512, counted=True)

RoBERTa and its many kin have tables of 514 rows for 512 tokens and find a token's row by counting from behind the
padding index; OPT and BART keep two rows at the front; DeBERTa and T5 have no table.  So a model of shapes alone
(`models.shapes`) reads a few tokens, and it is seen from which tables it asks for consecutive rows, and from which
row on.
"""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from weitiao.models.quiet import quiet

UNLIMITED = 10**6  # tokenizers without a limit carry 1e30 as model_max_length
LENGTHS = ("max_position_embeddings", "max_seq_len")  # as configurations spell it; MPT the second
LABELS = ("id2label", "label2id")  # of the head, which has no positions
READ = 5  # tokens that are read: enough to tell consecutive rows from chance


@dataclass(frozen=True)
class Places:
    """Where a model of some configuration finds the positions of a row's tokens."""

    room: int | None = None
    """Longest row in tokens that its tables have rows for; None when it asks no table for rows that we can see."""
    counted: bool = False
    """Are positions counted over the tokens that are no padding, so that the pad token decides where they begin?"""


@dataclass(frozen=True)
class _Asked:
    """A configuration, known by what is written in it."""

    written: str
    config: Any = field(compare=False)


def limit(config: Any, processor: Any) -> int:
    """Longest row in tokens that a model of this configuration has positions for, and its tokenizer is meant to give."""
    text = config.get_text_config()
    asked = [places(config).room, *(getattr(text, name, None) for name in LENGTHS)]
    asked += [getattr(processor, "model_max_length", None), UNLIMITED]
    # What is no length (0, -1, nothing at all) says nothing.
    return int(min(length for length in asked if isinstance(length, int | float) and length >= 1))


def places(config: Any) -> Places:
    """What the position tables of a model of this configuration allow."""
    written = {key: value for key, value in config.to_dict().items() if key not in LABELS}
    return _places(_Asked(json.dumps(written, default=str), config))


@lru_cache(maxsize=8)  # a run opens its base several times
def _places(asked: _Asked) -> Places:
    import torch
    import transformers

    try:
        with quiet(), torch.device("meta"):
            # A copy: Transformers writes down in it how attention is computed.
            model = transformers.AutoModel.from_config(deepcopy(asked.config), trust_remote_code=False)
    except Exception:  # whatever is wrong with it, opening the model itself says it better
        return Places()
    config = model.config.get_text_config()
    if sum(isinstance(module, torch.nn.Embedding) for module in model.modules()) < 2:
        return Places()  # the words' own
    if not getattr(config, "vocab_size", None):
        return Places()  # a model that hashes characters (CANINE) has no table of words
    from weitiao.models.lookups import Lookups

    pad, size, lookups = getattr(config, "pad_token_id", None), config.vocab_size, Lookups(model)
    # Falling, so that a table of words is not taken for one of positions; and the last ones, for among the first may
    # be a padding index that stands in the code alone (MPNet's).
    words = [word for word in range(size - 1, max(size - READ - 2, -1), -1) if word != pad][:READ]
    found = lookups.rows(words)
    if not found:
        return Places()
    # With padding among the words: do the others still stand where they stood?
    mixed = found if pad is None else lookups.rows([words[0], pad, *words[2:]])
    return Places(min(rows - first for rows, first in found), counted=mixed != found)
