"""Toys of many families, with weights large enough that a leak is one, saved as users meet them.

made("mamba", "CausalLM", folder)  ->  the model in memory; folder/ has it and a tokenizer of sixty letters
"""

from __future__ import annotations

import string
from pathlib import Path
from typing import Any

import torch
import transformers as T

from weitiao.data.layout import Layout

PACKED, PADDED, ALIKE = Layout.PACKED, Layout.PADDED, Layout.ALIKE

MARKS: dict[str, Any] = {"vocab_size": 64, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
SIZES: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 64,
    **MARKS,
}
BEHIND = {**SIZES, "max_position_embeddings": 66}  # positions that begin behind the padding's number
FEWER = {**SIZES, "num_key_value_heads": 2}
NARROW = {**FEWER, "head_dim": 8}
GPT = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64, **MARKS}
EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
LATENT = {
    **SIZES,
    "num_key_value_heads": 4,
    "q_lora_rank": 16,
    "kv_lora_rank": 16,
    "qk_rope_head_dim": 8,
    "qk_nope_head_dim": 8,
    "v_head_dim": 8,
    "n_routed_experts": 4,
    "num_experts_per_tok": 2,
    "n_group": 2,
    "topk_group": 1,
    "moe_intermediate_size": 32,
    "first_k_dense_replace": 1,
    "n_shared_experts": 1,
}
STATES = {"hidden_size": 32, "num_hidden_layers": 2, "state_size": 4, **MARKS}
BOTH = {
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 64,
    "decoder_ffn_dim": 64,
    "max_position_embeddings": 64,
    "decoder_start_token_id": 2,
    "num_labels": 2,
    **MARKS,
}
T5 = {
    "d_model": 32,
    "d_kv": 8,
    "d_ff": 64,
    "num_layers": 2,
    "num_heads": 4,
    "decoder_start_token_id": 0,
    **MARKS,
}
XLM = {
    "emb_dim": 32,
    "n_layers": 2,
    "n_heads": 4,
    "n_words": 64,
    "pad_index": 0,
    "bos_index": 1,
    "eos_index": 2,
}
FALCON = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
    **MARKS,
}
DISENTANGLED = {"relative_attention": True, "pos_att_type": ["c2p", "p2c"], "position_biased_input": False}

