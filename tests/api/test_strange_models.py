"""Folders that are no model, another's, or half of one: refused by name in `check` as in `train`, with the way out."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import transformers as T
from safetensors.torch import load_file, save_file

import weitiao as wt
from tests.models.families import BOTH, T5, built, saved
from weitiao import api
from weitiao.core.errors import WeitiaoError
from weitiao.core.run import open_run
from weitiao.core.why import reason
from weitiao.forecast.looked import fitting
from weitiao.models import load
from weitiao.models.opening import resolve

pytestmark = pytest.mark.whole  # each strange model, opened

LONG = {**BOTH, "max_encoder_position_embeddings": 64, "max_decoder_position_embeddings": 64}


@pytest.fixture(scope="module")
def sound(tmp_path_factory) -> dict[str, str]:
    """Toys by name, saved once."""
    folder = tmp_path_factory.mktemp("sound")
    torch.manual_seed(0)
    made = {
        "bert": built("bert", "SequenceClassification"),
        "llama": built("llama", "CausalLM"),
        "mamba": built("mamba", "CausalLM"),
        "t5": T.T5ForConditionalGeneration(T.T5Config(**T5)),
        "led": T.LEDForConditionalGeneration(T.LEDConfig(**LONG)),
    }
    return {name: saved(model, folder / name) for name, model in made.items()}


@pytest.fixture
def folder(sound, tmp_path) -> Callable[[str], Path]:
    """A copy of a toy, to be spoilt."""
    return lambda name: Path(shutil.copytree(sound[name], tmp_path / "base"))


@pytest.fixture
def refused(classify, converse):
    """What `check` and `train` say of a model, which must be the same."""

    def said(model, *, speaks: bool = False, **changes) -> WeitiaoError:
        tree = (converse if speaks else classify)(max_steps=1) | {"model": str(model)} | changes
        told = []
        for verb in (fitting, api.train):
            with pytest.raises(WeitiaoError) as caught:
                verb(tree)
            told.append(caught.value)
        assert str(told[0]) == str(told[1])
        for language in ("en", "zh"):
            assert "{" not in told[0].text(language)
        return told[0]

    return said


def configure(folder: Path, **words) -> None:
    known = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(known | words))


def reweigh(folder: Path, change) -> None:
    weights = load_file(folder / "model.safetensors")
    save_file(change(weights), folder / "model.safetensors", {"format": "pt"})


@pytest.mark.parametrize(
    ("name", "speaks", "has"),
    [("t5", True, "AutoModelForSequenceClassification"), ("led", False, "AutoModelForSeq2SeqLM")],
)
def test_a_family_without_such_a_head(sound, refused, name, speaks, has):
    said = refused(sound[name], speaks=speaks)
    assert said.code == "no_such_head"
    assert has in str(said)


def test_a_family_newer_than_transformers(folder, refused):
    base = folder("llama")
    configure(base, model_type="qwen9", transformers_version="9.9.0")
    said = refused(base, speaks=True)
    assert (said.code, said.values["kind"], said.values["made"]) == ("unknown_family", "qwen9", "9.9.0")
    configure(base, auto_map={"AutoConfig": "configuration_mine.Config"})
    assert refused(base, speaks=True).code == "needs_code"


@pytest.mark.parametrize(
    ("name", "key", "value", "theirs"),
    [("llama", "vocab_size", 100, "64 x 32"), ("bert", "intermediate_size", 128, "64")],
)
def test_weights_of_another_size_than_their_configuration(folder, refused, name, key, value, theirs):
    base = folder(name)
    configure(base, **{key: value})
    said = refused(base, speaks=name == "llama")
    assert (said.code, said.values["theirs"]) == ("sizes_disagree", theirs)
    assert str(value) in said.values["ours"]


def test_a_body_that_is_not_there_whole(folder, refused):
    base, gone = folder("llama"), "model.layers.1.mlp.up_proj.weight"
    reweigh(base, lambda weights: {name: weight for name, weight in weights.items() if name != gone})
    said = refused(base, speaks=True)
    assert (said.code, said.values["names"]) == ("lost_weights", gone)


def test_a_head_that_reads_none_of_its_family_s_files(folder, refused, tmp_path):
    """Transformers' heads for questions look for `transformer`, where Llama, Qwen and their kin write `model`."""
    asked = {"question": "Where?", "context": "Ada lived in London.", "answers": ["London"]}
    file = tmp_path / "asked.json"
    file.write_text(json.dumps([asked | {"context": f"{asked['context']} {n}"} for n in range(30)]))
    words = {"task": "question_answering", "data": {"train": [str(file)]}}
    base = folder("llama")
    said = refused(base, **words)
    assert (said.code, said.values["theirs"]) == ("head_reads_no_body", "model")
    suits = refused(base, task="seq2seq").values["suits"].split(", ")
    assert "sft" in suits
    assert "question_answering" not in suits
    # One that this head has written is whole.
    T.AutoModelForQuestionAnswering.from_config(T.AutoConfig.from_pretrained(base)).save_pretrained(base)
    assert fitting({"model": str(base), "output_dir": str(tmp_path / "run"), **words})


