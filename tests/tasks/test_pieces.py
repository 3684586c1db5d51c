"""Words as tokens: the same ids as the tokenizer's own for the text, and a token that shows something speaks for a word."""

from __future__ import annotations

import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import ByT5Tokenizer, PreTrainedTokenizerFast

from weitiao.tasks.parts.pieces import NONE, Pieces, pieces

LETTERS = "abcdefghijklmnopqrstuvwxyz<>/中国😀."


def fast(inner, **marks):
    return PreTrainedTokenizerFast(tokenizer_object=inner, **marks)


def unigram():
    """As XLM-R has it: `▁` before every word, a token of its own where the word is in no token with it."""
    pieces = [("<s>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -3.0), ("▁the", -2.0), ("▁ada", -2.0)]
    inner = Tokenizer(models.Unigram([*pieces, *((c, -5.0) for c in LETTERS)], unk_id=2, byte_fallback=False))
    inner.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace("\u200b", "")])
    inner.pre_tokenizer = pre_tokenizers.Metaspace()
    inner.decoder = decoders.Metaspace()
    inner.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 1)]
    )
    return fast(inner, bos_token="<s>", eos_token="</s>", unk_token="<unk>")


def byte_level():
    """As GPT-2 has it: a space belongs to the word behind it."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [("Ġ", "t"), ("h", "e"), ("Ġt", "he"), ("t", "he"), ("a", "d"), ("ad", "a"), ("Ġ", "ada")]
    vocab = {
        word: i for i, word in enumerate(["<|end|>", *alphabet, *dict.fromkeys(a + b for a, b in merges)])
    }
    inner = Tokenizer(models.BPE(vocab, merges))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    return fast(inner, eos_token="<|end|>")


def word_pieces():
    """As BERT has it: no mark of the space, `##` inside of a word."""
    words = ["[UNK]", "[CLS]", "[SEP]", "the", "ad", "##a", "中", "国", ".", "[", "]", "sep"]
    inner = Tokenizer(models.WordPiece({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    inner.normalizer = normalizers.BertNormalizer()
    inner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    inner.decoder = decoders.WordPiece()
    inner.post_processor = processors.BertProcessing(("[SEP]", 2), ("[CLS]", 1))
    return fast(inner, cls_token="[CLS]", sep_token="[SEP]", unk_token="[UNK]")


MADE = {"unigram": unigram, "byte_level": byte_level, "word_pieces": word_pieces, "slow": ByT5Tokenizer}


@pytest.fixture(params=MADE)
def tokenizer(request):
    return MADE[request.param]()


WORDS = ["ada", "the", "中国", "the", "."]


def test_words_give_the_ids_of_their_text(tokenizer):
    ids, _ = Pieces(tokenizer, spaced=True)(WORDS)
    assert ids == tokenizer(" ".join(WORDS), add_special_tokens=False)["input_ids"]


def test_what_stands_around_a_row_is_what_the_tokenizer_puts_there(tokenizer):
    pieces = Pieces(tokenizer, spaced=True)
    before, behind = pieces.around
    assert [*before, *pieces(WORDS)[0], *behind] == tokenizer(" ".join(WORDS))["input_ids"]


@pytest.mark.parametrize("spaced", [True, False])
def test_a_visible_token_of_the_word_itself_speaks_for_it(tokenizer, spaced):
    ids, first = Pieces(tokenizer, spaced=spaced)(WORDS)
    assert first == sorted(set(first))
    for word, place, end in zip(WORDS, first, [*first[1:], len(ids)], strict=True):
        # From there on all of the word is read, and without that token not all of it.
        assert "".join(tokenizer.decode(ids[place:end]).split()) == word
        assert "".join(tokenizer.decode(ids[place + 1 : end]).split()) != word


def test_characters_side_by_side_have_no_mark_of_a_space():
    tokenizer = unigram()
    words = list("中国中")
    ids, first = Pieces(tokenizer, spaced=False)(words)
    assert tokenizer.convert_ids_to_tokens(ids) == words
    assert first == [0, 1, 2]
    # As separate words each would be two tokens, the first the same for all.
    ids, first = Pieces(tokenizer, spaced=True)(words)
    assert [tokenizer.convert_ids_to_tokens(ids)[place] for place in first] == words
    assert len(ids) == 6


def test_a_word_of_which_nothing_is_left_has_no_token():
    for made in (unigram(), word_pieces()):
        for spaced in (True, False):
            ids, first = Pieces(made, spaced=spaced)(["ada", "\u200b", "the"])
            assert first[1] == NONE
            assert ids == Pieces(made, spaced=spaced)(["ada", "the"])[0]


def test_special_tokens_spelt_by_words_are_characters():
    for made, mark in ((unigram(), "</s>"), (word_pieces(), "[SEP]"), (byte_level(), "<|end|>")):
        ids, first = Pieces(made, spaced=True)(["the", mark, "the"])
        assert made.convert_tokens_to_ids(mark) not in ids
        assert NONE not in first


def test_what_was_read_of_a_tokenizer_is_kept_from_row_to_row():
    tokenizer = unigram()
    assert pieces(tokenizer, spaced=True) is pieces(tokenizer, spaced=True)
    assert pieces(tokenizer, spaced=True) is not pieces(tokenizer, spaced=False)


@pytest.mark.whole
def test_chinese_characters_are_one_token_each_for_the_embedded_multilingual_model():
    from weitiao.models import load

    tokenizer, _ = load.processor("e5-small")
    words = list("迈向充满希望的新世纪——一九九八年，（北京）")
    ids, first = Pieces(tokenizer, spaced=False)(words)
    assert first == list(range(len(words)))
    assert len(ids) == len(words)
    assert tokenizer.convert_tokens_to_ids("▁") not in ids
    # As the tokenizer itself has words that are given apart, a mark of the space speaks for most of them.
    given = tokenizer(words, is_split_into_words=True, add_special_tokens=False)
    firsts = [given["input_ids"][given.word_ids().index(place)] for place in range(len(words))]
    assert firsts.count(tokenizer.convert_tokens_to_ids("▁")) > len(words) / 2
