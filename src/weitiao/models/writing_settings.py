"""What an encoder-decoder's own settings say of how it writes: off, and said, so that the recipe alone decides.

    take_over(model, begin=..., stops=..., num_beams=4)  ->  ["min_length: 56", "task_specific_params: summarization"]

Published models carry the settings of a paper's task (BART for news: at least 56 tokens, no run of three twice, four
beams; T5: a prefix for each of its tasks), and Transformers' `generate` heeds them without a word.  What is saved with a
tuned model says what the recipe says, so that plain Transformers writes what was judged.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

KEPT = {
    "transformers_version",
    "use_cache",
    "output_attentions",
    "output_hidden_states",
    "pad_token_id",
    "bos_token_id",
    "eos_token_id",
    "decoder_start_token_id",
    # Lengths are asked for each time.
    "max_length",
    "max_new_tokens",
}
TASKS = "task_specific_params"


def take_over(model: Any, *, begin: Sequence[int], stops: Collection[int], **said: Any) -> list[str]:
    """Give the model generation settings that say what `said` says and nothing else; what they said otherwise.

    Args:
        model: whose settings are written, and saved with it.
        begin: what every answer begins with, the decoder's start first.
        stops: tokens at which an answer ends.
        said: settings of Transformers' `GenerationConfig`.
    """
    from transformers import GenerationConfig

    # More than one token behind the start cannot be said so.
    forced = {"forced_bos_token_id": begin[1]} if len(begin) == 2 else {}
    settings = GenerationConfig(
        decoder_start_token_id=begin[0],
        eos_token_id=sorted(stops) if len(stops) != 1 else next(iter(stops)),
        pad_token_id=model.config.pad_token_id,
        **forced,
        **said,
    )
    before, after = model.generation_config.to_diff_dict(), settings.to_dict()
    off = [
        f"{name}: {value}"
        for name, value in before.items()
        if name not in KEPT
        and name != TASKS
        and not name.startswith("_")
        and value is not None
        and value != after.get(name)
        # That an answer ends with an end token is what it is taken for anyway.
        and not (name == "forced_eos_token_id" and value in stops)
    ]
    own = getattr(model.config, TASKS, None) or before.get(TASKS)
    if own:
        off.append(f"{TASKS}: {', '.join(own)}")
        setattr(model.config, TASKS, None)
    if own_prefix := getattr(model.config, "prefix", None):
        off.append(f"prefix: {own_prefix!r}")
    model.generation_config = settings
    return off
