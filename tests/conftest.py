"""Toy models and tables made by hand, so that the fast tests need no download."""

from __future__ import annotations

import csv
import gc
import json
import os
import random
from pathlib import Path
from typing import Any

import pytest

from tests.compared import BAD, FILL, GOOD, asked, liked, paired, preferred, prompts, queries
from tests.train.forked import two_processes as two_processes

os.environ.setdefault("HF_HUB_OFFLINE", "1")
# Toys are too small to share between cores, and two threads on a busy machine wait for each other at every layer.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["WEITIAO_LANG"] = "en"

# What is imported and collected stays to the end: the collector of cycles need not look through it again (`core/gc_pause.py`).
gc.disable()


def pytest_collection_finish():
    """From here on it looks at what the tests make."""
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session", autouse=True)
def encoded_cache(tmp_path_factory):
    """A cache of its own for what tests encode; fetched models and data are those of the user."""
    from weitiao.models.assets.fetch import cache_dir

    real, own = cache_dir(), tmp_path_factory.mktemp("cache")
    for name in ("models", "data", "downloads"):
        (real / name).mkdir(parents=True, exist_ok=True)
        (own / name).symlink_to(real / name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WEITIAO_CACHE", str(own))
        yield


def rarely(*values):
    """A line of a table whose neighbours prove nearly the same: in the whole tier alone."""
    return pytest.param(*values, marks=pytest.mark.whole)


# The prompt that a ChatML model is asked with; as in many small instruction-tuned models.
CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] "
    "+ '<|im_end|>' + '\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def reviews(rows: int, *, seed: int = 0) -> list[dict[str, str]]:
    """Separable reviews, every text once."""
    rng = random.Random(seed)
    made: dict[str, str] = {}
    while len(made) < rows:
        label = ("bad", "good")[len(made) % 2]
        words = [rng.choice(FILL) for _ in range(rng.randint(3, 14))]
        words.insert(rng.randrange(len(words)), rng.choice(GOOD if label == "good" else BAD))
        made.setdefault(" ".join(words), label)
    return [{"text": text, "label": label} for text, label in made.items()]


def dialogues(rows: int, *, seed: int = 0) -> list[dict[str, str]]:
    """Questions with answers of different length."""
    rng = random.Random(seed)
    made: dict[str, str] = {}
    while len(made) < rows:
        words = rng.sample(FILL, rng.randint(2, 5))
        made.setdefault(" ".join(words), " ".join(words[: rng.randint(1, len(words))]))
    return [{"prompt": prompt, "completion": completion} for prompt, completion in made.items()]


def tagged(rows: int, *, seed: int = 0) -> list[dict[str, list[str]]]:
    """Words of which a good and a bad one are spans."""
    kinds = {**dict.fromkeys(GOOD, "GOOD"), **dict.fromkeys(BAD, "BAD")}
    rng = random.Random(seed)
    made: dict[tuple[str, ...], list[str]] = {}
    while len(made) < rows:
        drawn = [rng.choice(FILL) for _ in range(rng.randint(3, 12))]
        for word in (rng.choice(GOOD), rng.choice(BAD)):
            drawn.insert(rng.randrange(len(drawn) + 1), word)
        words = tuple(drawn)
        found = [kinds.get(word, "") for word in words]
        made[words] = [f"B-{kind}" if kind else "O" for kind in found]
    return [{"tokens": list(words), "tags": tags} for words, tags in made.items()]


def many_labels(rows: int, *, seed: int = 0) -> list[dict[str, Any]]:
    """Texts with the labels good, bad, both or none, by the words in them."""
    rng = random.Random(seed)
    made: dict[str, list[str]] = {}
    while len(made) < rows:
        words = [rng.choice(FILL) for _ in range(rng.randint(3, 8))]
        labels = [label for label in ("bad", "good") if rng.random() < 0.5]
        for label in labels:
            words.insert(rng.randrange(len(words) + 1), rng.choice(GOOD if label == "good" else BAD))
        made[" ".join(words)] = labels
    return [{"text": text, "labels": labels} for text, labels in made.items()]


def rated(rows: int, *, seed: int = 0) -> list[dict[str, Any]]:
    """Texts with a number: 1,000, and 50 for each good word, less 50 for each bad one."""
    rng = random.Random(seed)
    made: dict[str, float] = {}
    while len(made) < rows:
        marks = [rng.choice((*GOOD, *BAD)) for _ in range(rng.randint(1, 3))]
        words = [rng.choice(FILL) for _ in range(rng.randint(3, 8))]
        for word in marks:
            words.insert(rng.randrange(len(words) + 1), word)
        made[" ".join(words)] = 1000.0 + 50 * sum(1 if word in GOOD else -1 for word in marks)
    return [{"text": text, "label": number} for text, number in made.items()]


