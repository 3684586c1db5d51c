"""An encoder-decoder made of an encoder: both sides begin with its weights.

    folder of a BERT  ->  warm_started(source, folder, pieces=6_000)  ->  folder of an `EncoderDecoderModel`

After Rothe et al. 2020 (arXiv 1907.12461), but for what the encoder does not have, which they draw at random: the attention
between the sides looks as that within the decoder does, at what is alike, and hands on what it sees as it is, and the last
transform before the words hands on what comes in.  So the decoder begins with words of its source in hand; drawn at random
it takes many times the steps until it looks at the source at all (notes/LOG.md).  It is no pretrained translator.  Of the
encoder it keeps the first blocks and the most frequent word pieces, so that it learns in minutes on a CPU; every single
character stays, so no text is unknown to it that was not unknown to the encoder.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

BLOCKS = 2
"""Of each side."""
FIRM = 0.5
"""What the last transform's norm begins with: its scores are those of words that were compared, and so too sure at 1."""
CONTINUED, BEGUN = "##", "\u2581"
"""Marks of pieces: of those that go on with a word (BERT's), of those that begin one (SentencePiece's)."""


def warm_started(source: Path, folder: Path, *, pieces: int) -> None:
    """Write the encoder-decoder.

    Args:
        source: of a BERT with word pieces, or with those of SentencePiece's unigram model.
        folder: where it goes.
        pieces: so many of the first stay, besides all single characters; both kinds of vocabulary stand in the order of
            their frequency, behind marks and, in BERT's, characters.
    """
    from transformers import (
        AutoModel,
        AutoTokenizer,
        BertConfig,
        BertLMHeadModel,
        BertModel,
        EncoderDecoderModel,
    )

    tokenizer = AutoTokenizer.from_pretrained(source)
    base = AutoModel.from_pretrained(source, use_safetensors=True)
    tree = json.loads(tokenizer.backend_tokenizer.to_str())
    kept = _kept(tree["model"]["vocab"], pieces, special=set(tokenizer.all_special_ids))
    place = {old: new for new, old in enumerate(kept)}
    _renumber(tree, place)
    known = base.config.to_dict() | {
        "vocab_size": len(kept),
        "num_hidden_layers": BLOCKS,
        "pad_token_id": place[tokenizer.pad_token_id],
    }
    with torch.random.fork_rng():
        torch.manual_seed(0)  # of a pooler that the encoder has not, and nobody reads
        encoder = BertModel(BertConfig(**known))
        decoder = BertLMHeadModel(BertConfig(**known | {"is_decoder": True, "add_cross_attention": True}))
    words = "embeddings.word_embeddings.weight"
    weights = base.state_dict()
    weights[words] = weights[words][kept]
    for side in (encoder, decoder.bert):
        side.load_state_dict(
            {name: weights[name] for name in side.state_dict() if name in weights}, strict=False
        )
    block: Any
    for block in decoder.bert.encoder.layer:
        own, between = block.attention, block.crossattention
        for name in ("query", "key"):
            getattr(between.self, name).load_state_dict(getattr(own.self, name).state_dict())
        between.output.LayerNorm.load_state_dict(own.output.LayerNorm.state_dict())
        for layer in (between.self.value, between.output.dense):
            _identity(layer)
    last = decoder.cls.predictions.transform
    _identity(last.dense)
    torch.nn.init.constant_(last.LayerNorm.weight, FIRM)
    decoder.tie_weights()
    both = EncoderDecoderModel(encoder=encoder, decoder=decoder)
    both.config.vocab_size = len(kept)
    both.config.pad_token_id = place[tokenizer.pad_token_id]
    both.config.decoder_start_token_id = place[tokenizer.cls_token_id]
    both.config.eos_token_id = place[tokenizer.sep_token_id]
    both.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "vocab.txt").unlink(missing_ok=True)
    (folder / "tokenizer.json").write_text(json.dumps(tree, ensure_ascii=False), encoding="utf-8")


def _identity(layer: torch.nn.Linear) -> None:
    """Make it hand on what comes in."""
    torch.nn.init.eye_(layer.weight)
    torch.nn.init.zeros_(layer.bias)


def _kept(vocab: dict[str, int] | list[list[Any]], pieces: int, *, special: set[int]) -> list[int]:
    """Numbers of the pieces that stay, in their order."""
    numbered = (
        vocab.items() if isinstance(vocab, dict) else ((piece, at) for at, (piece, _) in enumerate(vocab))
    )
    found = [
        number
        for piece, number in numbered
        if number in special
        or not piece.startswith("[unused")
        and (number < pieces or len(piece.removeprefix(CONTINUED).removeprefix(BEGUN)) <= 1)
    ]
    return sorted(found)


def _renumber(tree: dict[str, Any], place: dict[int, int]) -> None:
    """Give a tokenizer's file the new numbers."""
    model = tree["model"]
    if isinstance(vocab := model["vocab"], dict):
        model["vocab"] = {piece: place[number] for piece, number in vocab.items() if number in place}
    else:
        model["vocab"] = [vocab[number] for number in place]
        model["unk_id"] = place[model["unk_id"]]
    for token in tree["added_tokens"]:
        token["id"] = place[token["id"]]
    for token in tree["post_processor"]["special_tokens"].values():
        token["ids"] = [place[number] for number in token["ids"]]
