"""An encoder-decoder made of an encoder begins with its weights on both sides."""

from __future__ import annotations

import pytest
import torch

from weitiao.core import registry
from weitiao.models import load
from weitiao.models.assets import pair


@pytest.mark.whole
def test_both_sides_begin_with_the_encoder_and_rare_pieces_go(bert, tmp_path, monkeypatch):
    from transformers import AutoModel, AutoTokenizer

    monkeypatch.setattr(pair, "PIECES", 12)
    monkeypatch.setattr(pair, "BLOCKS", 1)
    pair.warm_started(bert, tmp_path)
    base, known = AutoModel.from_pretrained(bert), AutoTokenizer.from_pretrained(bert)
    loaded = load.load(str(tmp_path), registry.build("task", {"name": "seq2seq"}))
    model, tokenizer = loaded.model, loaded.processor
    vocab = tokenizer.get_vocab()
    # The first twelve pieces, and single characters.
    assert vocab.keys() == {
        piece for piece, number in known.get_vocab().items() if number < 12 or len(piece) == 1
    }
    for side in (model.encoder, model.decoder.bert):
        for piece, number in vocab.items():
            own = side.embeddings.word_embeddings.weight[number]
            assert torch.equal(own, base.embeddings.word_embeddings.weight[known.get_vocab()[piece]])
        assert len(side.encoder.layer) == 1
        taken = side.encoder.layer[0].attention.self.query.weight
        assert torch.equal(taken, base.encoder.layer[0].attention.self.query.weight)
    block = model.decoder.bert.encoder.layer[0]
    assert torch.equal(block.crossattention.self.key.weight, block.attention.self.key.weight)
    assert block.crossattention.self.key.weight is not block.attention.self.key.weight
    assert model.decoder.config.is_decoder
    assert model.config.decoder_start_token_id == tokenizer.cls_token_id
    assert loaded.notices == []
    text = " ".join(piece for piece in vocab if not piece.startswith("["))
    assert tokenizer.decode(tokenizer(text)["input_ids"], skip_special_tokens=True) == text
