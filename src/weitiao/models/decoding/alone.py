"""One prompt, answered by Transformers' own generation: for models that can do no other, and for listeners.

alone(model, [5, 6, 7], Decoding(...))  ->  Answer
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from weitiao.models.decoding.answers import Answer, Decoding, Ending
from weitiao.models.decoding.draws import Drawing
from weitiao.models.decoding.grammar import Guided


def alone(
    model: Any,
    prompt: Sequence[int],
    asked: Decoding,
    *,
    number: int = 0,
    streamer: Any = None,
    beside: Mapping[str, Any] | None = None,
) -> Answer:
    """What the model says after a prompt.

    Of the model's own generation settings the end tokens count alone: what else they may hold (a penalty, a sampling
    temperature) is no part of what was learnt.

    Args:
        model: a language model in evaluation mode.
        prompt: token ids.
        asked: how the answer is made.
        number: the row's, on which draws depend.
        streamer: hears the tokens as they come (`put`, `end`), as Transformers' streamers do.
        beside: tensors that the model reads beside the words of the prompt (its pictures).
    """
    import torch
    from transformers import GenerationConfig, LogitsProcessorList

    room = asked.room(len(prompt))
    if not prompt or not room:
        if streamer is not None:
            streamer.end()
        return Answer()
    settings = GenerationConfig(
        max_new_tokens=room,
        eos_token_id=sorted(asked.stops) or None,
        pad_token_id=asked.padding,
        do_sample=False,  # whatever is drawn is all that `Drawing` leaves
        # Whatever is left out is taken from the model's own.
        num_beams=1,
        repetition_penalty=1.0,
        no_repeat_ngram_size=0,
        min_length=0,
    )
    ids = torch.tensor([list(prompt)], device=next(model.parameters()).device)
    drawing = Drawing(asked, [number], len(prompt), model)
    processors: list[Any] = [drawing] if asked.sample else []
    if asked.grammar:  # before anything is drawn
        processors.insert(0, Guided(asked.grammar, len(prompt)))
    made = model.generate(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        **{name: each.to(ids.device) for name, each in (beside or {}).items()},
        generation_config=settings,
        logits_processor=LogitsProcessorList(processors),
        streamer=streamer,
    )
    found, (logps,) = made[0, ids.shape[1] :].tolist(), drawing.logps
    if found and found[-1] in asked.stops:
        return Answer(found[:-1], "end", found[-1], logps)
    ending: Ending = "length" if len(found) == asked.max_new_tokens else "full"
    return Answer(found, ending, None, logps)
