"""Configuration, generation settings and tokenizer say the same pad, begin and end tokens, whatever was saved."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from weitiao.core import registry
from weitiao.core.contracts import Record
from weitiao.evaluate.predict import predict
from weitiao.models import positions, store
from weitiao.models.load import load, skeleton

TEXTS = ["film good", "story warm good film and story warm good film and good film <|im_end|>"]


def edited(folder: str, to: Path, *, config: dict, tokenizer: dict) -> str:
    """A copy of a model's folder with other values in its files; None takes a key out."""
    shutil.copytree(folder, to)
    for name, values in (("config.json", config), ("tokenizer_config.json", tokenizer)):
        known = {**json.loads((to / name).read_text()), **values}
        (to / name).write_text(json.dumps({k: v for k, v in known.items() if v is not None}))
    if "pad_token" in tokenizer:
        (to / "special_tokens_map.json").unlink(missing_ok=True)
    return str(to)


def scores(loaded, task, texts):
    records = [Record("-", i, {"text": text, "label": None}) for i, text in enumerate(texts)]
    examples = list(task.encode(records, loaded.processor, limit=32))
    return [row["scores"]["a"] for row in predict(loaded, task, examples)]


CASES = {
    "as it should be": ({}, {}),
    "another word": ({"pad_token_id": 7}, {}),
    "negative": ({"pad_token_id": -1}, {}),
    "beyond the vocabulary": ({"pad_token_id": 999}, {}),
    "only the configuration": ({"pad_token_id": 2}, {"pad_token": None}),
    "a word, and only the configuration": ({"pad_token_id": 7}, {"pad_token": None}),
    "neither": ({"pad_token_id": None}, {"pad_token": None}),
    "no end either": ({"pad_token_id": None, "eos_token_id": None}, {"pad_token": None, "eos_token": None}),
    "end of several": ({"eos_token_id": [1, 2]}, {}),
}


@pytest.mark.parametrize("case", CASES)
def test_an_answer_never_hangs_on_its_neighbours(llama, tmp_path, case):
    config, tokenizer = CASES[case]
    base = edited(llama, tmp_path / "base", config=config, tokenizer=tokenizer)
    task = registry.build("task", {"name": "text_classification", "labels": ["a", "b"]})
    loaded = load(base, task)
    alone = [scores(loaded, task, [text])[0] for text in TEXTS]
    assert scores(loaded, task, TEXTS) == pytest.approx(alone, abs=1e-6)
    pad = loaded.model.config.pad_token_id
    assert pad == (loaded.processor.pad_token_id or 0)
    word = loaded.processor.convert_ids_to_tokens(pad)
    assert word.startswith("<"), f"the word {word} pads"  # a mark, no word of a text
    assert skeleton(base, task).model.config.pad_token_id == pad


def test_generation_pads_begins_and_ends_as_the_tokenizer_says_and_keeps_other_ends(llama, tmp_path):
    base = edited(llama, tmp_path / "base", config={"eos_token_id": 5, "pad_token_id": 9}, tokenizer={})
    settings = {"eos_token_id": [5, 999], "pad_token_id": 9, "bos_token_id": 2}
    (tmp_path / "base" / "generation_config.json").write_text(json.dumps(settings))
    loaded = load(base, registry.build("task", {"name": "sft"}))
    found = loaded.model.generation_config
    assert (found.pad_token_id, found.eos_token_id) == (1, [1, 5])
    assert loaded.model.config.eos_token_id == 1


@pytest.mark.parametrize("name", ["full", "lora"])
def test_what_is_saved_stops_at_the_token_that_the_template_ends_answers_with(llama, tmp_path, name):
    import torch
    from transformers import AutoModelForCausalLM, GenerationConfig

    unlike = {"eos_token": "<unk>", "pad_token": "<unk>"}
    base = edited(llama, tmp_path / "base", config={"eos_token_id": 0}, tokenizer=unlike)
    (tmp_path / "base" / "generation_config.json").unlink()
    task, method = registry.build("task", {"name": "sft"}), registry.build("method", {"name": name})
    loaded = load(base, task)
    store.prepare(loaded, method, seed=0)
    store.save_tuned(tmp_path / "tuned", loaded, task=task, method=method, card={})
    if name == "full":
        plain = AutoModelForCausalLM.from_pretrained(tmp_path / "tuned")
    else:  # PEFT takes the base's own settings, unless it is given these
        plain = AutoModelForCausalLM.from_pretrained(base)
        plain.generation_config = GenerationConfig.from_pretrained(tmp_path / "tuned")
    end = loaded.processor.convert_tokens_to_ids("<|im_end|>")
    said = {"max_new_tokens": 4, "do_sample": False, "prefix_allowed_tokens_fn": lambda *_: [end]}
    ids_BT = torch.tensor([[5, 6]])
    assert plain.generate(input_ids=ids_BT, **said).tolist() == [[5, 6, end]]
    words = registry.build("task", {"name": "language_modeling"})  # no answers, no end of answers
    assert load(base, words).model.generation_config.eos_token_id == 0


def test_a_row_of_embeddings_without_a_word_pads_where_no_token_is_a_mark(bert, tmp_path):
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import GPT2Config, GPT2Model, PreTrainedTokenizerFast

    words = {word: i for i, word in enumerate(["film", "good", "bad", "?"])}
    for size, expected in ((5, "<pad>"), (4, None)):
        inner = Tokenizer(models.WordLevel(words, unk_token="?"))
        inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        folder = tmp_path / str(size)
        PreTrainedTokenizerFast(tokenizer_object=inner).save_pretrained(folder)
        torch.manual_seed(0)
        sizes = {"n_embd": 16, "n_layer": 1, "n_head": 2, "n_positions": 32}
        GPT2Model(GPT2Config(vocab_size=size, **sizes)).save_pretrained(folder)
        task = registry.build("task", {"name": "text_classification", "labels": ["a", "b"]})
        loaded = load(str(folder), task)
        assert loaded.processor.pad_token == expected
        texts = ["film bad", "good film bad bad good"]
        assert scores(loaded, task, texts) == pytest.approx(
            [scores(loaded, task, [text])[0] for text in texts], abs=1e-6
        )


def test_where_positions_are_counted_from_the_padding_index_the_configuration_is_right(tmp_path, bert):
    import torch
    from transformers import RobertaConfig, RobertaModel

    base = edited(bert, tmp_path / "base", config={}, tokenizer={"pad_token": "[UNK]"})
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = RobertaConfig(vocab_size=64, max_position_embeddings=20, pad_token_id=2, **sizes)
    RobertaModel(config).save_pretrained(base)
    task = registry.build("task", {"name": "text_classification", "labels": ["a", "b"]})
    loaded = load(base, task)
    assert loaded.processor.pad_token_id == loaded.model.config.pad_token_id == 2
    assert loaded.limit == 17
    positions._places.cache_clear()  # the first to ask is often one that makes a skeleton
    bare = skeleton(base, task)
    assert (bare.processor.pad_token_id, bare.limit) == (2, 17)
