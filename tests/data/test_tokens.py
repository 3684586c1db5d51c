"""Encoding a text piece by piece gives the tokenizer's own ids, whatever the text, or is not done at all."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from weitiao.data import tokens
from weitiao.data.tokens import Tokens

WORDS = "the film was the best thing, isn't it? Ünïcödé naïve 2026 12,5 電影很好 這部 film's <end> don't  really\nnew line"
TEXTS = [
    WORDS,
    WORDS[::-1],
    "",
    " ",
    "  two  spaces  ",
    "a\n \nb",
    "tab\t x",
    " lead",
    "trail ",
    "no<end>gap <end> x",
]


def made(kind: str) -> PreTrainedTokenizerFast:
    if kind == "byte-level":
        inner = Tokenizer(models.BPE())
        inner.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(True), pre_tokenizers.ByteLevel(False)]
        )
        trainer = trainers.BpeTrainer(vocab_size=400, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    elif kind == "prefixed":
        inner = Tokenizer(models.BPE())
        inner.pre_tokenizer = pre_tokenizers.ByteLevel(True)
        trainer = trainers.BpeTrainer(vocab_size=400, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    elif kind == "word-piece":
        inner = Tokenizer(models.WordPiece(unk_token="[UNK]"))
        inner.normalizer = normalizers.BertNormalizer()
        inner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        trainer = trainers.WordPieceTrainer(vocab_size=200, special_tokens=["[UNK]"])
    else:
        inner = Tokenizer(models.Unigram())
        inner.normalizer = normalizers.Sequence(
            [normalizers.Replace(Regex("[\n\t]"), " "), normalizers.NFKC()]
        )
        steps = [pre_tokenizers.Metaspace(prepend_scheme=kind)]
        inner.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), *steps])
        trainer = trainers.UnigramTrainer(vocab_size=120, special_tokens=["<unk>"], unk_token="<unk>")
    inner.train_from_iterator([WORDS] * 3, trainer)
    inner.add_special_tokens([AddedToken("<end>", lstrip=True, rstrip=True, normalized=False)])
    return PreTrainedTokenizerFast(tokenizer_object=inner)


KINDS = ("byte-level", "prefixed", "word-piece", "always", "first")
MADE = {kind: made(kind) for kind in KINDS}


def own(tokenizer, texts: list[str], *, plain: bool = True) -> list[list[int]]:
    options = {"add_special_tokens": False, "split_special_tokens": plain}
    return [tokenizer(text, **options)["input_ids"] for text in texts]


@pytest.mark.parametrize("kind", KINDS)
def test_the_ids_are_the_tokenizers_own(kind):
    assert Tokens(MADE[kind])._fast is not None
    assert Tokens(MADE[kind])(TEXTS) == own(MADE[kind], TEXTS)
    asked = Tokens(MADE[kind], plain=False)(TEXTS)
    assert asked == own(MADE[kind], TEXTS, plain=False) != own(MADE[kind], TEXTS)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.text(st.sampled_from("abT é\u0301電\n\t 1,.'<end>\u00a0\u3000\u200b"), max_size=30), max_size=6
    )
)
def test_on_any_text(kind, texts):
    found = Tokens(MADE[kind])
    assert found(texts) == own(MADE[kind], texts)
    assert found(texts) == own(MADE[kind], texts), "and again, from what was kept"
    assert Tokens(MADE[kind], plain=False)(texts) == own(MADE[kind], texts, plain=False)


def test_few_pieces_are_kept(monkeypatch):
    monkeypatch.setattr(tokens, "KEPT", 20)
    rng, found = random.Random(0), Tokens(MADE["byte-level"])
    for _ in range(30):
        texts = [" ".join(str(rng.randrange(10**6)) for _ in range(6)) for _ in range(4)]
        assert found(texts) == own(MADE["byte-level"], texts)
        assert len(found._spaced) <= 20


def test_a_text_without_spaces_is_not_kept():
    found = Tokens(MADE["byte-level"])
    found(["電影很好" * 30, "film"])
    assert set(found._pieces) == {"film"}


def test_a_tokenizer_that_reaches_over_spaces_gets_whole_texts():
    inner = Tokenizer(models.BPE())
    inner.train_from_iterator(["ab ab ab ab ab"], trainers.BpeTrainer(vocab_size=30))
    whole = PreTrainedTokenizerFast(tokenizer_object=inner)
    text = "ab ab ab ab ab"
    assert len(*own(whole, [text])) < 5, "a token reaches over a space"
    assert Tokens(whole)([text]) == own(whole, [text])


@pytest.mark.parametrize(
    "step",
    [
        pre_tokenizers.Split(Regex(r"\w+ \w+"), "isolated"),
        pre_tokenizers.ByteLevel(False, use_regex=False),
        pre_tokenizers.Metaspace(split=False),
    ],
)
def test_unknown_ways_of_cutting_are_not_relied_on(step):
    inner = MADE["byte-level"].backend_tokenizer.from_str(MADE["byte-level"].backend_tokenizer.to_str())
    inner.pre_tokenizer = step
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner)
    assert Tokens(tokenizer)._fast is None
    assert Tokens(tokenizer)(TEXTS) == own(tokenizer, TEXTS)


def test_what_others_ask_of_the_tokenizer_does_not_matter():
    tokenizer = made("byte-level")
    tokenizer(["film was the best"], truncation=True, max_length=2)
    assert Tokens(tokenizer)(["the film was the best"]) == own(made("byte-level"), ["the film was the best"])


def framed(*texts: str, words=("好", "坏"), post=True) -> tuple[list[list[int]], list[list[int]]]:
    """A tokenizer of a few words and no unknown one: what it gives, and what we give."""
    vocab = {word: i for i, word in enumerate(["[CLS]", "[SEP]", *words])}
    inner = Tokenizer(models.BPE(vocab=vocab, merges=[], unk_token=None))
    inner.add_special_tokens(["[CLS]", "[SEP]"])
    if post:
        ids = [("[CLS]", 0), ("[SEP]", 1)]
        inner.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", "[CLS] $A [SEP] $B [SEP]", ids)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner)
    theirs = [tokenizer(text, split_special_tokens=True)["input_ids"] for text in texts]
    return theirs, Tokens(tokenizer).whole(texts)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("limit", [3, 5, 8])
def test_a_long_text_is_cut_as_the_tokenizer_cuts_it(side, limit):
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=MADE["word-piece"].backend_tokenizer, truncation_side=side
    )
    text = " ".join(TEXTS[0].split() * 9)
    ours = Tokens(tokenizer)
    (whole,) = ours.whole([text])
    assert len(whole) > limit
    options = {"truncation": True, "max_length": limit, "split_special_tokens": True}
    assert ours.cut(whole, limit) == tokenizer(text, **options)["input_ids"]


@pytest.mark.parametrize("post", [True, False])
@pytest.mark.parametrize("texts", [["好坏", "坏"], ["a", "", "坏"], ["a"], ["[CLS]好[SEP]"], []])
def test_what_stands_around_a_text_is_what_the_tokenizer_gives(texts, post):
    theirs, ours = framed(*texts, post=post)
    assert ours == theirs
