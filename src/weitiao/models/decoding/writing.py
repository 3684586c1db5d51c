"""What an encoder-decoder writes of rows that it has read, by Transformers' own search.

    write(model, [[5, 6, 7], [8]], begin=[0], Decoding(...), Search(num_beams=4))  ->  (1, Answer), (0, Answer)

Rows of like length share a pass, filled up and masked, which the model is measured to allow (`models.examine`).  Nothing that the model's own generation settings
say takes part (`models.writing_settings`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from weitiao.data.pack import pad
from weitiao.models.decoding.answers import Answer, Decoding, Ending
from weitiao.models.decoding.draws import Drawing
from weitiao.models.memory_ran_out import give_back, ran_out


@dataclass(frozen=True)
class Search:
    """How the likeliest words are looked for."""

    num_beams: int = 1
    """Beginnings that are kept beside each other; 1: the likeliest word each time."""
    length_penalty: float = 1.0
    """With beams: what is above 1 likes longer answers, what is below shorter ones."""
    no_repeat_ngram_size: int = 0
    """Runs of so many tokens come once in an answer, at most; 0: as often as they like."""


def write(
    model: Any,
    sources: Sequence[Sequence[int]],
    begin: Sequence[int],
    asked: Decoding,
    search: Search,
    *,
    together: bool = True,
    streamer: Any = None,
) -> Iterator[tuple[int, Answer]]:
    """What the model writes of every row, with its place among them.

    Args:
        model: an encoder-decoder in evaluation mode.
        sources: token ids of the rows that are read.
        begin: what every answer begins with, the decoder's start first.
        asked: how long answers may be, where they end, and whether they are drawn.
        search: how the likeliest are looked for.
        together: may rows be filled up and share a pass?
        streamer: hears the tokens of a single row as they come.

    Raises:
        RuntimeError: or MemoryError, when there is not memory enough for a single row.
    """
    room = min(asked.max_new_tokens, asked.limit - len(begin))
    order = sorted(range(len(sources)), key=lambda row: -len(sources[row]))
    rows = asked.rows if together else 1
    while order:
        part, found = order[: max(1, rows // search.num_beams)], None
        try:
            found = _written(model, {row: sources[row] for row in part}, begin, asked, search, room, streamer)
        except (RuntimeError, MemoryError) as error:
            if not ran_out(error) or len(part) == 1:
                raise
        if found is None:  # outside of the handler, which holds what ran out
            give_back(next(model.parameters()).device.type)
            rows = len(part) // 2 * search.num_beams
            continue
        del order[: len(part)]
        yield from zip(part, found, strict=True)


def _written(
    model: Any,
    sources: Mapping[int, Sequence[int]],
    begin: Sequence[int],
    asked: Decoding,
    search: Search,
    room: int,
    streamer: Any,
) -> list[Answer]:
    if room < 1:
        return [Answer() for _ in sources]
    from transformers import LogitsProcessorList

    device = next(model.parameters()).device
    words = {
        "input_ids": pad([*sources.values()], asked.padding),
        "attention_mask": pad([[1] * len(row) for row in sources.values()], 0),
        "decoder_input_ids": torch.tensor([list(begin)] * len(sources)),
    }
    listens = streamer is not None and search.num_beams == 1
    drawing = Drawing(asked, [*sources], len(begin), model)
    made = model.generate(
        **{name: each.to(device) for name, each in words.items()},
        generation_config=_settings(begin[0], asked, search, room),
        logits_processor=LogitsProcessorList([drawing] if asked.sample else []),
        streamer=streamer if listens else None,
    )
    if streamer is not None and not listens:
        streamer.put(made[0].cpu())
        streamer.end()
    told = zip(made[:, len(begin) :].tolist(), drawing.logps, strict=True)
    return [_answer(said, logps, asked) for said, logps in told]


def _settings(start: int, asked: Decoding, search: Search, room: int) -> Any:
    from transformers import GenerationConfig

    # Of beams alone: Transformers warns of settings that do nothing.
    beams = {"length_penalty": search.length_penalty} if search.num_beams > 1 else {}
    return GenerationConfig(
        max_new_tokens=room,
        decoder_start_token_id=start,
        eos_token_id=sorted(asked.stops) or None,
        pad_token_id=asked.padding,
        do_sample=False,  # whatever is drawn is all that `Drawing` leaves
        num_beams=search.num_beams,
        **beams,
        no_repeat_ngram_size=search.no_repeat_ngram_size,
        # Whatever is left out is taken from the model's own.
        repetition_penalty=1.0,
        min_length=0,
    )


def _answer(said: list[int], logps: list[float], asked: Decoding) -> Answer:
    """Up to the end token; behind it is padding."""
    end = next((place for place, token in enumerate(said) if token in asked.stops), None)
    if end is not None:
        return Answer(said[:end], "end", said[end], logps[: end + 1])
    ending: Ending = "length" if len(said) == asked.max_new_tokens else "full"
    return Answer(said, ending, None, logps)
