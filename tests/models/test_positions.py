"""The longest row is what a model's positions allow, and no more: asked of models, and held against running them."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
import transformers

from weitiao.models import positions

SMALL = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
BART = {"d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2}
BART |= {"decoder_attention_heads": 2, "encoder_ffn_dim": 16, "decoder_ffn_dim": 16}
GPT = {"n_embd": 16, "n_layer": 1, "n_head": 2}
# Name of the family -> settings, and the longest row of a model of 34 positions.
FAMILIES = {
    "Bert": (SMALL, 34),
    "Roberta": (SMALL, 32),
    "XLMRoberta": (SMALL, 32),
    "Camembert": (SMALL, 32),
    "XLMRobertaXL": (SMALL, 32),
    "RobertaPreLayerNorm": (SMALL, 32),
    "Data2VecText": (SMALL, 32),
    "MPNet": (SMALL, 32),
    "Longformer": ({**SMALL, "attention_window": 4}, 32),
    "Xmod": ({**SMALL, "languages": ["en_XX"], "default_language": "en_XX"}, 32),
    "Electra": (SMALL, 34),
    "Albert": ({**SMALL, "embedding_size": 8}, 34),
    "DistilBert": ({"dim": 16, "n_layers": 1, "n_heads": 2, "hidden_dim": 16}, 34),
    "GPT2": (GPT, 34),
    "OPT": (
        {k: v for k, v in SMALL.items() if k != "intermediate_size"}
        | {"ffn_dim": 16, "word_embed_proj_dim": 16},
        34,
    ),
    "BioGpt": (SMALL, 34),
    "Bart": (BART, 34),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_as_many_positions_as_the_model_has_and_not_one_more(family):
    settings, expected = FAMILIES[family]
    pad = {} if family in ("GPT2", "Bert", "Electra", "Albert", "DistilBert") else {"pad_token_id": 1}
    config = getattr(transformers, f"{family}Config")(
        vocab_size=50, max_position_embeddings=34, bos_token_id=2, eos_token_id=3, **pad, **settings
    )
    assert positions.limit(config, SimpleNamespace(model_max_length=10**30)) == expected
    model = transformers.AutoModel.from_config(config).eval()
    with torch.no_grad():
        model(input_ids=torch.full((1, expected), 7))
        if family == "Longformer":  # it fills rows up to its window
            return
        with pytest.raises((IndexError, RuntimeError)):
            model(input_ids=torch.full((1, expected + 1), 7))


def test_a_padding_index_that_stands_in_the_code_alone():
    sizes = {"vocab_size": 50, "max_position_embeddings": 34, **SMALL}
    for pad in (1, 4, None):  # MPNet counts from behind 1, whatever the configuration says
        config = transformers.MPNetConfig(pad_token_id=pad, **sizes)
        assert positions.places(config).room == 32


def test_where_no_table_is_asked_the_configuration_speaks():
    tokenizer = SimpleNamespace(model_max_length=None)
    config = transformers.XGLMConfig(
        vocab_size=50, d_model=16, ffn_dim=16, num_layers=1, attention_heads=2, max_position_embeddings=34
    )
    assert positions.limit(config, tokenizer) == 34  # its table grows when more are asked
    config = transformers.DebertaV2Config(
        vocab_size=50,
        max_position_embeddings=34,
        relative_attention=True,
        position_biased_input=False,
        **SMALL,
    )
    assert positions.limit(config, tokenizer) == 34
    config = transformers.T5Config(vocab_size=50, d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2)
    assert positions.limit(config, tokenizer) == positions.UNLIMITED
    config = transformers.MptConfig(vocab_size=50, d_model=16, n_heads=2, n_layers=1, max_seq_len=34)
    assert positions.limit(config, tokenizer) == 34


@pytest.mark.parametrize("said", [0, -1, None, 10**30, float("inf"), "512"])
def test_what_is_no_length_says_nothing(said):
    config = transformers.LlamaConfig(vocab_size=50, max_position_embeddings=34, **SMALL)
    assert positions.limit(config, SimpleNamespace(model_max_length=said)) == 34
    assert positions.limit(config, SimpleNamespace(model_max_length=20)) == 20