def write_csv(path: Path, rows: list[dict[str, str]]) -> Path:
    """Rows as a CSV file."""
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(rows)
    return path


def write_jsonl(path: Path, rows: list[dict]) -> Path:
    """Rows as a JSONL file."""
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def _tokenizer(specials: dict[str, str], folder: Path, template: str | None = None) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    marks = ["<|im_start|>", "<|im_end|>"] if template else []
    words = [*specials.values(), *marks, *GOOD, *BAD, *FILL, "user", "assistant", "system", "\n", "好", "坏"]
    vocab = {word: i for i, word in enumerate(dict.fromkeys(words))}
    inner = Tokenizer(models.WordLevel(vocab, unk_token=specials["unk_token"]))
    inner.pre_tokenizer = (
        pre_tokenizers.Split(" ", "removed")
        if not template
        else pre_tokenizers.Sequence(
            [pre_tokenizers.Split("\n", "isolated"), pre_tokenizers.Split(" ", "removed")]
        )
    )
    if not template:
        cls, sep = specials["cls_token"], specials["sep_token"]
        inner.post_processor = processors.TemplateProcessing(
            single=f"{cls} $A {sep}",
            pair=f"{cls} $A {sep} $B:1 {sep}:1",
            special_tokens=[(cls, vocab[cls]), (sep, vocab[sep])],
        )
    made = PreTrainedTokenizerFast(tokenizer_object=inner, model_max_length=64, **specials)
    if template:
        made.add_special_tokens({"additional_special_tokens": marks})
        made.chat_template = template
    made.save_pretrained(folder)


@pytest.fixture(scope="session")
def bert(tmp_path_factory) -> str:
    """A BERT of two layers with a pooler and a tokenizer of forty words."""
    import torch
    from transformers import BertConfig, BertModel

    folder = tmp_path_factory.mktemp("bert")
    specials = {"unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]"}
    _tokenizer(specials, folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=64,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=64,
        pad_token_id=3,
    )
    BertModel(config).save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="session")