def test_weights_under_other_names_are_named(folder, refused):
    base = folder("llama")
    reweigh(base, lambda weights: {f"module.{name}": weight for name, weight in weights.items()})
    said = refused(base, speaks=True)
    assert said.code == "lost_weights"
    assert "module.lm_head.weight" in str(said)


def test_a_bias_that_the_configuration_does_not_speak_of_is_said_and_another_head_is_not(
    folder, converse, monkeypatch, tmp_path
):
    monkeypatch.setenv("WEITIAO_LANG", "en")
    base, tree = folder("llama"), converse(max_steps=1, save_strategy="no")
    texts = tmp_path / "texts.jsonl"
    texts.write_text("".join(f'{{"text": "{"ab" * (1 + i % 9)} {i}"}}\n' for i in range(60)))
    tree |= {"task": "language_modeling", "data": {"train": [str(texts)], "split": {"validation": 0.2}}}
    extra = {
        "model.layers.0.self_attn.q_proj.bias": torch.ones(32),
        "model.layers.1.self_attn.q_norm.weight": torch.ones(8),
        "model.layers.1.self_attn.rotary_emb.inv_freq": torch.ones(4),
        "value_head.weight": torch.ones(1, 32),
    }
    reweigh(base, lambda weights: weights | extra)
    tree["model"] = str(base)
    *_, notices = fitting(tree)
    said = [text for text in notices if "have no place in the model" in text]
    assert len(said) == 1
    assert "(2): model.layers.0.self_attn.q_proj.bias, model.layers.1.self_attn.q_norm.weight." in said[0]
    told: list[str] = []
    api.train(tree, tell=lambda event, **facts: told.append(facts.get("text", "")))
    assert said[0] in told


@pytest.mark.parametrize("learns", ["reward", "prefer"])
def test_a_template_that_never_shows_where_an_answer_ends_is_said_before_training(
    learns, llama, tmp_path, request
):
    tree, base = request.getfixturevalue(learns)(), Path(shutil.copytree(llama, tmp_path / "base"))
    *_, sound = fitting(tree)
    template = base / "chat_template.jinja"
    template.write_text(template.read_text().replace("<|im_end|>", ""))
    *_, found = fitting(tree | {"model": str(base)})
    assert [text for text in found if text not in sound] == [reason("no_end_written")]


def test_a_file_in_the_place_of_a_folder(sound, refused, tmp_path):
    said = refused(Path(sound["bert"], "model.safetensors"))
    assert (said.code, str(said.values["folder"])) == ("lone_file", sound["bert"])
    resolve(str(said.values["folder"]))
    (tmp_path / "x.gguf").write_bytes(b"GGUF")
    assert refused(tmp_path / "x.gguf").code == "lone_file"


@pytest.mark.parametrize(
    ("name", "word"), [("tf_model.h5", "from_tf=True"), ("flax_model.msgpack", "from_flax=True")]
)
def test_weights_of_an_older_library_are_refused_with_the_way_to_convert_them(
    sound, refused, tmp_path, name, word
):
    folder = Path(shutil.copytree(sound["bert"], tmp_path / "older"))
    (folder / "model.safetensors").rename(folder / name)
    said = refused(folder)
    assert (said.code, said.values["found"]) == ("older_weights", name)
    assert word in said.text()


def test_an_original_checkpoint_is_told_from_other_folders(refused, tmp_path):
    (tmp_path / "bert_config.json").write_text("{}")
    (tmp_path / "bert_model.ckpt.index").write_bytes(b"")
    said = refused(tmp_path)
    assert said.code == "no_such_model"
    assert "TensorFlow" in said.text()


