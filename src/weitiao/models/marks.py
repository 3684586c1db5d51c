"""Pad, begin and end token: one word for each in configuration, generation settings and tokenizer.

    agree(config, processor)   before the model is made of the configuration
    settle(model, processor)   its generation settings, after that; with the ends that the task's rows have

Transformers finds the last word of a row, by which a decoder labels a text, as the last token that is not the
*configuration's* pad token, while rows are padded with the *tokenizer's*: where they differ, an answer hangs on the
longest text beside it.  BART takes its answer from the configuration's end token, which the tokenizer puts there.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from weitiao.data.chat.labels import special_tokens
from weitiao.models import positions

NAMES = ("pad_token_id", "bos_token_id", "eos_token_id")


def agree(config: Any, processor: Any) -> None:
    """Make a configuration and a tokenizer say the same; what is no token of the model's is forgotten.

    The tokenizer is right, for it makes the rows; but where positions are counted from behind the padding index
    (RoBERTa and its kin), another pad token would move them, and the configuration is right.
    """
    size = getattr(config.get_text_config(), "vocab_size", None) or positions.UNLIMITED
    parts = {id(part): part for part in (config, config.get_text_config())}.values()
    for part in parts:
        for name in NAMES:
            if (given := getattr(part, name, None)) is not None:
                setattr(part, name, _within(given, size))
    pad = _pad(config.get_text_config(), processor, size)
    for part in parts:
        # Where nothing pads by name, 0 does, as in batches; the mask hides it.
        part.pad_token_id = pad if pad is not None else 0
        for name in NAMES[1:]:
            own, given = getattr(processor, name, None), getattr(part, name, None)
            if _within(own, size) is not None and not (isinstance(given, list) and own in given):
                setattr(part, name, own)


def pad_apart(config: Any, processor: Any, last: int | None) -> None:
    """Pad with another token than the one that rows end with, for what is read at the last token that does not pad; where the
    tokenizer has no other special token, it stays.

    Args:
        config: of the model.
        processor: its tokenizer.
        last: the token that rows end with; None where it is no special one.
    """
    if last is None or processor.pad_token_id != last:
        return
    size = getattr(config.get_text_config(), "vocab_size", None) or positions.UNLIMITED
    marks = {index: text for text, index in special_tokens(processor).items() if index < size}
    unknown = getattr(processor, "unk_token_id", None)
    others = [index for index in (unknown, *sorted(marks)) if index in marks and index != last]
    if others:
        processor.pad_token = marks[others[0]]
        for part in (config, config.get_text_config()):
            part.pad_token_id = others[0]


def settle(model: Any, processor: Any, ends: Iterable[int] = ()) -> None:
    """Let generation pad, begin and end as the configuration says; other end tokens that it knows stay.

    Args:
        model: whose generation settings are written, and saved with it.
        processor: its tokenizer.
        ends: what ends an answer beside the tokenizer's end token (`Task.ends`).
    """
    settings = getattr(model, "generation_config", None)
    if settings is None:
        return
    config = model.config.get_text_config()
    settings.pad_token_id = config.pad_token_id
    if getattr(config, "bos_token_id", None) is not None:
        settings.bos_token_id = config.bos_token_id
    known = [*_listed(processor.eos_token_id), *_listed(settings.eos_token_id), *ends]
    size = getattr(config, "vocab_size", None) or positions.UNLIMITED
    known = [end for end in dict.fromkeys(known) if _within(end, size) is not None]
    settings.eos_token_id = known[0] if len(known) == 1 else known or None


def ends(model: Any, processor: Any) -> frozenset[int]:
    """All tokens at which generation stops, once they are settled."""
    settings = getattr(model, "generation_config", None)
    known = [*_listed(getattr(settings, "eos_token_id", None)), processor.eos_token_id]
    return frozenset(token for token in known if token is not None)


def _pad(config: Any, processor: Any, size: int) -> int | None:
    """The token that pads, which the tokenizer is told; None when none can be had that is no word."""
    given, own = getattr(config, "pad_token_id", None), processor.pad_token_id
    if given is not None and given != own and _token(processor, given) and positions.places(config).counted:
        processor.pad_token = _token(processor, given)
        return given
    if _within(own, size) is not None:
        return own
    marks = {index: text for text, index in special_tokens(processor).items() if index < size}
    first = [given, processor.eos_token_id, *sorted(marks)]
    if (found := next((index for index in first if index in marks), None)) is not None:
        processor.pad_token = marks[found]
        return found
    processor.pad_token = None
    # Models often have some embeddings more than their tokenizer has words.
    if max(processor.get_vocab().values(), default=-1) + 1 < size:
        processor.add_special_tokens({"pad_token": "<pad>"})
        return processor.pad_token_id
    return None


def _token(processor: Any, index: int) -> str | None:
    return processor.convert_ids_to_tokens(index) if 0 <= index < len(processor) else None


def _within(given: Any, size: int) -> Any:
    """A token's number, or several of an end token's, as far as the model has them; else None."""
    if isinstance(given, list):
        return [token for token in given if _within(token, size) is not None] or None
    return given if isinstance(given, int) and 0 <= given < size else None


def _listed(given: Any) -> list[Any]:
    return given if isinstance(given, list) else [given]
