"""An encoder-decoder made of an encoder begins with its weights on both sides."""

from __future__ import annotations

import pytest
import torch

from weitiao.core import registry
from weitiao.models import load
from weitiao.models.assets import pair

pytestmark = pytest.mark.whole  # a vocabulary of the embedded kind


def by_hand(own, asked_BTD, read_BSD):
    """Each head looks as the decoder's own does, and hands on its part of what is read as it is."""
    width = own.self.attention_head_size
    heads = []
    for start in range(0, read_BSD.shape[-1], width):
        part = slice(start, start + width)
        asked_BTH, keys_BSH = own.self.query(asked_BTD)[..., part], own.self.key(read_BSD)[..., part]
        weights_BTS = (asked_BTH @ keys_BSH.mT / width**0.5).softmax(-1)
        heads.append(weights_BTS @ read_BSD[..., part])
    return own.output.LayerNorm(torch.cat(heads, -1) + asked_BTD)


def test_both_sides_begin_with_the_encoder_and_rare_pieces_go(bert, tmp_path, monkeypatch):
    from transformers import AutoModel, AutoTokenizer

    monkeypatch.setattr(pair, "BLOCKS", 1)
    pair.warm_started(bert, tmp_path, pieces=12)
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
    width = block.attention.self.query.in_features
    read_BSD, asked_BTD = torch.randn(1, 5, width), torch.randn(1, 3, width)
    seen = block.crossattention(asked_BTD, encoder_hidden_states=read_BSD)[0]
    assert torch.allclose(seen, by_hand(block.attention, asked_BTD, read_BSD), atol=1e-5)
    assert model.decoder.config.is_decoder
    assert model.config.decoder_start_token_id == tokenizer.cls_token_id
    assert loaded.notices == []
    text = " ".join(piece for piece in vocab if not piece.startswith("["))
    assert tokenizer.decode(tokenizer(text)["input_ids"], skip_special_tokens=True) == text


def test_pieces_of_sentencepiece_are_renumbered_with_what_stands_around_a_text(bert, tmp_path):
    """The vocabulary of E5: begun words are marked, and `<mask>` stands behind all others."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import BertModel, PreTrainedTokenizerFast

    marks = ["<s>", "<pad>", "</s>", "<unk>"]
    words = ["\u2581the", "\u2581film", "\u2581good", "\u2581rare", "\u2581", "好", "G", "\u2581a"]
    pieces = [*((mark, 0.0) for mark in marks), *((word, -1.0 - at) for at, word in enumerate(words))]
    inner = Tokenizer(models.Unigram([*pieces, ("<mask>", 0.0)], unk_id=3))
    inner.pre_tokenizer = pre_tokenizers.Metaspace(replacement="\u2581", prepend_scheme="always")
    inner.decoder = decoders.Metaspace(replacement="\u2581", prepend_scheme="always")
    inner.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    source, made = tmp_path / "base", tmp_path / "made"
    BertModel.from_pretrained(bert).save_pretrained(source)
    named = {"bos_token": "<s>", "cls_token": "<s>", "eos_token": "</s>", "sep_token": "</s>"}
    named |= {"pad_token": "<pad>", "unk_token": "<unk>", "mask_token": "<mask>"}
    PreTrainedTokenizerFast(tokenizer_object=inner, **named).save_pretrained(source)
    pair.warm_started(source, made, pieces=7)
    loaded = load.load(str(made), registry.build("task", {"name": "seq2seq"}))
    vocab = loaded.processor.get_vocab()
    assert vocab.keys() == {*marks, "<mask>", *words} - {"\u2581rare"}
    assert sorted(vocab.values()) == list(range(len(vocab)))
    base = BertModel.from_pretrained(bert).embeddings.word_embeddings.weight
    own = loaded.model.encoder.embeddings.word_embeddings.weight
    for piece, number in vocab.items():
        old = {**{mark: at for at, mark in enumerate([*marks, *words])}, "<mask>": 12}[piece]
        assert torch.equal(own[number], base[old]), piece
    text = "the film好 G"
    ids = loaded.processor(text)["input_ids"]
    assert loaded.processor.decode(ids, skip_special_tokens=True) == text
    assert (ids[0], ids[-1]) == (loaded.processor.cls_token_id, loaded.processor.eos_token_id)
    assert loaded.processor("龘")["input_ids"][-2] == loaded.processor.unk_token_id
    assert loaded.model.config.eos_token_id == vocab["</s>"]
