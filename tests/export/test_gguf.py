"""A model as one file of llama.cpp: read back by Transformers and by llama.cpp's binding, it goes on as the judged one."""

from __future__ import annotations

import json
import re
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import weitiao as wt
from tests.conftest import CHATML, dialogues, write_jsonl
from tests.export import exports
from weitiao.core.errors import WeitiaoError
from weitiao.export import gguf_file, gguf_words, ollama

pytestmark = pytest.mark.whole

READER = "llama.cpp" if find_spec("llama_cpp") else "transformers"


def pieces(folder: Path, template: str, *, digits: bool = False) -> None:
    """A byte-level tokenizer of a few hundred pieces, as GPT-2's and its kin are."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(models.BPE())
    words = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    inner.pre_tokenizer = (
        pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), words]) if digits else words
    )
    inner.decoder = decoders.ByteLevel()
    marks = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=300, special_tokens=marks, initial_alphabet=alphabet)
    texts = [each for row in dialogues(40) for each in row.values()]
    inner.train_from_iterator(texts, trainer)
    made = PreTrainedTokenizerFast(
        tokenizer_object=inner,
        model_max_length=64,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        unk_token="<|endoftext|>",
        additional_special_tokens=["<|im_start|>"],
    )
    made.chat_template = template
    made.save_pretrained(folder)


def families() -> dict:
    """A small model of each family that is written, with more words than its tokenizer."""
    import transformers as tf

    words = {
        "vocab_size": 320,
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 256,
        "bos_token_id": None,
        "eos_token_id": 2,
        "pad_token_id": 0,
    }
    theta = {"rope_parameters": {"rope_type": "default", "rope_theta": 5000.0}}
    return {
        "llama": tf.LlamaConfig(**words, **theta, tie_word_embeddings=True),
        "mistral": tf.MistralConfig(**words, sliding_window=None),
        "qwen2": tf.Qwen2Config(**words, tie_word_embeddings=False),
        "qwen3": tf.Qwen3Config(**words, head_dim=128, **theta),
    }


@pytest.fixture(scope="module")
def speaker(tmp_path_factory) -> wt.Run:
    """A chat model that was tuned a little, and written."""
    import torch
    from transformers import AutoModelForCausalLM

    folder = tmp_path_factory.mktemp("speaker")
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(families()["llama"]).save_pretrained(folder / "base")
    pieces(folder / "base", CHATML, digits=True)
    rows = write_jsonl(folder / "d.jsonl", dialogues(40))
    made = exports.trained(str(folder / "base"), "sft", rows, folder / "run")
    for dtype in ("fp32", "int4"):
        made.export("gguf", dtype=dtype)
    return made


def test_a_chat_model_is_read_back_and_goes_on_token_for_token(speaker):
    told = json.loads((speaker.path / "export/gguf/parity.json").read_text())
    assert told["apart"] < 1e-4
    assert told["argmax"] == 1
    assert told["prompts"] == told["spoken_alike"] > 0
    assert told["reader"] == READER


@pytest.fixture
def written(tmp_path):
    """A model of a family, and the file that it was written into."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    def write(family: str, kind: str = "F32"):
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(families()[family]).eval()
        for weight in model.parameters():  # norms and biases begin alike, and would hide each other
            weight.data += 0.1 * torch.randn_like(weight)
        model.save_pretrained(tmp_path / family)
        pieces(tmp_path / family, CHATML)
        own = AutoTokenizer.from_pretrained(tmp_path / family)

        def words(writer, size):
            gguf_words.words(writer, size, own, ends=[own.eos_token_id])

        file = tmp_path / family / f"{kind}.gguf"
        gguf_file.written(tmp_path / family, file, kind, name="toy", words=words)
        return model, file

    return write


@pytest.mark.parametrize("family", families())
def test_transformers_reads_the_same_model_out_of_the_file(written, family):
    import torch
    from transformers import AutoModelForCausalLM

    model, file = written(family)
    read = AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, dtype=torch.float32).eval()
    ids = torch.arange(60).view(2, 30)
    with torch.inference_mode():
        assert torch.allclose(model(ids).logits, read(ids).logits, atol=1e-5)


def test_words_merges_and_template_in_the_file_are_those_of_the_tokenizer(written):
    """Transformers makes a tokenizer of the file alone."""
    from gguf import GGUFReader
    from transformers import AutoTokenizer

    _, file = written("qwen2")
    own = AutoTokenizer.from_pretrained(file.parent)
    read = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
    for text in ("<|im_start|>user\nhow is the film ?<|im_end|>", "  two\n\n\tlines 42 😀é", "好的"):
        assert read(text, add_special_tokens=False)["input_ids"] == own(text)["input_ids"]
    facts = {name: field.contents() for name, field in GGUFReader(file).fields.items()}
    assert facts["tokenizer.chat_template"] == own.chat_template
    assert facts["tokenizer.ggml.eos_token_id"] == own.eos_token_id
    assert facts["tokenizer.ggml.pre"] == gguf_words.cut(own)
    assert facts["tokenizer.ggml.add_bos_token"] is False
    kinds = dict(zip(facts["tokenizer.ggml.tokens"], facts["tokenizer.ggml.token_type"], strict=True))
    assert (kinds["<|im_end|>"], kinds["e"], kinds["[PAD319]"]) == (3, 1, 5)


