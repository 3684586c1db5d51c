"""What families call their dropout, whether they have any, and that setting it changes the model."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
import transformers
from torch import nn

import weitiao as wt
from weitiao.core import registry
from weitiao.core.errors import WeitiaoError
from weitiao.models import dropouts, load

NAMES = {
    "Bert": ["attention_probs_dropout_prob", "classifier_dropout", "hidden_dropout_prob"],
    "DistilBert": ["attention_dropout", "dropout", "qa_dropout", "seq_classif_dropout"],
    "GPT2": ["attn_pdrop", "embd_pdrop", "resid_pdrop", "summary_first_dropout"],
    "Llama": ["attention_dropout"],
    "OPT": ["attention_dropout", "dropout"],
    "T5": ["classifier_dropout", "dropout_rate"],
    "Mamba": [],
}


@pytest.mark.parametrize("family", NAMES)
def test_what_families_call_it(family):
    config = getattr(transformers, f"{family}Config")()
    assert dropouts.names(config) == NAMES[family]
    dropouts.put(config, 0.3)
    assert {getattr(config, name) for name in NAMES[family]} <= {0.3}


def made(config) -> nn.Module:
    with torch.device("meta"):
        return transformers.AutoModelForSequenceClassification.from_config(config)


@pytest.mark.parametrize("family", ["Bert", "Llama", "GPT2", "T5", "DistilBert"])
def test_is_there_any(family):
    config = getattr(transformers, f"{family}Config")()
    for share in (0.0, 0.2):
        dropouts.put(config, share)
        if family == "GPT2":
            config.pad_token_id = 0
        assert dropouts.is_there(made(config)) == bool(share)


def test_dropout_of_a_method_counts_and_that_of_a_head_that_is_not_there_does_not():
    config = transformers.GPT2Config(attn_pdrop=0, embd_pdrop=0, resid_pdrop=0, summary_first_dropout=0.1)
    with torch.device("meta"):
        model = transformers.AutoModelForCausalLM.from_config(config)
    assert not dropouts.is_there(model)
    model.add_module("lora", nn.Dropout(0.05))
    assert dropouts.is_there(model)
    model.lora = nn.LSTM(2, 2, 2, dropout=0.1, device="meta")
    assert dropouts.is_there(model)


@pytest.mark.parametrize("share", [0.0, 0.4])
def test_a_loaded_model_drops_that_share(bert, share):
    task = registry.build("task", {"name": "text_classification", "labels": ["a", "b"]})
    for found in (load.load(bert, task, dropout=share), load.skeleton(bert, task, dropout=share)):
        assert {m.p for m in found.model.modules() if isinstance(m, nn.Dropout)} == {share}
    assert load.load(bert, task).model.config.hidden_dropout_prob == 0.1


def test_attention_over_packed_rows_drops_out(llama):
    """Llama has no dropout but this one, which is a number handed to our attention function."""
    from tests.tasks.test_packed import examples
    from weitiao.tasks.parts import packed

    task = registry.build("task", {"name": "sft"})
    batch = packed.pack(examples(4), range(4))
    for share in (0.0, 0.5):
        model = load.load(llama, task, dropout=share).model.train()
        with torch.no_grad():
            one, two = (packed.token_losses(model, batch) for _ in range(2))
        assert torch.equal(one, two) == (share == 0)


def test_a_model_without_any_refuses_it_before_data_are_read(tmp_path, llama):
    folder = tmp_path / "mamba"
    config = transformers.MambaConfig(vocab_size=64, hidden_size=8, num_hidden_layers=1, state_size=4)
    transformers.MambaForCausalLM(config).save_pretrained(folder)
    transformers.AutoTokenizer.from_pretrained(llama).save_pretrained(folder)
    recipe = {
        "model": str(folder),
        "task": "sft",
        "data": {"train": "absent.jsonl"},
        "output_dir": str(tmp_path / "run"),
    }
    with pytest.raises(WeitiaoError, match=r"unfit_training.*train.dropout.*mamba models have no dropout"):
        wt.train(recipe, overrides=["train.dropout=0.1", "method=full"])


def test_the_saved_configuration_says_what_it_was_trained_with(classify):
    run = wt.train(classify(method="full", max_steps=2, dropout=0.25))
    assert run.folder.json("model/config.json")["hidden_dropout_prob"] == 0.25


def test_a_base_that_drops_everything_says_so(bert, tmp_path):
    task = registry.build("task", {"name": "text_classification", "labels": ["a", "b"]})
    folder = shutil.copytree(bert, tmp_path / "base")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"hidden_dropout_prob": 1.0}))
    (said,) = [text for text in load.load(str(folder), task).notices if "drops out" in text]
    assert "hidden_dropout_prob: 1" in said
    assert not any("drops out" in text for text in load.load(str(folder), task, dropout=0.1).notices)
    assert not any("drops out" in text for text in load.load(bert, task).notices)
