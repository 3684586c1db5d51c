"""Toys of the families that read a row and write another, with weights large enough that a mistake is one.

folder(tmp_path, "bart")  ->  a folder with the model and a tokenizer of fifty words, as users meet them
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers as T

from tests.conftest import _tokenizer

MARKS = {"unk_token": "<unk>", "cls_token": "<s>", "sep_token": "</s>", "pad_token": "<pad>"}
ENDS = {**MARKS, "bos_token": "<s>", "eos_token": "</s>"}
IDS: dict[str, Any] = {"vocab_size": 64, "pad_token_id": 3, "bos_token_id": 1, "eos_token_id": 2}
BOTH = {
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 64,
    "decoder_ffn_dim": 64,
    "max_position_embeddings": 64,
    "init_std": 0.3,
    **IDS,
}
T5 = {
    "d_model": 32,
    "d_kv": 8,
    "d_ff": 64,
    "num_layers": 2,
    "num_heads": 4,
    "decoder_start_token_id": 3,
    "initializer_factor": 0.5,
    **IDS,
}
BERT = {
    "vocab_size": 64,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 64,
    "pad_token_id": 3,
    "initializer_range": 0.3,
}
FAMILIES = ("t5", "bart", "mbart", "marian", "pegasus", "bert2bert")


def model(family: str, **more: Any) -> Any:
    """The toy in memory; `more` goes into its configuration (the decoder's, of two BERTs)."""
    torch.manual_seed(0)
    if family == "t5":
        return T.T5ForConditionalGeneration(T.T5Config(**{**T5, **more}))
    if family == "bart":
        return T.BartForConditionalGeneration(T.BartConfig(**{**BOTH, "decoder_start_token_id": 2, **more}))
    if family == "mbart":
        return T.MBartForConditionalGeneration(T.MBartConfig(**{**BOTH, "decoder_start_token_id": 2, **more}))
    if family == "marian":
        return T.MarianMTModel(T.MarianConfig(**{**BOTH, "decoder_start_token_id": 3, **more}))
    if family == "pegasus":
        return T.PegasusForConditionalGeneration(
            T.PegasusConfig(**{**BOTH, "decoder_start_token_id": 3, **more})
        )
    decoder = T.BertConfig(**{**BERT, "is_decoder": True, "add_cross_attention": True, **more})
    return T.EncoderDecoderModel(
        encoder=T.BertModel(T.BertConfig(**BERT)), decoder=T.BertLMHeadModel(decoder)
    )


def saved(made: Any, place: Path) -> str:
    """A toy as a folder."""
    _tokenizer(MARKS if isinstance(made, T.EncoderDecoderModel) else ENDS, place)
    made.save_pretrained(place)
    return str(place)
