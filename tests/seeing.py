"""Models that read pictures among words, of three families, small and from configurations; pictures of one colour, and questions.

saved("llava", folder)   ->  a folder with weights and processor        asked_colours(folder, 12)  ->  rows of `messages`
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PIL import Image

COLOURS = {"red": (220, 30, 30), "green": (30, 200, 40), "blue": (30, 40, 220), "yellow": (230, 220, 40)}
MARKS = {"llava": "<image>", "qwen2_vl": "<|image_pad|>", "idefics3": "<image>"}
SPECIALS = [
    "<pad>",
    "<|im_start|>",
    "<|im_end|>",
    "<image>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
    "<fake_token_around_image>",
    "<global-img>",
    "<row_1_col_1>",
]
WORDS = ["\n", *COLOURS, "user", "assistant", "system", "what", "colour", "?", "say", "and", "picture"]
WORDS += list(map(str, range(20)))
TEMPLATE = """{% for turn in messages %}<|im_start|>{{ turn.role }}
{% for part in turn.content %}{{ "PICTURE" if part.type == "image" else part.text }}{% endfor %}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""
"""For turns of parts alone, as those of most of these families."""
TEXT: dict[str, Any] = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "bos_token_id": None,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
VISION: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
}


def tokenizer() -> Any:
    """Words, and the special tokens of all three families."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocab = {word: number for number, word in enumerate([*SPECIALS, "<unk>", *WORDS])}
    inner = Tokenizer(models.WordLevel(vocab, unk_token="<unk>"))
    apart = [pre_tokenizers.Split("\n", "isolated"), pre_tokenizers.Split(" ", "removed")]
    inner.pre_tokenizer = pre_tokenizers.Sequence(apart)
    made = PreTrainedTokenizerFast(
        tokenizer_object=inner, unk_token="<unk>", pad_token="<pad>", eos_token="<|im_end|>"
    )
    made.add_special_tokens({"additional_special_tokens": SPECIALS[1:]})
    return made


def llava(words: Any, text: dict[str, Any], vision: dict[str, Any], side: int = 16) -> tuple[Any, Any]:
    """Pictures cut to a square, one token a patch: CLIP and Llama."""
    import transformers as hf

    size = {"shortest_edge": side, "crop_size": {"height": side, "width": side}}
    cut = hf.CLIPImageProcessorPil(size={"shortest_edge": side}, crop_size=size["crop_size"])
    template = TEMPLATE.replace("PICTURE", "<image>")
    more: dict[str, Any] = {"vision_feature_select_strategy": "default", "num_additional_image_tokens": 1}
    reader = hf.LlavaProcessor(cut, words, patch_size=8, chat_template=template, **more)
    config = hf.LlavaConfig(
        text_config=hf.LlamaConfig(**text),
        vision_config=hf.CLIPVisionConfig(image_size=side, patch_size=8, projection_dim=32, **vision),
        image_token_index=SPECIALS.index("<image>"),
    )
    return config, reader


def qwen2_vl(words: Any, text: dict[str, Any], vision: dict[str, Any]) -> tuple[Any, Any]:
    """As many tokens as a picture is large, positions of three axes; its processor without the part for videos."""
    import transformers as hf

    cut = hf.Qwen2VLImageProcessorPil(
        patch_size=4, merge_size=2, temporal_patch_size=2, size={"shortest_edge": 64, "longest_edge": 512}
    )
    whole = hf.Qwen2VLProcessor
    names = [name for name in whole.get_attributes() if "video" not in name]
    kind = type(whole.__name__, (whole,), {"get_attributes": classmethod(lambda _: names)})
    mark = "<|vision_start|><|image_pad|><|vision_end|>"
    reader = kind(cut, words, chat_template=TEMPLATE.replace("PICTURE", mark))
    sizes = {"patch_size": 4, "spatial_merge_size": 2, "temporal_patch_size": 2}
    config = hf.Qwen2VLConfig(
        text_config={
            **text,
            "rope_parameters": {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 1e4},
        },
        vision_config={
            "depth": 2,
            "embed_dim": 32,
            "hidden_size": 32,
            "num_heads": 4,
            "mlp_ratio": 2,
            **sizes,
        },
        **{
            f"{name}_token_id": SPECIALS.index(f"<|{mark}|>")
            for name, mark in {
                "image": "image_pad",
                "video": "video_pad",
                "vision_start": "vision_start",
                "vision_end": "vision_end",
            }.items()
        },
    )
    return config, reader


def idefics3(words: Any, text: dict[str, Any], vision: dict[str, Any]) -> tuple[Any, Any]:
    """Pictures cut into tiles, with words of their own around each (SmolVLM is of this family)."""
    import transformers as hf

    cut = hf.Idefics3ImageProcessorPil(size={"longest_edge": 16}, max_image_size={"longest_edge": 16})
    template = TEMPLATE.replace("PICTURE", "<image>")
    reader = hf.Idefics3Processor(cut, words, image_seq_len=4, chat_template=template)
    config = hf.Idefics3Config(
        text_config={"model_type": "llama", **text},
        vision_config={"image_size": 16, "patch_size": 4, **vision},
        scale_factor=2,
        image_token_id=SPECIALS.index("<image>"),
    )
    return config, reader


FAMILIES = {"llava": llava, "qwen2_vl": qwen2_vl, "idefics3": idefics3}


def saved(family: str, folder: Path, **more: Any) -> str:
    """A model of that family, drawn from one seed."""
    import torch
    from transformers import AutoModelForImageTextToText

    config, reader = FAMILIES[family](tokenizer(), TEXT, VISION, **more)
    torch.manual_seed(0)
    AutoModelForImageTextToText.from_config(config).save_pretrained(folder)
    reader.save_pretrained(folder)
    return str(folder)


def picture(path: Path, colour: str, number: int) -> Path:
    """A picture of that colour, of a size of its own, with a dark spot elsewhere in each."""
    width, height = 16 + 8 * (number % 3), 16 + 8 * (number % 2)
    made = Image.new("RGB", (width, height), COLOURS[colour])
    x, y = number * 5 % (width - 6), number * 7 % (height - 6)
    made.paste((number % 32, 0, 0), (x, y, x + 6, y + 6))
    path.parent.mkdir(parents=True, exist_ok=True)
    made.save(path)
    return path


def question(path: str, colour: str) -> dict[str, Any]:
    """A row as OpenAI writes it."""
    shown = {"type": "image_url", "image_url": {"url": path}}
    asked = [{"type": "text", "text": "what colour ? "}, shown]
    return {"messages": [{"role": "user", "content": asked}, {"role": "assistant", "content": colour}]}


def spoken(number: int, colour: str) -> dict[str, Any]:
    """A row of words alone."""
    turns = [
        {"role": "user", "content": f"say {colour} {number % 20}"},
        {"role": "assistant", "content": colour},
    ]
    return {"messages": turns}


def asked_colours(folder: Path, count: int) -> list[dict[str, Any]]:
    """Rows of which every third is of words alone; their pictures lie below the folder."""
    rows = []
    for number in range(count):
        colour = [*COLOURS][number * 7 % 5 % 4]
        if number % 3 == 2:
            rows.append(spoken(number, colour))
            continue
        name = f"pictures/{number:03}.png"
        picture(folder / name, colour, number)
        rows.append(question(name, colour))
    return rows