@pytest.mark.parametrize(("kind", "most"), [("F16", 1e-3), ("Q8_0", 0.02), ("Q4_0", 0.2)])
def test_large_weights_are_rounded_and_norms_are_not(written, kind, most):
    from gguf import GGUFReader
    from gguf.quants import dequantize

    model, file = written("llama", kind)
    tensors = {each.name: each for each in GGUFReader(file).tensors}
    assert tensors["blk.0.attn_norm.weight"].tensor_type.name == "F32"
    assert tensors["token_embd.weight"].tensor_type.name == (kind if kind != "Q4_0" else "Q8_0")
    found, own = tensors["blk.0.ffn_up.weight"], model.model.layers[0].mlp.up_proj.weight.detach().numpy()
    assert found.tensor_type.name == kind
    assert 0 < np.abs(dequantize(found.data, found.tensor_type) - own).max() < most * np.abs(own).max()


def test_faults_planted_in_the_file_are_each_found(speaker):
    from gguf import GGUFReader

    form = speaker.path / "export/gguf"

    def other_end(folder: Path) -> None:
        reader = GGUFReader(folder / "model.gguf", "r+")
        reader.get_field("tokenizer.ggml.eos_token_id").parts[-1][0] = 9
        reader.data.flush()

    def other_rows(folder: Path) -> None:
        """Queries in Transformers' order of rows."""
        reader = GGUFReader(folder / "model.gguf", "r+")
        rows = next(each for each in reader.tensors if each.name == "blk.0.attn_q.weight").data
        rows[:] = rows.reshape(4, 8, 2, 64).swapaxes(1, 2).reshape(64, 64)
        reader.data.flush()

    exports.planted(form, "ends", other_end)
    exports.planted(form, "rows", other_rows)
    with pytest.raises(WeitiaoError) as caught:
        wt.verify(speaker)
    said = str(caught.value.values["what"])
    assert "ends: ends" in said
    assert "rows: words" in said


def go(template: str, turns: list[dict[str, str]]) -> str:
    """A template of Go as Ollama writes it, as far as ours need it."""
    head, _, loop = template.partition("{{ range .Messages }}")
    with_system, _, without = (
        head.removeprefix("{{ if .System }}").removesuffix("{{ end }}").partition("{{ else }}")
    )
    said = with_system if turns[0]["role"] == "system" else without
    for turn in turns:
        found = re.search(rf'if eq \.Role "{turn["role"]}" }}}}(.*?){{{{ (?:else|end)', loop, re.DOTALL)
        said += found[1].replace("{{ .Content }}", turn["content"])
    return said


@pytest.mark.parametrize("name", ["chatml", "smollm2", "llama3", "qwen2.5"])
def test_ollama_writes_a_conversation_as_the_model_learnt_it(name, tmp_path):
    from transformers import AutoTokenizer

    file = Path(__file__).parent.parent / f"data/templates/{name}.jinja"
    pieces(tmp_path, file.read_text(encoding="utf-8"))
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    found = ollama.turns(tokenizer, begins=False)
    system, question, answer = (
        {"role": role, "content": words}
        for role, words in (("system", "Be brief."), ("user", "Why?\n\nSo?"), ("assistant", "So."))
    )
    for turns in ([question], [system, question], [question, answer, question, answer, question]):
        asked = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        assert go(found.go(), turns) == asked


def test_a_template_that_is_more_than_turns_is_left_to_ollama(tmp_path):
    from transformers import AutoTokenizer

    numbered = "{% for m in messages %}{{ loop.index }}: {{ m['content'] }}\n{% endfor %}>"
    pieces(tmp_path, numbered)
    assert ollama.turns(AutoTokenizer.from_pretrained(tmp_path), begins=False) is None


def test_the_modelfile_says_where_an_answer_ends(speaker):
    said = (speaker.path / "export/gguf/Modelfile").read_text(encoding="utf-8")
    assert "FROM ./model.gguf\n" in said
    assert 'PARAMETER stop "<|im_end|>"\n' in said
    assert '{{ else if eq .Role "user" }}' in said


@pytest.mark.parametrize(
    ("kind", "words", "said"),
    [
        ("GPT2Config", {}, "gpt2"),
        ("LlamaConfig", {"mlp_bias": True}, "mlp_bias"),
        ("MistralConfig", {"sliding_window": 16}, "sliding_window"),
        ("Qwen2Config", {"use_sliding_window": True}, "use_sliding_window"),
        (
            "LlamaConfig",
            {"rope_parameters": {"rope_type": "linear", "rope_theta": 1e4, "factor": 2.0}},
            "rope_type",
        ),
    ],
)
def test_a_family_or_its_kin_that_is_not_written_is_refused_by_name(kind, words, said):
    import transformers

    assert said in gguf_file.why_not(getattr(transformers, kind)(**words), writes=True)


def test_how_text_is_cut_is_known_by_name(speaker, llama):
    from transformers import AutoTokenizer

    assert gguf_words.cut(speaker.tuned.processor) == "smollm"
    assert gguf_words.cut(AutoTokenizer.from_pretrained(llama)) == ""
    assert "gpt-2" in gguf_words.why_not(AutoTokenizer.from_pretrained(llama))
