"""A text that spells a special token is characters, in every task and for every kind of tokenizer; or not, if asked."""

from __future__ import annotations

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from tests.conftest import CHATML
from weitiao.core import registry
from weitiao.core.contracts import Record
from weitiao.data.plain import plain, twin
from weitiao.data.tokens import Tokens

MARKS = ["<unk>", "<s>", "</s>", "<|im_start|>", "<|im_end|>", "<pad>"]
SAYS = "what is </s> and <|im_end|>\n<|im_start|>assistant and <unk> ?"


def made(kind: str) -> PreTrainedTokenizerFast:
    """Its special tokens are words of its vocabulary, too, as they are in most files."""
    corpus = ["what is it and who? film good </s>", "im_end im_start assistant user"] * 3
    if kind == "unigram":
        letters = sorted(set("".join(corpus) + "<|>_/?\nk"))
        pieces = [*((mark, 0.0) for mark in MARKS), ("▁", -2.0), *((letter, -3.0) for letter in letters)]
        inner = Tokenizer(models.Unigram(pieces, unk_id=0))
        inner.pre_tokenizer, inner.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    elif kind == "words":
        words = [*MARKS, "what", "is", "and", "?", "assistant"]
        inner = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
        inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    else:
        inner = Tokenizer(models.BPE())
        inner.pre_tokenizer, inner.decoder = pre_tokenizers.ByteLevel(False), decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(
            vocab_size=300, special_tokens=MARKS, initial_alphabet=alphabet, show_progress=False
        )
        inner.train_from_iterator(corpus, trainer)
    inner.add_special_tokens(MARKS)
    inner.post_processor = processors.TemplateProcessing(
        "<s> $A </s>", "<s> $A </s> $B </s>", [("<s>", 1), ("</s>", 2)]
    )
    names = {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "<|im_end|>", "pad_token": "<pad>"}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, **names)
    tokenizer.chat_template = CHATML
    return tokenizer


KINDS = ("unigram", "words", "bytes")
# What a word that the vocabulary lacks becomes is no mark that somebody spelt.
FORBIDDEN = {1, 2, 3, 4, 5}


@pytest.mark.parametrize("kind", KINDS)
def test_no_text_spells_a_special_token(kind):
    tokenizer = made(kind)
    read, ids = plain(tokenizer), Tokens(tokenizer)([SAYS])[0]
    assert not FORBIDDEN & set(ids)
    assert FORBIDDEN & set(tokenizer(SAYS, add_special_tokens=False)["input_ids"]), "else this proves nothing"
    assert read(SAYS, add_special_tokens=False)["input_ids"] == ids
    assert Tokens(tokenizer).whole([SAYS]) == [[1, *ids, 2]] == [read(SAYS)["input_ids"]]
    assert read(SAYS, "and </s>")["input_ids"].count(2) == 2, "a pair has its own"
    assert Tokens(tokenizer, plain=False)([SAYS])[0] == tokenizer(SAYS, add_special_tokens=False)["input_ids"]
    if kind != "words":  # there it is unknown, as any word that is not in the list
        assert tokenizer.decode(ids) == SAYS
    else:
        assert ids.count(0) == 4


@pytest.mark.parametrize("kind", KINDS)
def test_a_text_that_spells_none_is_the_tokenizers_own(kind):
    tokenizer, text = made(kind), "what is it and who? assistant"
    assert plain(tokenizer)(text)["input_ids"] == tokenizer(text)["input_ids"]


def test_the_names_cannot_be_spelt_either():
    tokenizer = made("bytes")
    for names in (twin(tokenizer).names, twin(tokenizer).hidden):
        assert all(len(name) == len(mark) for mark, name in names.items())
        for name in names.values():
            assert plain(tokenizer)(name)["input_ids"] == tokenizer(name)["input_ids"]
            assert Tokens(tokenizer)([f"a {name}"]) == [
                tokenizer(f"a {name}", add_special_tokens=False)["input_ids"]
            ]


def conversation(*turns: str) -> Record:
    roles = ("user", "assistant")
    return Record(
        "-", 1, {"messages": [{"role": roles[i % 2], "content": text} for i, text in enumerate(turns)]}
    )


@pytest.mark.parametrize("kind", ["unigram", "bytes"])
def test_the_words_of_a_conversation_are_characters_and_the_templates_marks_are_not(kind):
    tokenizer = made(kind)
    start, end = 3, 4
    task = registry.build("task", {"name": "sft"})
    # The last answer ends with what it explains: beside it stands the real one.
    row = conversation("what is <|im_end|>?", "it is </s>", SAYS, "who writes <|im_end|>")
    (found,) = task.encode([row], tokenizer, limit=10**6)
    ids, labels = (list(found.inputs[name]) for name in ("input_ids", "labels"))
    assert (ids.count(start), ids.count(end), ids.count(2)) == (4, 4, 0)
    learnt = [label for label in labels if label != -100]
    assert learnt.count(end) == 2
    assert found.trained == len(learnt)
    said = tokenizer.decode([token for token in learnt if token != end])
    assert said.replace(" ", "") == "itis</s>whowrites<|im_end|>"
    # What is written is what was said: the same text, and the same places.
    text = tokenizer.decode(ids)
    assert text.count("<|im_end|>") == 4 + 3
    opening = task.opening(row.values["messages"][:1], tokenizer)
    assert list(opening) == ids[: len(opening)]
    asked = registry.build("task", {"name": "sft", "split_special_tokens": False})
    (other,) = asked.encode([row], tokenizer, limit=10**6)
    assert list(other.inputs["input_ids"]).count(end) == 4 + 3
    assert asked.opening(row.values["messages"][:1], tokenizer).count(end) == 2


def test_a_conversation_that_spells_none_is_as_it_was():
    tokenizer, row = made("bytes"), conversation("what is it?", "a film", "who?", "assistant user")
    plainly, asked = (
        next(
            iter(
                registry.build("task", {"name": "sft", "split_special_tokens": on}).encode(
                    [row], tokenizer, limit=99
                )
            )
        )
        for on in (True, False)
    )
    assert plainly == asked


@pytest.mark.parametrize("task", ["text_classification", "language_modeling"])
def test_every_task_reads_characters_unless_it_is_asked(task):
    tokenizer, labels = made("bytes"), {"labels": ["a", "b"]} if task == "text_classification" else {}
    for pair in [{}, {"text_pair": SAYS}] if labels else [{}]:
        row = Record("-", 1, {"text": SAYS, **pair, "label": "a"})
        built = registry.build("task", {"name": task, **labels})
        asked = registry.build("task", {"name": task, "split_special_tokens": False, **labels})
        counts = []
        for one in (built, asked):
            whole = next(iter(one.encode([row], tokenizer, limit=10**6)))
            cut = next(iter(one.encode([row], tokenizer, limit=30)))
            pieces = one.windows(row, whole, tokenizer, limit=100)
            counts += [[list(e.inputs["input_ids"]).count(3) for e in (whole, cut, *pieces)]]
        assert not any(counts[0])
        assert counts[1][0] == 1 + len(pair)
        assert sum(counts[1][2:]) >= 1
