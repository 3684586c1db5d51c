"""Model families in small: their chat templates, their special tokens, and real tokenizers trained on a few lines.

The templates in `tests/data/templates` are written here, to render what each family publishes as its format.  What a
test expects is not computed from them: `Family.answer` and `Family.asked` spell the format by hand.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

TEMPLATES = Path(__file__).parent.parent / "templates"
# As GPT-4, Llama 3 and Qwen cut words: line feeds stick together.
CUT = r"(?i:'s|'t|'re)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
LINES = (
    ["USER: Is it so? ASSISTANT: Yes, it is. No, it is not. hello there Yes No hello"] * 8
    + ["### Instruction:\nSay hello\n\n### Response:\nhello\n\n\n    indented by four\n        and by eight"]
    * 8
    + ["你好，世界。今天天气很好。你好吗？我很好，谢谢。"] * 8
    + ["user assistant system model [INST] [/INST] <<SYS>> <</SYS>> <|user|> <|assistant|> <|system|>"] * 4
)


@dataclass(frozen=True)
class Family:
    """A template with its tokenizer, and the format by hand."""

    name: str
    kind: str
    """How its tokenizer works: `bytes`, `bytes_newlines`, `bytes_trimmed`, `sentencepiece` or `metaspace`."""
    specials: tuple[str, ...]
    bos: str | None
    eos: str
    lead: str
    """What the template writes between the prompt and an answer's words."""
    end: str
    """What it writes behind them, as far as it is the answer's."""
    trims: bool = False
    """Does it take white space off an answer?"""
    system: bool = True
    many: bool = True
    """Can several answers be trained in one sequence?"""
    swallows: bool = False
    """Do its special tokens take the white space after them, and does it put a space of its own there?"""

    @property
    def template(self) -> str:
        return (TEMPLATES / f"{self.name}.jinja").read_text(encoding="utf-8")

    def trained(self, answer: str) -> str:
        """What is trained of an answer."""
        return self.lead + (answer.strip() if self.trims else answer) + self.end

    def decoded(self, answer: str) -> str:
        """That, as its tokenizer reads it back."""
        return " " * self.swallows + self.trained(answer)

    @property
    def tokenizer(self):
        made = tokenizer(self.kind, self.specials, self.bos, self.eos, swallows=self.swallows)
        made.chat_template = self.template
        return made


IM = ("<|im_start|>", "<|im_end|>")
S = ("<s>", "</s>")
LLAMA3 = ("<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")
GEMMA = ("<bos>", "<eos>", "<start_of_turn>", "<end_of_turn>")
PHI3 = ("<s>", "<|endoftext|>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>")
DEEPSEEK = ("<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜User｜>", "<｜Assistant｜>")
BEGIN, FINISH = DEEPSEEK[:2]

FAMILIES = {
    family.name: family
    for family in (
        Family("chatml", "bytes", IM, None, IM[1], "", IM[1]),
        Family("smollm2", "bytes_trimmed", IM, None, IM[1], "", IM[1]),
        Family("llama2", "sentencepiece", S, *S, " ", " </s>", trims=True),
        Family("llama3", "bytes_newlines", LLAMA3, LLAMA3[0], LLAMA3[3], "", LLAMA3[3], trims=True),
        Family("mistral", "sentencepiece", S, *S, " ", "</s>", trims=True),
        Family("mistral-nemo", "bytes_newlines", S, *S, "", "</s>", trims=True, many=False),
        Family("gemma", "metaspace", GEMMA, "<bos>", "<eos>", "", "<end_of_turn>", trims=True, system=False),
        Family("qwen2.5", "bytes_newlines", IM, None, IM[1], "", IM[1]),
        Family("qwen3", "bytes_newlines", IM, None, IM[1], "<think>\n\n</think>\n\n", IM[1], many=False),
        Family("phi3", "sentencepiece", PHI3, "<s>", "<|endoftext|>", "", "<|end|>", swallows=True),
        Family("deepseek-v2", "bytes_newlines", DEEPSEEK, BEGIN, FINISH, " ", FINISH),
        Family("deepseek-v3", "bytes_newlines", DEEPSEEK, BEGIN, FINISH, "", FINISH),
        Family("zephyr", "sentencepiece", S, *S, "", "</s>"),
        Family("vicuna", "sentencepiece", S, *S, " ", "</s>"),
        Family("alpaca", "sentencepiece", S, *S, "", "</s>"),
    )
}


@cache
def _trained(kind: str):
    from tokenizers import (
        Regex,
        Tokenizer,
        decoders,
        models,
        normalizers,
        pre_tokenizers,
        processors,
        trainers,
    )

    if kind.startswith("bytes"):
        inner = Tokenizer(models.BPE())
        level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=kind != "bytes_newlines")
        cut = [pre_tokenizers.Split(Regex(CUT), "isolated")] if kind == "bytes_newlines" else []
        inner.pre_tokenizer = pre_tokenizers.Sequence([*cut, level])
        inner.decoder = decoders.ByteLevel()
        if kind == "bytes_trimmed":
            inner.post_processor = processors.ByteLevel(trim_offsets=True)
        trainer = trainers.BpeTrainer(
            vocab_size=700, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
        )
    else:
        byte_tokens = [f"<0x{byte:02X}>" for byte in range(256)]
        inner = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
        space = normalizers.Replace(" ", "▁")
        # Llama 2 opens every text with a space; Gemma does not.
        inner.normalizer = (
            space if kind == "metaspace" else normalizers.Sequence([normalizers.Prepend("▁"), space])
        )
        inner.decoder = decoders.Sequence(
            [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
            + ([] if kind == "metaspace" else [decoders.Strip(" ", 1, 0)])
        )
        # Without this, whole lines would become one token; SentencePiece does not join across words either.
        inner.pre_tokenizer = pre_tokenizers.Split(Regex("▁?[^▁\n]+|▁+|\n+"), "isolated")
        trainer = trainers.BpeTrainer(
            vocab_size=900, special_tokens=["<unk>", *byte_tokens], limit_alphabet=90, show_progress=False
        )
    inner.train_from_iterator(LINES, trainer)
    # What the trainer was told to keep is marked special; byte tokens are plain ones, as in Llama.
    return json.dumps({**json.loads(inner.to_str()), "added_tokens": []})


def tokenizer(kind: str, specials: tuple[str, ...], bos: str | None, eos: str, *, swallows: bool = False):
    """A Transformers tokenizer of that kind, with these special tokens."""
    from tokenizers import AddedToken, Tokenizer
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer.from_str(_trained(kind))
    inner.add_special_tokens(
        [
            AddedToken(mark, special=True, normalized=False, rstrip=swallows and mark != bos)
            for mark in specials
        ]
    )
    return PreTrainedTokenizerFast(tokenizer_object=inner, bos_token=bos, eos_token=eos, pad_token=eos)