def llama(tmp_path_factory) -> str:
    """A Llama of two layers with a ChatML template."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    folder = tmp_path_factory.mktemp("llama")
    _tokenizer({"unk_token": "<unk>", "eos_token": "<|im_end|>", "pad_token": "<|im_end|>"}, folder, CHATML)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=64,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=1,
        pad_token_id=1,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="session")
def t5(tmp_path_factory) -> str:
    """A T5 of two and two layers."""
    import torch
    from transformers import T5Config, T5ForConditionalGeneration

    folder = tmp_path_factory.mktemp("t5")
    _tokenizer({"unk_token": "<unk>", "cls_token": "<s>", "sep_token": "</s>", "pad_token": "<pad>"}, folder)
    torch.manual_seed(0)
    config = T5Config(
        vocab_size=64,
        d_model=32,
        d_kv=8,
        d_ff=64,
        num_layers=2,
        num_heads=4,
        decoder_start_token_id=0,
        pad_token_id=3,
        eos_token_id=2,
        initializer_factor=0.5,
    )
    T5ForConditionalGeneration(config).save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="session")
def yolos(tmp_path_factory) -> str:
    from tests.boxed import saved  # two layers, pictures of 64 x 48

    return str(saved("yolos", tmp_path_factory.mktemp("yolos")))


@pytest.fixture(scope="session")
def segformer(tmp_path_factory) -> str:
    from tests.masked import saved  # four stages, pictures of 32 x 32

    return str(saved("segformer", tmp_path_factory.mktemp("segformer")))


@pytest.fixture(scope="session")
def vit(tmp_path_factory) -> str:
    """A ViT of two layers on pictures of 8 x 8."""
    import torch
    from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessorPil

    folder = tmp_path_factory.mktemp("vit")
    torch.manual_seed(0)
    config = ViTConfig(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        image_size=8,
        patch_size=4,
    )
    ViTForImageClassification(config).save_pretrained(folder)
    ViTImageProcessorPil(size={"height": 8, "width": 8}).save_pretrained(folder)
    return str(folder)


@pytest.fixture
def review_file(tmp_path) -> Path:
    """Two hundred reviews as a CSV."""
    return write_csv(tmp_path / "reviews.csv", reviews(200))


@pytest.fixture
def dialogue_file(tmp_path) -> Path:
    """Eighty dialogues as JSONL."""
    return write_jsonl(tmp_path / "dialogues.jsonl", dialogues(80))


@pytest.fixture
def tagged_file(tmp_path) -> Path:
    """A hundred and sixty rows of tagged words as JSONL."""
    return write_jsonl(tmp_path / "tagged.jsonl", tagged(160))


def small_run(model: str, task: str, rows: Path, output: Path, *, batch: int, judge: dict):
    """A maker of recipes of small quick runs: `recipe(method=..., data={...}, **train keys)`."""

    def recipe(**words) -> dict:
        top = {key: words.pop(key) for key in ("method", "seed", "output_dir", "task") if key in words}
        data = {"train": str(rows), **words.pop("data", {})}
        evaluate = {"resamples": 100, **judge, **words.pop("evaluate", {})}
        train = {
            "num_train_epochs": 1,
            "per_device_train_batch_size": batch,
            "bf16": False,
            "eval_strategy": "steps",
            "eval_steps": 5,
            "save_strategy": "steps",
            "save_steps": 4,
            "early_stopping_patience": None,
            **words,
        }
        defaults = {"model": model, "task": task, "output_dir": str(output)}
        return {**defaults, "data": data, "evaluate": evaluate, "train": train, **top}

    return recipe


@pytest.fixture
def classify(bert, review_file, tmp_path):
    """Recipes of text classification on the toy BERT."""
    return small_run(bert, "text_classification", review_file, tmp_path / "run", batch=8, judge={})


@pytest.fixture
def converse(llama, dialogue_file, tmp_path):
    """Recipes of supervised fine-tuning on the toy Llama."""
    judge = {"samples": 1, "max_new_tokens": 4}
    return small_run(llama, "sft", dialogue_file, tmp_path / "run", batch=4, judge=judge)


@pytest.fixture
def tag(bert, tagged_file, tmp_path):
    """Recipes of token classification on the toy BERT."""
    return small_run(bert, "token_classification", tagged_file, tmp_path / "run", batch=8, judge={})


@pytest.fixture
def ask(bert, tmp_path):
    """Recipes of question answering on the toy BERT."""
    file = write_jsonl(tmp_path / "asked.jsonl", asked(200))
    return small_run(bert, "question_answering", file, tmp_path / "run", batch=8, judge={})


@pytest.fixture
def prefer(llama, tmp_path):
    """Recipes of preference learning on the toy Llama."""
    file = write_jsonl(tmp_path / "preferred.jsonl", preferred(125))
    judge = {"samples": 1, "max_new_tokens": 4}
    return small_run(llama, "dpo", file, tmp_path / "run", batch=8, judge=judge)


@pytest.fixture
def reward(llama, tmp_path):
    """Recipes of learning from rewards on the toy Llama."""
    file = write_jsonl(tmp_path / "prompts.jsonl", prompts(60))
    task = {
        "name": "grpo",
        "rewards": [{"name": "words", "wanted": [*FILL, *GOOD]}, {"name": "length", "max": 3}],
        "num_generations": 4,
        "max_completion_length": 6,
        "num_iterations": 2,
        "beta": 0.05,
    }
    judge = {"samples": 1, "max_new_tokens": 4}
    return small_run(llama, task, file, tmp_path / "run", batch=8, judge=judge)


@pytest.fixture
def score(llama, tmp_path):
    """Recipes of reward models on the toy Llama."""
    file = write_jsonl(tmp_path / "preferred.jsonl", preferred(125))
    return small_run(llama, "reward", file, tmp_path / "run", batch=8, judge={})


@pytest.fixture
def like(llama, tmp_path):
    """Recipes of learning from judged answers on the toy Llama."""
    file = write_jsonl(tmp_path / "liked.jsonl", liked(125))
    judge = {"samples": 1, "max_new_tokens": 4}
    return small_run(llama, "kto", file, tmp_path / "run", batch=8, judge=judge)


@pytest.fixture
def find(bert, tmp_path):
    """Recipes of embedding on the toy BERT, in parts whose activations are made again."""
    file = write_jsonl(tmp_path / "pairs.jsonl", paired(150))
    task = {"name": "embedding", "mini_batch_size": 5}
    return small_run(bert, task, file, tmp_path / "run", batch=8, judge={})


@pytest.fixture
def rank(bert, tmp_path):
    """Recipes of reranking on the toy BERT, from rows of one passage each."""
    made = [
        {"query": row["query"], "passage": text, "label": score}
        for row in queries(100)
        for text, score in zip(row["passages"], row["scores"], strict=True)
    ]
    file = write_jsonl(tmp_path / "searches.jsonl", made)
    task = {"name": "reranking", "loss_type": "softmax"}
    return small_run(bert, task, file, tmp_path / "run", batch=8, judge={})
