"""Conversations in, token ids and labels out: the loss is on the assistant's words and their end token alone.

    {"messages": [user, assistant], "tools": [...]}
        ->  `sandbox`  the tokenizer's own template, rendered in a helper process with limits
        ->  `spans`    where each answer stands in the text, by rendering prefixes of the conversation
        ->  `labels`   which tokens that is

What can go wrong with one row raises `Unusable`, so that the others go on; what is wrong with the template itself
raises a fault.  `encode` is the whole way for many rows, `prompt_text` the same rendering in use.
"""

from weitiao.data.chat.encode import (
    asked_or_answered,
    closing,
    encode,
    encode_shown,
    ends,
    notices,
    prompt_ids,
    prompt_text,
    render,
    token_labels,
)
from weitiao.data.chat.labels import IGNORE
from weitiao.data.chat.seeing import Prompt, Seeing
from weitiao.data.chat.spans import Span

__all__ = [
    "IGNORE",
    "Prompt",
    "Seeing",
    "Span",
    "asked_or_answered",
    "closing",
    "encode",
    "encode_shown",
    "ends",
    "notices",
    "prompt_ids",
    "prompt_text",
    "render",
    "token_labels",
]
