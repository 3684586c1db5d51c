"""Models that help to make rows: the base's masked-word head, and translation models.

masked_model("bert-base")   ->  (model, tokenizer)       fills in what a mask hides
translator("opus-mt-en-de") ->  translate(texts)         texts in, as many texts out
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from weitiao.core.errors import WeitiaoError, fault
from weitiao.core.why import reason
from weitiao.models import folders, marks, positions
from weitiao.models.opening import opened, resolve
from weitiao.models.quiet import quiet

BATCH_TEXTS = 16
BEAMS = 4
LONGER = 2  # a translation of more than twice the tokens, and a few, is a model that repeats itself
MORE_TOKENS = 16
USUAL = 512  # tokens of a text: what translation models were trained on


def masked_model(ref: str, *, device: Any = "cpu") -> tuple[Any, Any]:
    """The model with its own masked-word head, and its tokenizer.

    Raises:
        WeitiaoError: `no_masked_head` when it has none; `no_such_model`, `hub_unreachable`, `unreadable_model`.
    """
    model, processor = _loaded(
        ref, "AutoModelForMaskedLM", lambda why: fault("no_masked_head", ref=ref, why=why), device=device
    )
    if processor.mask_token is None:
        raise fault("no_masked_head", ref=ref, why=reason("no_mask_token"))
    return model, processor


def translator(ref: str, *, device: Any = "cpu") -> Callable[[Sequence[str]], list[str]]:
    """What translates texts with a sequence-to-sequence model, by beam search without chance.

    Raises:
        WeitiaoError: `no_translation_model` when it is none; `no_such_model`, `hub_unreachable`, `unreadable_model`.
    """
    import torch

    model, processor = _loaded(
        ref,
        "AutoModelForSeq2SeqLM",
        lambda why: fault("no_translation_model", ref=ref, why=why),
        device=device,
    )
    limit = min(processor.model_max_length, USUAL)

    def translate(texts: Sequence[str]) -> list[str]:
        told: list[str] = []
        for start in range(0, len(texts), BATCH_TEXTS):
            part = list(texts[start : start + BATCH_TEXTS])
            inputs = processor(
                part,
                padding=True,
                padding_side="right",
                truncation=True,
                max_length=limit,
                return_tensors="pt",
            )
            asked = {name: inputs[name].to(device) for name in ("input_ids", "attention_mask")}
            room = min(limit - 1, LONGER * asked["input_ids"].shape[1] + MORE_TOKENS)
            with torch.inference_mode(), quiet():
                ids_BT = model.generate(**asked, num_beams=BEAMS, do_sample=False, max_new_tokens=room)
            told += processor.batch_decode(ids_BT, skip_special_tokens=True)
        return told

    return translate


def _loaded(
    ref: str, auto_class: str, unsuitable: Callable[[str], WeitiaoError], *, device: Any
) -> tuple[Any, Any]:
    import torch
    import transformers

    source = resolve(ref)
    folders.refuse_weightless(source)
    with opened(ref), quiet():
        config = transformers.AutoConfig.from_pretrained(source, trust_remote_code=False)
        auto = getattr(transformers, auto_class)
        if type(config) not in auto._model_mapping:
            raise unsuitable(f"{config.model_type} models have no such head")
        processor = folders.tokenizer(source)
        marks.agree(config, processor)
        # Whoever cuts a text asks the tokenizer, and it may know less than the model.
        processor.model_max_length = positions.limit(config, processor)
        with torch.random.fork_rng():
            model, report = auto.from_pretrained(
                source,
                config=config,
                dtype=torch.float32,
                use_safetensors=True,
                trust_remote_code=False,
                output_loading_info=True,
                **({"device_map": {"": device}} if str(device) == "meta" else {}),  # no weight is read
            )
    # A head that the file does not hold would be drawn at random, and say anything.
    if lacking := sorted(report["missing_keys"]):
        raise unsuitable(f"its weights lack {', '.join(lacking[:3])}")
    return model.to(device).eval(), processor