# Family -> (how Transformers' classes begin, how rows lie on a CPU, configuration).
DECODERS: dict[str, tuple[str, Layout, dict[str, Any]]] = {
    "gpt2": ("GPT2", PACKED, GPT),
    "gpt_neo": (
        "GPTNeo",
        PADDED,
        {
            "num_layers": 2,
            "num_heads": 4,
            "hidden_size": 32,
            "intermediate_size": 64,
            "attention_types": [[["global", "local"], 1]],
            "window_size": 4,
            "max_position_embeddings": 64,
            **MARKS,
        },
    ),
    "gptj": ("GPTJ", PADDED, {**GPT, "rotary_dim": 4}),
    "gpt_neox": ("GPTNeoX", PACKED, SIZES),
    "gpt_bigcode": ("GPTBigCode", PACKED, GPT),
    "bloom": ("Bloom", PADDED, {"hidden_size": 32, "n_layer": 2, "n_head": 4, **MARKS}),
    "opt": ("OPT", PACKED, {**SIZES, "ffn_dim": 64, "word_embed_proj_dim": 32}),
    "codegen": ("CodeGen", PADDED, {**GPT, "rotary_dim": 4}),
    "xglm": (
        "XGLM",
        PADDED,
        {
            "d_model": 32,
            "num_layers": 2,
            "attention_heads": 4,
            "ffn_dim": 64,
            "max_position_embeddings": 64,
            **MARKS,
        },
    ),
    "mpt": ("Mpt", PADDED, {"d_model": 32, "n_layers": 2, "n_heads": 4, "max_seq_len": 64, **MARKS}),
    "falcon-alibi": ("Falcon", PADDED, {**FALCON, "alibi": True}),
    "falcon": ("Falcon", PADDED, FALCON),
    "llama": ("Llama", PACKED, FEWER),
    "mistral": ("Mistral", PACKED, {**FEWER, "sliding_window": 4}),
    "mixtral": ("Mixtral", PACKED, {**FEWER, "num_local_experts": 4}),
    "qwen2": ("Qwen2", PACKED, FEWER),
    "qwen2_moe": ("Qwen2Moe", PACKED, {**FEWER, **EXPERTS, "shared_expert_intermediate_size": 32}),
    "qwen3": ("Qwen3", PACKED, NARROW),
    "qwen3_next": (
        "Qwen3Next",
        PADDED,
        {
            **NARROW,
            **EXPERTS,
            "linear_num_value_heads": 4,
            "linear_num_key_heads": 2,
            "linear_key_head_dim": 8,
            "linear_value_head_dim": 8,
            "layer_types": ["linear_attention", "full_attention"],
            "shared_expert_intermediate_size": 32,
        },
    ),
    "gemma": ("Gemma", PACKED, {**SIZES, "num_key_value_heads": 1, "head_dim": 8}),
    "gemma2": ("Gemma2", PADDED, {**NARROW, "sliding_window": 4}),
    "gemma3_text": ("Gemma3", PACKED, {**NARROW, "sliding_window": 4}),
    "phi": ("Phi", PACKED, SIZES),
    "phi3": ("Phi3", PACKED, FEWER),
    "stablelm": ("StableLm", PACKED, FEWER),
    "olmo": ("Olmo", PACKED, FEWER),
    "olmo2": ("Olmo2", PACKED, FEWER),
    "cohere": ("Cohere", PACKED, FEWER),
    "granite": ("Granite", PACKED, {**FEWER, "logits_scaling": 8.0, "embedding_multiplier": 12.0}),
    "starcoder2": ("Starcoder2", PACKED, FEWER),
    "deepseek_v2": ("DeepseekV2", PACKED, LATENT),
    "deepseek_v3": ("DeepseekV3", PACKED, LATENT),
    "gpt_oss": (
        "GptOss",
        PADDED,
        {**NARROW, "num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": 4},
    ),
    "llama4_text": (
        "Llama4",
        PADDED,
        {**NARROW, "num_local_experts": 2, "intermediate_size_mlp": 64, "attention_chunk_size": 4},
    ),
    "mamba": ("Mamba", PADDED, STATES),
    "mamba2": ("Mamba2", PADDED, {**STATES, "num_heads": 8, "head_dim": 8, "n_groups": 2, "chunk_size": 16}),
    "lfm2": ("Lfm2", PADDED, {**FEWER, "layer_types": ["conv", "full_attention"]}),
    "jamba": (
        "Jamba",
        PADDED,
        {
            **FEWER,
            "num_experts": 4,
            "num_experts_per_tok": 2,
            "attn_layer_period": 2,
            "attn_layer_offset": 1,
            "expert_layer_period": 2,
            "expert_layer_offset": 1,
            "mamba_d_state": 4,
            "mamba_dt_rank": 4,
            "use_mamba_kernels": False,
        },
    ),
    "rwkv": ("Rwkv", PADDED, {**STATES, "attention_hidden_size": 32, "intermediate_size": 64}),
    "recurrent_gemma": (
        "RecurrentGemma",
        PADDED,
        {
            **{key: value for key, value in SIZES.items() if key != "max_position_embeddings"},
            "num_key_value_heads": 1,
            "lru_width": 32,
            "attention_window_size": 64,
            "block_types": ["recurrent", "attention"],
        },
    ),
    "smollm3": ("SmolLM3", PACKED, FEWER),
}
CLASSIFIERS: dict[str, tuple[str, Layout, dict[str, Any]]] = {
    "bert": ("Bert", PADDED, SIZES),
    "roberta": ("Roberta", PADDED, BEHIND),
    "xlm-roberta": ("XLMRoberta", PADDED, BEHIND),
    "camembert": ("Camembert", PADDED, BEHIND),
    "distilbert": ("DistilBert", PADDED, {**SIZES, "dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 64}),
    "electra": ("Electra", PADDED, {**SIZES, "embedding_size": 16}),
    "albert": ("Albert", PADDED, {**SIZES, "embedding_size": 16}),
    "deberta": ("Deberta", PADDED, {**SIZES, **DISENTANGLED}),
    "deberta-v2": ("DebertaV2", PADDED, {**SIZES, **DISENTANGLED, "position_buckets": 16}),
    "mpnet": ("MPNet", PADDED, BEHIND),
    "longformer": ("Longformer", PADDED, {**BEHIND, "attention_window": 4}),
    "big_bird": ("BigBird", PADDED, SIZES),
    "modernbert": (
        "ModernBert",
        PADDED,
        {**SIZES, "local_attention": 4, "cls_token_id": 1, "sep_token_id": 2},
    ),
    "convbert": ("ConvBert", ALIKE, {**SIZES, "embedding_size": 32}),
    "fnet": ("FNet", ALIKE, SIZES),
    "funnel": (
        "Funnel",
        PADDED,
        {
            "d_model": 32,
            "d_head": 8,
            "n_head": 4,
            "d_inner": 64,
            "block_sizes": [1, 1],
            "num_decoder_layers": 1,
            **MARKS,
        },
    ),
    "roformer": ("RoFormer", PADDED, {**SIZES, "embedding_size": 32}),
    "xlnet": ("XLNet", ALIKE, {"d_model": 32, "n_layer": 2, "n_head": 4, "d_inner": 64, **MARKS}),
    "xlm": ("XLM", PADDED, {**XLM, "max_position_embeddings": 64, "pad_token_id": 0}),
    "rembert": ("RemBert", PADDED, {**SIZES, "input_embedding_size": 32}),
    "esm": ("Esm", PADDED, {**BEHIND, "mask_token_id": 3}),
    "bart": ("Bart", PADDED, BOTH),
    "mbart": ("MBart", PADDED, BOTH),
    "t5": ("T5", PADDED, T5),
    "mt5": ("MT5", PADDED, T5),
    "umt5": ("UMT5", PADDED, T5),
    # Decoders label texts as well.
    **{
        name: (*DECODERS[name][:1], PADDED, DECODERS[name][2])
        for name in ("gpt2", "llama", "gemma2", "jamba")
    },
}
"""What labels texts: encoders, encoder-decoders, and some decoders."""


def built(name: str, kind: str) -> Any:
    """A toy: its weights drawn from one seed."""
    begins, _, settings = (DECODERS if kind == "CausalLM" else CLASSIFIERS)[name]
    words = T.AutoConfig.for_model(name.partition("-alibi")[0], **settings)
    if kind != "CausalLM":
        words.id2label, words.label2id = {0: "bad", 1: "good"}, {"bad": 0, "good": 1}
    ends = "LMHeadModel" if begins == "GPT2" and kind == "CausalLM" else f"For{kind}"
    torch.manual_seed(0)
    model = getattr(T, begins + ends)(words).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight += 0.1 * torch.randn_like(weight)
    return model


def saved(model: Any, folder: Path) -> str:
    """The model and a tokenizer of sixty letters, as a folder."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    # Letters alone, and the byte-level kind: some families make their tokenizer of it whatever the file says.
    letters = [*string.ascii_letters, *"01234567"]
    vocabulary = {word: i for i, word in enumerate(["<pad>", "<s>", "</s>", "<unk>", *letters])}
    inner = Tokenizer(models.BPE(vocabulary, []))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    marks = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    model.save_pretrained(folder)
    T.PreTrainedTokenizerFast(tokenizer_object=inner, model_max_length=64, **marks).save_pretrained(folder)
    return str(folder)
