"""A BERT as one file of llama.cpp: its words, weights, head, labels and pooling are read back out of the file alone."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest

import weitiao as wt
from tests.compared import paired, queries
from tests.conftest import reviews, write_csv, write_jsonl
from tests.export import exports
from weitiao.core import registry
from weitiao.core.contracts import Record
from weitiao.core.errors import WeitiaoError
from weitiao.export import gguf_words
from weitiao.export.asked import Asked
from weitiao.export.differs import Differs
from weitiao.export.forms.gguf import Gguf
from weitiao.export.proof import without_misread
from weitiao.models import folders
from weitiao.models.opening import resolve

pytestmark = pytest.mark.whole

READER = "llama.cpp" if find_spec("llama_cpp") else "numpy"


def base(folder: Path) -> str:
    """A BERT of two layers that reads word pieces; it has more words than its tokenizer."""
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    marks = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    letters = [chr(code) for code in range(ord("!"), ord("~") + 1)] + [*"这部电影的结尾出人意料很好"]
    texts = [row["text"] for row in reviews(80)]
    whole = sorted({word for text in texts for word in text.split()})
    words = dict.fromkeys([*marks, *letters, *(f"##{letter}" for letter in letters), *whole, "##ing"])
    vocab = {word: place for place, word in enumerate(words)}
    inner = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]", max_input_chars_per_word=100))
    inner.normalizer = normalizers.BertNormalizer()
    inner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    inner.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    names = zip(("pad", "unk", "cls", "sep", "mask"), marks, strict=True)
    special = {f"{name}_token": mark for name, mark in names}
    PreTrainedTokenizerFast(tokenizer_object=inner, model_max_length=64, **special).save_pretrained(folder)
    torch.manual_seed(0)
    sizes = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4}
    model = BertModel(BertConfig(vocab_size=len(vocab) + 3, max_position_embeddings=64, **sizes))
    for weight in model.parameters():  # norms and biases begin alike, and would hide each other
        weight.data += 0.2 * torch.randn_like(weight)
    model.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def toy(tmp_path_factory) -> str:
    return base(tmp_path_factory.mktemp("pieces"))


@pytest.fixture(scope="module")
def labels(toy, tmp_path_factory) -> wt.Run:
    """A classifier, written exactly and in four bits."""
    folder = tmp_path_factory.mktemp("labels")
    rows = [{**row, "label": {"bad": "neg", "good": "pos"}[row["label"]]} for row in reviews(80)]
    made = exports.trained(toy, "text_classification", write_csv(folder / "r.csv", rows), folder / "run")
    for dtype in ("fp32", "int4"):
        made.export("gguf", dtype=dtype)
    return made


@pytest.fixture(scope="module")
def vectors(toy, tmp_path_factory) -> wt.Run:
    """A model of vectors."""
    folder = tmp_path_factory.mktemp("vectors")
    made = exports.trained(
        toy, "embedding", write_jsonl(folder / "r.jsonl", paired(60)), folder / "run", method="full"
    )
    made.export("gguf")
    return made


def facts(file: Path) -> dict:
    from gguf import GGUFReader

    return {name: field.contents() for name, field in GGUFReader(file).fields.items()}


@pytest.mark.parametrize("kind", ["labels", "vectors"])
def test_a_bert_is_read_back_out_of_the_file_and_answers_alike(kind, request):
    run = request.getfixturevalue(kind)
    told = json.loads((run.path / "export/gguf/parity.json").read_text())
    assert told["apart"] < 2e-2  # GELU by tanh
    assert told["argmax"] == told["told_alike"] == 1
    assert told["read_alike"] > told["rows"]
    assert told["answers_alike"] >= told["read_alike"]
    assert told["reader"] == READER
    assert "misread" not in told


def test_labels_pooling_and_words_stand_in_the_file_as_llama_cpp_reads_them(labels, vectors):
    of_labels, of_vectors = (facts(run.path / "export/gguf/model.gguf") for run in (labels, vectors))
    assert of_labels["bert.classifier.output_labels"] == ["neg", "pos"]
    assert (of_labels["bert.pooling_type"], of_vectors["bert.pooling_type"]) == (4, 1)  # RANK, MEAN
    assert of_labels["bert.attention.causal"] is False
    assert of_labels["tokenizer.ggml.model"] == "bert"
    words = dict(zip(of_labels["tokenizer.ggml.tokens"], of_labels["tokenizer.ggml.token_type"], strict=True))
    assert (words["[CLS]"], words["ing"], words["\u2581film"]) == (
        3,
        1,
        1,
    )  # a mark, inside a word, at its begin
    assert list(words.values())[-3:] == [5, 5, 5]  # the model's words beyond those of the tokenizer
    # Of a head Ollama asks nothing; of vectors the file says all.
    assert not (labels.path / "export/gguf/Modelfile").exists()
    lines = (vectors.path / "export/gguf/Modelfile").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if not line.startswith("#")] == ["FROM ./model.gguf"]


def test_large_weights_are_rounded_and_what_llama_cpp_adds_or_heads_is_not(labels):
    from gguf import GGUFReader

    tensors = GGUFReader(labels.path / "export/gguf-int4/model.gguf").tensors
    kinds = {each.name: each.tensor_type.name for each in tensors}
    assert kinds["blk.1.ffn_down.weight"] == "Q4_0"
    assert kinds["token_embd.weight"] == "Q8_0"
    exact = ("position_embd.weight", "token_types.weight", "cls.weight", "cls.output.weight", "cls.bias")
    assert {kinds[name] for name in exact} == {"F32"}


ALIKE = (
    "Naïve café 🙂 №5 — “ok”\u200b e\u0301",
    "这部电影的结尾出人意料；不过 5€ 太贵了！",
    "日本語 パーティー が",
    "İstanbul STRASSE ß Łódź Đường",
    "<br />don't #1 ~ ^ ` | \ufeff½ ① ﬁ Ａ",
    "[CLS] spelt [SEP] out [MASK]",
    "العربية لُغَة עִבְרִית Ελληνικά ไทย",
    "x" * 100,
    "word " * 300,
    "",
)
OTHERWISE = ("한국어 문장", "हिन्दी में", "x" * 101, "a\x85b", "5\u20e3")


def test_word_pieces_of_a_real_tokenizer_are_cut_alike_or_known_to_be_cut_otherwise():
    """Both lists are what llama.cpp itself said (llama-cpp-python 0.3.36)."""
    misreads = gguf_words.misreads(folders.tokenizer(resolve("minilm-l6")))
    assert not [text for text in ALIKE if misreads(text)]
    assert [text for text in OTHERWISE if misreads(text)] == list(OTHERWISE)


def test_few_rows_may_be_cut_otherwise_and_are_told():
    def asked(count: int) -> tuple[Asked, dict]:
        texts = ["x" * 101] * count + ["film"] * (100 - count)
        records = [Record("f.csv", line, {"text": text}) for line, text in enumerate(texts, start=2)]
        return Asked("validation", records, [], 100, []), {row: [(text,)] for row, text in enumerate(texts)}

    misreads = gguf_words.misreads(folders.tokenizer(resolve("minilm-l6")))
    made, rows = asked(2)
    assert without_misread(made, rows, misreads) == 2
    assert len(rows) == 98
    with pytest.raises(Differs, match=r"f\.csv.*\(3 / 100\)"):
        without_misread(*asked(3), misreads)


def edited(change):
    """A fault in the file, at its place."""

    def edit(folder: Path) -> None:
        from gguf import GGUFReader

        reader = GGUFReader(folder / "model.gguf", "r+")
        change(reader)
        reader.data.flush()

    return edit


def test_faults_planted_in_the_file_are_each_found_by_their_stage(labels, vectors):
    def transposed(reader) -> None:
        rows = next(each for each in reader.tensors if each.name == "blk.0.attn_output.weight").data
        rows[:] = rows.T.copy()

    def other_order(reader) -> None:
        field = reader.get_field("bert.classifier.output_labels")
        first, second = (field.parts[place] for place in field.data)
        first[:], second[:] = second.copy(), first.copy()

    def other_words(reader) -> None:
        field = reader.get_field("tokenizer.ggml.tokens")
        places = {bytes(field.parts[place]): place for place in field.data}
        first, second = (field.parts[places[f"\u2581{word}".encode()]] for word in ("film", "plot"))
        first[:], second[:] = second.copy(), first.copy()

    def other_pooling(reader) -> None:
        reader.get_field("bert.pooling_type").parts[-1][0] = 2

    for run, faults in (
        (labels, {"transposed": transposed, "order": other_order, "words": other_words}),
        (vectors, {"pooling": other_pooling}),
    ):
        for name, change in faults.items():
            exports.planted(run.path / "export/gguf", name, edited(change))
        with pytest.raises(WeitiaoError) as caught:
            wt.verify(run)
        said = str(caught.value.values["what"])
        for name, stage in (
            ("transposed", "logits"),
            ("order", "labels"),
            ("words", "ids"),
            ("pooling", "labels"),
        ):
            assert (f"{name}: {stage}" in said) == (name in faults), said
        assert "gguf: " not in said


def as_task(run: wt.Run, task: str, **words) -> wt.Run:
    """A run of another task on the same model and rows."""
    other = replace(run)
    other.__dict__["task"] = registry.build("task", {"name": task, **words})
    return other


def test_what_llama_cpp_does_not_compute_is_refused_by_name(toy, labels, vectors, llama, tmp_path):
    refuses = Gguf().refuses
    assert "token" in refuses(as_task(labels, "token_classification"))
    assert "max" in refuses(as_task(vectors, "embedding", pooling="max"))
    assert not refuses(as_task(vectors, "embedding", pooling="cls"))
    rows = [{**row, "labels": row.pop("scores")} for row in queries(60)]
    file = write_jsonl(tmp_path / "r.jsonl", rows)
    ranks = exports.trained(toy, "reranking", file, tmp_path / "ranks", max_steps=1)
    with pytest.raises(WeitiaoError, match="two texts") as caught:
        ranks.export("gguf")
    assert caught.value.code == "no_such_form"
    assert not (ranks.path / "export").exists()
    file = write_csv(tmp_path / "r.csv", reviews(40))
    spoken = exports.trained(llama, "text_classification", file, tmp_path / "spoken", max_steps=1)
    assert "llama" in refuses(spoken)
    assert "bert" in refuses(as_task(labels, "language_modeling"))
