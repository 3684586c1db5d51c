"""Models of real shapes with random weights, and rows of made words: what a bench needs where nothing can be fetched.

    python -m benchmarks.made FOLDER [--tiny]  ->  FOLDER/minilm, smollm2, llama-1b, toy-llama, toy-bert; reviews.csv,
    chat.jsonl for the toys, and rows.json for `worker`

Speed and memory hang on shapes, lengths and precision, not on what the weights know.
"""

from __future__ import annotations

import csv
import json
import random
import sys
from pathlib import Path
from typing import Any

from benchmarks.jobs import GPU_JOBS, SEED, Job
from benchmarks.rows import first, fits

LLAMA = {"tie_word_embeddings": True, "bos_token_id": None, "eos_token_id": 2, "pad_token_id": 0}
TOY = {
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 128,
    "max_position_embeddings": 1024,
}
SHAPES: dict[str, dict[str, Any]] = {
    "minilm": {  # sentence-transformers/all-MiniLM-L6-v2
        "vocab_size": 30_522,
        "hidden_size": 384,
        "num_hidden_layers": 6,
        "num_attention_heads": 12,
        "intermediate_size": 1536,
        "max_position_embeddings": 512,
    },
    "smollm2": {  # HuggingFaceTB/SmolLM2-135M-Instruct
        **LLAMA,
        "vocab_size": 49_152,
        "hidden_size": 576,
        "num_hidden_layers": 30,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
        "intermediate_size": 1536,
        "max_position_embeddings": 8192,
    },
    "llama-1b": {  # about meta-llama/Llama-3.2-1B, with a smaller vocabulary
        **LLAMA,
        "vocab_size": 32_000,
        "hidden_size": 2048,
        "num_hidden_layers": 16,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "intermediate_size": 8192,
        "max_position_embeddings": 2048,
    },
    "toy-llama": {**LLAMA, **TOY, "vocab_size": 4_000, "num_key_value_heads": 2},
    "toy-bert": {**TOY, "vocab_size": 4_000},
}
ENCODERS = ("minilm", "toy-bert")
TINY_ROWS = 2
"""Batches of each job when the bench itself is tried."""
WORDS, VOCABULARY, SAMPLE = 6_000, 4_000, 20_000
"""Made words, the pieces that the tokenizer learns of them, and words of the text that it learns from."""
LENGTHS: dict[str, tuple[int, int]] = {"reviews": (10, 120), "chat": (20, 200)}
"""Kind -> fewest and most words of a text, or of a question and its answer."""
# The prompt that a ChatML model is asked with, as SmolLM2's.
CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] "
    "+ '<|im_end|>' + '\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


class Speaker:
    """Says made words; common ones are said more often, and lengths are skewed, as in texts that people write."""

    def __init__(self) -> None:
        self.rng = random.Random(SEED)
        parts = [a + b for a in "bdfgklmnprstvz" for b in ("a", "e", "i", "o", "u", "an", "er", "ist")]
        self.words = ["".join(self.rng.choices(parts, k=self.rng.randint(1, 4))) for _ in range(WORDS)]
        self.weights = [1 / place for place in range(1, WORDS + 1)]

    def say(self, shortest: int, longest: int) -> str:
        count = min(longest, round(shortest * self.rng.lognormvariate(1.0, 0.7)))
        return " ".join(self.rng.choices(self.words, self.weights, k=max(shortest, count)))

    def row(self, job: Job, place: int) -> dict[str, Any]:
        shortest, longest = LENGTHS[job.kind]
        if job.kind == "reviews":
            return {"text": f"{place} {self.say(shortest, longest)}", "label": ("bad", "good")[place % 2]}
        # Longer rows for the model that takes them.
        scale = job.max_length // 512
        asked, said = (self.say(shortest * scale, longest * scale) for _ in range(2))
        return {
            "messages": [
                {"role": "user", "content": f"{place} {asked}"},
                {"role": "assistant", "content": said},
            ]
        }


def tokenizer(speaker: Speaker, folder: Path, *, encoder: bool) -> None:
    """Pieces of made words, learnt on the spot; with marks around a text, or those of a conversation."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    marks = ["[PAD]", "[CLS]", "[SEP]"] if encoder else ["<pad>", "<|im_start|>", "<|im_end|>"]
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    text = (speaker.say(50, 50) for _ in range(SAMPLE // 50))
    letters = pre_tokenizers.ByteLevel.alphabet()
    inner.train_from_iterator(
        text,
        trainers.BpeTrainer(
            vocab_size=VOCABULARY, special_tokens=marks, initial_alphabet=letters, show_progress=False
        ),
    )
    if encoder:
        inner.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
        )
        words = {"pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    else:
        words = {"pad_token": "<pad>", "eos_token": "<|im_end|>"}
    made = PreTrainedTokenizerFast(tokenizer_object=inner, **words)
    if not encoder:
        made.add_special_tokens({"additional_special_tokens": ["<|im_start|>"]})
        made.chat_template = CHATML
    made.save_pretrained(folder)


def model(name: str, folder: Path, *, tiny: bool) -> None:
    """A random model of that shape; decoders are stored in bfloat16, as they are published."""
    import torch
    from transformers import BertConfig, BertModel, LlamaConfig, LlamaForCausalLM

    encoder = name in ENCODERS
    shape = SHAPES[("toy-bert" if encoder else "toy-llama") if tiny else name]
    torch.manual_seed(SEED)
    # A billion random numbers take long on a CPU.
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        made = BertModel(BertConfig(**shape)) if encoder else LlamaForCausalLM(LlamaConfig(**shape))
    if not encoder and not name.startswith("toy"):
        made = made.bfloat16()
    made.cpu().save_pretrained(folder)


def make(folder: Path, *, tiny: bool) -> None:
    """All models, and the rows of all jobs."""
    speaker = Speaker()
    for name in SHAPES:
        model(name, folder / name, tiny=tiny)
        tokenizer(speaker, folder / name, encoder=name in ENCODERS)
    dealt = {}
    for name, job in GPU_JOBS.items():
        count = TINY_ROWS * job.batch_size if tiny else job.train_rows
        rows = [speaker.row(job, place) for place in range(2 * count)]
        rows = first(rows, count, fit=fits(job, folder / job.model))
        dealt[name] = {"model": str(folder / job.model), "train": rows, "held_out": []}
    (folder / "rows.json").write_text(json.dumps(dealt), encoding="utf-8")
    few = {kind: [speaker.row(GPU_JOBS[f"gpu-{kind}"], place) for place in range(40)] for kind in LENGTHS}
    chat = "".join(json.dumps(row) + "\n" for row in few["chat"])
    (folder / "chat.jsonl").write_text(chat, encoding="utf-8")
    with (folder / "reviews.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, ["text", "label"])
        table.writeheader()
        table.writerows(few["reviews"])


if __name__ == "__main__":
    make(Path(sys.argv[1]), tiny="--tiny" in sys.argv)