@pytest.mark.parametrize("below", ["0_Transformer", "snapshots/0a1b"])
def test_a_folder_around_a_model_names_it_and_that_opens(sound, refused, classify, tmp_path, below):
    shutil.copytree(sound["bert"], tmp_path / "around" / below)
    (tmp_path / "around" / "1_Pooling").mkdir()
    (tmp_path / "around" / "1_Pooling" / "config.json").write_text('{"pooling_mode_mean_tokens": true}')
    said = refused(tmp_path / "around")
    assert (said.code, said.values["names"]) == ("model_inside", str(tmp_path / "around" / below))
    fitting(classify() | {"model": str(said.values["first"])})


@pytest.mark.parametrize("method", ["gptq", "awq"])
def test_quantised_weights_that_need_another_library(folder, refused, method):
    base = folder("llama")
    configure(base, quantization_config={"quant_method": method, "bits": 4, "group_size": 128})
    said = refused(base, speaks=True)
    assert (said.code, said.values["kind"]) == ("quantized_base", method)


@pytest.mark.parametrize("text", ["{not json", "[1, 2]", '"bert"'])
def test_a_configuration_that_is_no_json_object(folder, refused, text):
    base = folder("bert")
    (base / "config.json").write_text(text)
    assert refused(base).code == "broken_file"


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ({"model_type": ["llama"]}, "unknown_family"),
        ({"num_attention_heads": 5}, "unreadable_model"),
        ({"quantization_config": "gptq"}, "unreadable_model"),
    ],
)
def test_a_configuration_of_nonsense(folder, refused, words, code):
    base = folder("llama")
    configure(base, **words)
    assert refused(base, speaks=True).code == code


@pytest.mark.parametrize("asked", [["out_proj"], ["in_proj", "x_proj"], r".*mixer\..*"])
def test_layers_that_fused_code_passes_by_are_refused_by_name(sound, refused, asked):
    said = refused(sound["mamba"], speaks=True, method={"name": "lora", "r": 2, "target_modules": asked})
    assert said.code == "bypassed_layers"
    assert said.values["others"] == "in_proj"


def test_a_model_in_the_place_of_a_run(sound, classify, tmp_path, monkeypatch):
    run = api.train(classify(max_steps=1, save_strategy="no"))
    merged = run.merge(tmp_path / "merged")
    for place, code in ((merged, "model_for_run"), (run.folder.model, "inside_run"), (tmp_path, "no_run")):
        with pytest.raises(WeitiaoError) as caught:
            wt.load(place)
        assert caught.value.code == code
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WeitiaoError) as caught:
        wt.load(os.path.relpath(run.folder.model))
    assert open_run(caught.value.values["run"]).path.samefile(run.path)
    (told,) = T.pipeline("text-classification", str(merged))("a film")
    assert told["label"] in run.task.labels, "the way out of the message"


@pytest.mark.parametrize("side", ["left", "right"])
def test_rows_are_filled_up_on_the_right_whatever_the_tokenizer_says(side, bert, tmp_path):
    """BERT counts positions from the first token, padding or not: on the left its rows would move."""
    from weitiao.core import registry
    from weitiao.core.contracts import Record
    from weitiao.evaluate.predict import predict

    base = Path(shutil.copytree(bert, tmp_path / "base"))
    tokens = json.loads((base / "tokenizer_config.json").read_text()) | {"padding_side": side}
    (base / "tokenizer_config.json").write_text(json.dumps(tokens))
    task = registry.build("task", {"name": "text_classification", "labels": ["bad", "good"]})
    loaded = load.load(str(base), task)
    assert loaded.processor.padding_side == side
    texts = ["a", "a film that is as good as a book", "dull and long"]
    rows = list(
        task.encode([Record("t", i, {"text": t}) for i, t in enumerate(texts)], loaded.processor, limit=64)
    )
    together = predict(loaded, task, rows, batch_size=3)
    for row, told in zip(rows, together, strict=True):
        ids = torch.tensor([list(row.inputs["input_ids"])])
        with torch.no_grad():
            shares = loaded.model(input_ids=ids).logits[0].softmax(-1).tolist()
        assert list(told["scores"].values()) == pytest.approx(shares, abs=1e-5)
