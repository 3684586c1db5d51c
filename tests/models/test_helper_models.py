"""Models that help to make rows, on toys: masked words and translations, and what is refused."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path
from random import Random

import pytest
import torch

from weitiao.core import registry
from weitiao.core.contracts import Record
from weitiao.core.errors import WeitiaoError
from weitiao.data import shapes
from weitiao.data.augment import Helpers, masked, steps
from weitiao.data.augment.make import Made, augment
from weitiao.models import helper_models
from weitiao.models.assets import catalog

SPECIALS = {
    "unk_token": "[UNK]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "pad_token": "[PAD]",
    "mask_token": "[MASK]",
    "bos_token": "[CLS]",
    "eos_token": "[SEP]",
}
NAMES = list(dict.fromkeys(SPECIALS.values()))
WORDS = ["the", "film", "was", "dull", "great", "very", "long", "##ing", ",", "好", "坏"]


def tokenizer(folder, *, limit: int = 32) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    vocab = {word: i for i, word in enumerate([*NAMES, *WORDS])}
    inner = Tokenizer(models.WordLevel(vocab, unk_token="[UNK]"))
    # As BERT does it: spaces part words, signs and Chinese characters stand alone, `[MASK]` is one token.
    inner.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.BertPreTokenizer(),
            pre_tokenizers.Split("好", "isolated"),
            pre_tokenizers.Split("坏", "isolated"),
        ]
    )
    marks = [("[CLS]", vocab["[CLS]"]), ("[SEP]", vocab["[SEP]"])]
    inner.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=marks)
    made = PreTrainedTokenizerFast(tokenizer_object=inner, model_max_length=limit, **SPECIALS)
    made.save_pretrained(folder)


@pytest.fixture(scope="module")
def bert_mlm(tmp_path_factory) -> str:
    """A toy BERT with its masked-word head, which says `great` or `long` a little more often than the rest."""
    from transformers import BertConfig, BertForMaskedLM

    folder = tmp_path_factory.mktemp("mlm")
    tokenizer(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(NAMES) + len(WORDS),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=32,
        pad_token_id=NAMES.index("[PAD]"),
        initializer_range=0.2,
    )
    model = BertForMaskedLM(config)
    with torch.no_grad():
        for word, bias in (("great", 1.0), ("long", 1.0), ("##ing", 2.0), ("[SEP]", 2.0), ("好", 1.0)):
            model.cls.predictions.bias[(NAMES + WORDS).index(word)] = bias
    model.save_pretrained(folder)
    return str(folder)


def rows(*texts: str) -> list[Record]:
    return [Record("r.csv", line, {"text": text}) for line, text in enumerate(texts, start=2)]


def fill(ref: str, records: list[Record], *, seed: int = 0, **words) -> list[str | None]:
    step = registry.build("augmentation", {"name": "masked", **words})
    change = step.ready(shapes.PLAIN, Helpers(masked_model=lambda: helper_models.masked_model(ref)))
    made = change(records, [Random(seed) for _ in records])
    return [copies[0]["text"] if copies else None for copies in made]


def test_only_masked_words_change_and_to_likely_ones(bert_mlm):
    texts = ["The film, was dull", "very very long film was the film", "the"]
    for seed in range(10):
        for before, after in zip(
            texts, fill(bert_mlm, rows(*texts), seed=seed, share=0.3, top_k=4), strict=True
        ):
            if after is None:
                continue
            old, new = before.replace(",", " ,").split(), after.replace(",", " ,").split()
            differing = [(a, b) for a, b in zip(old, new, strict=True) if a != b]
            assert 1 <= len(differing) <= max(1, round(0.3 * len(before.split())))
            assert all(b in WORDS or b.lower() in WORDS for _, b in differing)
            assert all(b.isalpha() and a[0].isupper() == b[0].isupper() for a, b in differing)


def test_a_tokenizer_that_fills_up_on_the_left_moves_no_word(bert_mlm, tmp_path):
    import json
    import shutil

    shutil.copytree(bert_mlm, tmp_path / "left")
    path = tmp_path / "left" / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"padding_side": "left"}))
    model, processor = helper_models.masked_model(str(tmp_path / "left"))
    texts = ["the [MASK] was dull", "very very long [MASK] was the film the film was the film"]
    gaps = [masked._Gap(0, ("text",), None, {0}, text) for text in texts]
    told = masked._expected(model, processor, gaps, top_k=3)
    for text, ((found, *_), *_) in zip(texts, told, strict=True):
        ids = processor(text, return_tensors="pt")["input_ids"]
        with torch.inference_mode():
            scores = model(input_ids=ids).logits[0, (ids[0] == processor.mask_token_id).nonzero().item()]
        assert found == (
            processor.convert_ids_to_tokens(int(scores.argmax())),
            round(float(scores.softmax(-1).max()), 3),
        )


def test_words_are_drawn_as_often_as_the_model_says(bert_mlm):
    model, processor = helper_models.masked_model(bert_mlm)
    ids = processor("the [MASK] was dull", return_tensors="pt")
    with torch.inference_mode():
        best = model(**ids).logits[0, 2].softmax(-1).topk(10)
    said = {processor.convert_ids_to_tokens(int(i)): float(p) for p, i in zip(*best, strict=True)}
    wanted = {word: p for word, p in said.items() if word.isascii() and word.isalpha() and word != "film"}
    records, draws = rows("the film was dull"), 2000
    step = masked.Masked(top_k=10, share=0.01)
    change = step.ready(shapes.PLAIN, Helpers(masked_model=lambda: (model, processor)))
    drawn = Counter()
    for start in range(0, draws, 100):
        made = change(records * 100, [Random(seed) for seed in range(start, start + 100)])
        pairs = [zip(["the", "film", "was", "dull"], row["text"].split(), strict=True) for (row,) in made]
        drawn.update(new for pair in pairs for old, new in pair if old == "film" != new)
    total = drawn.total()
    assert total > draws / 6  # one of four words is masked
    assert set(drawn) <= set(wanted)
    for word, p in wanted.items():
        share = p / sum(wanted.values())
        # Three digits of each probability are kept; four standard errors.
        assert abs(drawn[word] / total - share) < 0.002 + 4 * (share * (1 - share) / total) ** 0.5
    assert len(drawn) > 1


def test_chinese_is_filled_with_chinese(bert_mlm):
    made = {fill(bert_mlm, rows("坏坏坏"), seed=seed, share=0.3, top_k=18)[0] for seed in range(20)}
    assert made <= {"好坏坏", "坏好坏", "坏坏好"}
    assert len(made) == 3


def test_the_words_behind_the_models_last_position_stay(bert_mlm):
    long = " ".join(["film"] * 100)
    (made,) = fill(bert_mlm, rows(long), share=1.0, top_k=18)
    # 32 positions less [CLS] and [SEP]
    assert made.split()[30:] == ["film"] * 70
    assert "film" not in made.split()[:30]


def test_a_text_that_holds_a_mask_or_no_word_is_left(bert_mlm):
    assert fill(bert_mlm, rows("the [MASK] was", "...", "")) == [None, None, None]


def test_masked_rows_are_the_same_whatever_their_order(bert_mlm):
    texts = [" ".join(Random(i).choices(WORDS[:7], k=1 + i % 9)) for i in range(70)]
    records = [Record("r", i, {"text": text}) for i, text in enumerate(dict.fromkeys(texts))]
    helpers = Helpers(masked_model=lambda: helper_models.masked_model(bert_mlm))

    def made(ordered):
        step, count = steps(["masked"]), Made()
        found = augment({"train": ordered}, shapes.PLAIN, step, seed=3, made=count, helpers=helpers)
        # Which of two equal made rows stays is a matter of order; what they say is not.
        return {row.record.values["text"] for row in found}

    assert made(records) == made(records[::-1])
    assert len(made(records)) > 20


def test_a_model_without_a_masked_head_is_refused(bert_mlm, bert, llama, tmp_path):
    from transformers import BertForMaskedLM

    body = BertForMaskedLM.from_pretrained(bert_mlm).bert
    body.save_pretrained(tmp_path)
    tokenizer(tmp_path)
    for ref, why in (
        (str(tmp_path), "its weights lack cls.predictions"),
        (llama, "llama models have no such head"),
        (bert, "its weights lack"),
    ):
        with pytest.raises(WeitiaoError, match=f"no_masked_head.*{why}") as caught:
            helper_models.masked_model(ref)
        assert caught.value.exit_code == 4


def test_a_tokenizer_without_a_mask_is_refused(bert_mlm, bert, tmp_path):
    shutil.copytree(bert_mlm, tmp_path / "model")
    for file in Path(bert).glob("tokenizer*"):
        shutil.copy(file, tmp_path / "model")
    with pytest.raises(WeitiaoError, match="no_masked_head.*no mask token"):
        helper_models.masked_model(str(tmp_path / "model"))


@pytest.mark.whole
@pytest.mark.parametrize("name", catalog.MODELS)
def test_no_embedded_model_fills_in_words(name):
    # So `masked` has no test on a real model: none that is embedded has a masked-word head.
    with pytest.raises(WeitiaoError, match="no_masked_head"):
        helper_models.masked_model(name)


# --- translation


@pytest.fixture(scope="module")
def bart(tmp_path_factory) -> str:
    """A toy translation model of untrained weights, large enough in scale to say more than one word."""
    from transformers import BartConfig, BartForConditionalGeneration

    folder = tmp_path_factory.mktemp("bart")
    tokenizer(folder)
    torch.manual_seed(1)
    cls, sep, pad = (NAMES.index(name) for name in ("[CLS]", "[SEP]", "[PAD]"))
    config = BartConfig(
        vocab_size=len(NAMES) + len(WORDS),
        d_model=16,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        max_position_embeddings=32,
        init_std=1.0,
        pad_token_id=pad,
        bos_token_id=cls,
        eos_token_id=sep,
        decoder_start_token_id=sep,
        forced_eos_token_id=sep,
    )
    BartForConditionalGeneration(config).save_pretrained(folder)
    return str(folder)


def test_a_translator_says_what_the_model_generates_alone(bart):
    from transformers import AutoTokenizer, BartForConditionalGeneration

    texts = ["the film", "very dull film was long", "好", "the film"]
    translate = helper_models.translator(bart)
    told = translate(texts)
    assert told == translate(texts)
    assert told[0] == told[3]
    assert translate(["film"] * 40) == translate(["film"]) * 40  # more than one batch
    model, processor = BartForConditionalGeneration.from_pretrained(bart), AutoTokenizer.from_pretrained(bart)
    for text, said in zip(texts, told, strict=True):
        ids = processor(text, return_tensors="pt")
        room = 2 * 7 + 16  # of the longest text of the batch, with its two marks
        alone = model.eval().generate(
            input_ids=ids["input_ids"], attention_mask=ids["attention_mask"], num_beams=4, max_new_tokens=room
        )
        assert processor.decode(alone[0], skip_special_tokens=True) == said


def test_back_translation_goes_there_and_back(bart):
    words = {"there": bart, "back": bart}
    step = steps([{"name": "back_translation", **words}])
    records = rows("the film was dull", "very long", "great")
    made = Made()
    helpers = Helpers(translator=helper_models.translator)
    found = list(augment({"train": records}, shapes.PLAIN, step, seed=0, made=made, helpers=helpers))
    translate = helper_models.translator(bart)
    twice = dict(
        zip((r.line for r in records), translate(translate([r.values["text"] for r in records])), strict=True)
    )
    assert found
    assert all(row.record.values["text"] == twice[row.made_from.line] for row in found)
    assert made.counts["back_translation"].total() == 3


def test_only_what_is_asked_is_translated():
    tables = {"there": str.upper, "back": lambda text: text[::-1]}
    opened = []

    def translator(ref):
        opened.append(ref)
        return lambda texts: [tables[ref](text) for text in texts]

    step = registry.build("augmentation", {"name": "back_translation", "there": "there", "back": "back"})
    change = step.ready(shapes.TRANSLATION, Helpers(translator=translator))
    records = [
        Record("r", 1, {"source": "abc", "target": "xyz"}),
        Record("r", 2, {"source": "A", "target": "b"}),  # comes back as it went
    ]
    assert change(records, [Random(0)] * 2) == [[{"source": "CBA", "target": "xyz"}], []]
    assert opened == ["there", "back"]


def test_a_model_that_does_not_translate_is_refused(bert, bart, tmp_path):
    with pytest.raises(WeitiaoError, match="no_translation_model.*bert models"):
        helper_models.translator(bert)
    with pytest.raises(WeitiaoError, match="no_such_model"):
        helper_models.translator(str(tmp_path))
