"""Metrics of answers beside other libraries and brute force: English, Chinese, empty ones, one row."""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from itertools import combinations
from types import SimpleNamespace

import numpy as np
import pytest

from tests.evaluate.judging import judged, shelf
from weitiao.core import registry
from weitiao.core.contracts import Record
from weitiao.data.shapes import CONVERSATION, TRANSLATION
from weitiao.evaluate.answered import chosen, judge_some
from weitiao.evaluate.chosen import judged as every
from weitiao.evaluate.chosen import watched
from weitiao.evaluate.grams import words
from weitiao.evaluate.verdict import verdict

ENGLISH = [
    ("The cat sat on the mat.", "A cat sat on that mat."),
    ("It costs 3.50 dollars, or 4-5 euros!", "It costs 3.50 dollars or 4 euros."),
    ("Yes", "Yes"),
    ("to be or not to be, that is the question", "to be, to be or to be"),
    ("nothing alike", "something else entirely here"),
    ("a &quot;quoted&quot; word &amp; more", 'a "quoted" word & more'),
    ("line one\nline two", "line two\n\nline one"),
    ("one two three", ""),
]
CHINESE = [
    ("巴黎的埃菲尔铁塔很高。", "埃菲尔铁塔在巴黎，很高。"),
    ("价格为 3.5 元，约 4-5 天到货", "价格是3.5元，4天到货"),
    ("好", "好"),
    ("我不知道", "我知道"),
    ("使用 Python 语言", "用Python"),
    ("他说：“不”——真的", "他说“不”，真的"),
]


def rows(pairs):
    return [{"reference": want} for want, _ in pairs], [{"answer": said} for _, said in pairs]


def value(name: str, pairs, **settings):
    references, told = rows(pairs)
    metric = registry.build("metric", {"name": name, **settings})
    each = metric.rows(references, told, ())
    return float(metric.over(each, np.ones((1, len(pairs))))[0])


# --- sacrebleu


@pytest.mark.parametrize(("pairs", "tokenize"), [(ENGLISH, "13a"), (CHINESE, "zh"), (ENGLISH[:1], "13a"), (ENGLISH[2:3], "13a"), (ENGLISH[-1:], "13a"), (CHINESE[2:3], "zh")])  # fmt: skip
def test_bleu_and_chrf_are_those_of_sacrebleu(pairs, tokenize):
    import sacrebleu

    want, said = [want for want, _ in pairs], [said for _, said in pairs]
    expected = sacrebleu.corpus_bleu(said, [want], tokenize=tokenize).score
    assert value("bleu", pairs) == pytest.approx(expected, rel=1e-9, abs=1e-9)
    assert value("chrf", pairs) == pytest.approx(sacrebleu.corpus_chrf(said, [want]).score, rel=1e-9)


def test_tokens_of_made_texts_are_those_of_sacrebleu():
    from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a
    from sacrebleu.tokenizers.tokenizer_zh import TokenizerZh

    from weitiao.evaluate.metrics.bleu import tokens

    rng, english, chinese = random.Random(0), Tokenizer13a(), TokenizerZh()
    for _ in range(300):
        text = "".join(rng.choice("ab 12.,-&;()'\"/$%éß\n中文，。“”—→Ａ") for _ in range(rng.randrange(30)))
        assert tokens(text, chinese=False) == english(text.rstrip()).split()
        assert tokens(text, chinese=True) == chinese(text.rstrip()).split()


def test_bleu_and_chrf_of_made_texts():
    import sacrebleu

    rng = random.Random(1)
    for rows_ in (1, 2, 7):
        for _ in range(30):
            made = [[" ".join(rng.choices("abcde", k=rng.randrange(9))) for _ in range(2)] for _ in range(rows_)]  # fmt: skip
            want, said = [a for a, _ in made], [b for _, b in made]
            if not any(want):
                continue
            expected = sacrebleu.corpus_bleu(said, [want]).score
            assert value("bleu", made) == pytest.approx(expected, rel=1e-9, abs=1e-9)
            assert value("chrf", made) == pytest.approx(sacrebleu.corpus_chrf(said, [want]).score, abs=1e-9)


def test_self_bleu_is_the_mean_of_sentences_beside_all_others():
    import sacrebleu

    rng = random.Random(2)
    for count in (2, 3, 8):
        for _ in range(10):
            texts = [" ".join(rng.choices("abcd", k=rng.randrange(8))) for _ in range(count)]
            each = [
                sacrebleu.sentence_bleu(text, texts[:row] + texts[row + 1 :]).score
                for row, text in enumerate(texts)
            ]
            found = value("self_bleu", [("", text) for text in texts])
            assert found == pytest.approx(np.mean(each), rel=1e-9, abs=1e-9)
    assert value("self_bleu", [("", "the same five words here")] * 3) == pytest.approx(100)


# --- brute force


def longest(a, b):
    """By trying every subsequence."""
    for size in range(min(len(a), len(b)), 0, -1):
        theirs = set(combinations(b, size))
        if any(each in theirs for each in combinations(a, size)):
            return size
    return 0


def f1(common, ours, theirs):
    return 2 * common / (ours + theirs) if ours + theirs else 1.0


def test_overlaps_are_those_of_brute_force():
    rng = random.Random(3)
    for _ in range(60):
        a, b = (rng.choices("abcde", k=rng.randrange(1, 8)) for _ in range(2))
        pair = [(" ".join(a).title() + "!", " ".join(b))]
        assert value("rouge_l", pair) == pytest.approx(f1(longest(a, b), len(a), len(b)))
        for n, name in ((1, "rouge_1"), (2, "rouge_2"), (3, "rouge_1")):
            first, second = ([tuple(x[i : i + n]) for i in range(len(x) - n + 1)] for x in (a, b))
            common = sum(min(first.count(gram), second.count(gram)) for gram in set(first))
            expected = f1(common, len(first), len(second)) if first or second else float(a == b)
            found = value(name, pair, n=n)
            assert found == pytest.approx(1.0 if a == b else expected)
        common = sum((Counter(a) & Counter(b)).values())
        assert value("token_f1", pair) == pytest.approx(f1(common, len(a), len(b)))


def test_rouge_of_english_by_the_words_that_rouge_goes_by():
    """Lower case, everything but letters and digits apart, as Google's rouge_score."""
    for want, said in ENGLISH[:-1]:
        a, b = (re.sub(r"[^a-z0-9]+", " ", text.lower()).split() for text in (want, said))
        common = sum((Counter(a) & Counter(b)).values())
        assert value("rouge_1", [(want, said)]) == pytest.approx(f1(common, len(a), len(b)))


def test_words():
    assert words("Don't stop, it's 3.5 km_long") == ["don", "t", "stop", "it", "s", "3", "5", "km", "long"]
    assert words("用Python写，カナ") == ["用", "python", "写", "カ", "ナ"]
    assert words("?! 👍") == ["?", "!", "👍"]
    assert words(" \n") == []


def test_exact_match_counts_white_space_once_and_nothing_else():
    assert value("exact_match", [("a  b\n", " a b"), ("A b", "a b"), ("", " "), ("4", "4.")]) == 0.5


def test_chinese_by_characters():
    assert value("rouge_1", [("我不知道", "我知道")]) == pytest.approx(6 / 7)
    assert value("rouge_2", [("我不知道", "我知道")]) == pytest.approx(2 * 1 / 5)
    assert value("token_f1", [("好的", "的好")]) == 1.0
    assert value("rouge_l", [("好的", "的好")]) == 0.5


def test_variety():
    pairs = [("", "a b c d"), ("", "a b c d a b c d"), ("", "e")]
    assert value("distinct_1", pairs) == pytest.approx(5 / 13)
    assert value("distinct_2", pairs) == pytest.approx(4 / 10)
    assert value("repetition", pairs) == pytest.approx(1 / 6)
    assert value("repetition", pairs, n=1) == pytest.approx(4 / 13)
    assert value("length_ratio", [("a b", "a b c"), ("a b", "")]) == 0.75


def test_what_is_best_at_one_chooses_no_step():
    kind = registry.entry("metric", "length_ratio").kind
    assert kind.ideal == 1.0
    # Answers could be watched if the task said them of validation rows, too.
    task = registry.build("task", {"name": "sft"})
    spoken = SimpleNamespace(
        **{
            name: getattr(task, name) for name in ("loss_metric", "metrics", "generates", "paints", "classes")
        },
        predicts=(*task.predicts, "answer"),
    )
    assert "length_ratio" in every(spoken)
    assert "exact_match" in watched(spoken)
    assert "length_ratio" not in watched(spoken)


def test_json_where_the_references_are():
    good, fenced = json.dumps({"a": 1}), '```json\n{"b": [2]}\n```'
    pairs = [(good, fenced), (good, "[1]"), (good, '{"a": '), ("[]", "[3]"), ("5", "5"), ("words", "{}")]
    assert value("valid_json", pairs) == 0.5
    assert value("valid_json", pairs, fenced=False) == 0.25


def test_bits_per_byte():
    metric = registry.build("metric", {"name": "bits_per_byte"})
    told = [{"loss": 7.0, "tokens": 3, "bytes": 10}, {"loss": 3.0, "tokens": 2, "bytes": 5}]
    assert float(metric.value(metric.rows([{}, {}], told, ()).sum(0))) == pytest.approx(10 / np.log(2) / 15)


# --- what is not defined, and what has no interval

ALL = (
    "exact_match",
    "token_f1",
    "rouge_1",
    "rouge_2",
    "rouge_l",
    "bleu",
    "chrf",
    "length_ratio",
    "distinct_1",
)
ALL += ("distinct_2", "self_bleu", "repetition", "valid_json")


@pytest.mark.parametrize("pairs", [[("", "")], [("a b", "")], [("", "a")], [("x", "x")], ENGLISH, CHINESE])
def test_no_table_holds_nan(pairs):
    references, told = rows(pairs)
    systems = {"tuned": told, "untuned": [{"answer": ""} for _ in told]}
    found = judged(ALL, references, systems, labels=(), resamples=100)
    for system in found["metrics"].values():
        for name, one in system.items():
            assert all(
                number is None or np.isfinite(number) for number in (one["value"], one["low"], one["high"])
            )
            assert one["value"] is not None or one["why"], name
    assert json.dumps(found, allow_nan=False)


def test_words_drawn_twice_are_no_further_words():
    references, told = rows(ENGLISH)
    untuned = [{"answer": "the same words for everybody here"} for _ in told]
    found = judged(("distinct_1", "self_bleu"), references, {"tuned": told, "untuned": untuned}, labels=())
    for name in ("distinct_1", "self_bleu"):
        one = found["metrics"]["tuned"][name]
        assert (one["low"], one["high"]) == (None, None)
        assert "drawn twice" in one["why"]
        assert found["comparisons"]["untuned"]["metrics"][name]["p_value"] < 0.05


# --- where some rows alone were answered


def test_which_rows_are_answered():
    assert chosen(5, None, seed=0) == chosen(5, 9, seed=0) == list(range(5))
    assert chosen(5, 0, seed=0) == []
    some = chosen(1000, 100, seed=0)
    assert some == sorted(set(some)) == chosen(1000, 100, seed=0) != chosen(1000, 100, seed=1)
    assert len(some) == 100


def test_answers_are_judged_by_the_rows_that_were_answered():
    references, told = rows(ENGLISH)
    scored = [{"loss": float(row + 1), "tokens": 2} for row in range(len(told))]
    some = [0, 2, 5]
    tuned = [one | (told[row] if row in some else {}) for row, one in enumerate(scored)]
    metrics = shelf("perplexity", "rouge_1", "exact_match")
    systems = {"tuned": tuned, "untuned": [dict(one) for one in tuned], "nearest": told}
    found = judge_some(references, systems, metrics, rows=some, resamples=100)
    assert list(found["metrics"]["tuned"]) == list(metrics)
    assert found["metrics"]["tuned"]["perplexity"]["value"] == pytest.approx(np.exp(36 / 16))
    mean = np.mean([value("rouge_1", ENGLISH[row : row + 1]) for row in some])
    for system in systems:
        assert found["metrics"][system]["rouge_1"]["value"] == pytest.approx(mean)
        assert found["metrics"][system]["rouge_1"]["rows"] == 3
        assert found["metrics"][system]["exact_match"]["value"] == pytest.approx(1 / 3)
    assert found["metrics"]["nearest"]["perplexity"]["value"] is None
    assert found["comparisons"]["untuned"]["metrics"]["rouge_1"]["p_value"] == 1
    assert found["comparisons"]["untuned"]["p_value"] == 1
    none = judge_some(references, systems, metrics, rows=[], resamples=100)
    assert "evaluate.answers" in none["metrics"]["tuned"]["rouge_1"]["why"]
    assert none["metrics"]["tuned"]["perplexity"] == found["metrics"]["tuned"]["perplexity"]


def test_the_verdict_counts_the_rows_that_its_metric_goes_by():
    references, told = rows(ENGLISH)
    some = [0, 2, 5]
    tuned = [{"loss": 1.0, "tokens": 2} | (told[row] if row in some else {}) for row in range(len(told))]
    for first, counted in (("rouge_1", 3), ("perplexity", len(told))):
        metrics = shelf(first, *{"rouge_1", "perplexity"} - {first})
        found = judge_some(references, {"tuned": tuned}, metrics, rows=some, resamples=100)
        facts = {"rows": len(told), "primary": first, "higher_is_better": first == "rouge_1"}
        said = verdict({**found, **facts}, confidence=0.95)["sentence"]
        assert f"on {counted} unseen rows" in said


# --- the nearest training row


def test_the_nearest_row_answers():
    def record(*said: str) -> Record:
        roles = ("user", "assistant") * 3
        turns = [{"role": role, "content": text} for role, text in zip(roles, said, strict=False)]
        return Record("x", 1, {"messages": turns})

    known = [
        record("how tall is the tower of paris", "300 metres"),
        record("who painted the night watch", "Rembrandt"),
        record("how old is the bridge", "very", "and the tower of pisa", "650 years"),
    ]
    answers = registry.build("baseline", {"name": "nearest"}).fit(known, CONVERSATION)
    asked = [record("the tower of pisa", "-"), record("which artist painted it", "-"), record("xyz", "-")]
    assert [one["answer"] for one in answers(asked)] == ["650 years", "Rembrandt", "300 metres"]
    chinese = [record("埃菲尔铁塔有多高", "三百米"), record("夜巡是谁画的", "伦勃朗")]
    told = registry.build("baseline", {"name": "nearest"}).fit(chinese, CONVERSATION)
    assert told([record("谁画了夜巡", "-")]) == [{"answer": "伦勃朗"}]


# --- the verdict


@pytest.mark.parametrize(
    ("read", "written", "source", "said"),
    [
        (20, 10, "The library reads and writes tables", "The library reads and writes tables"),
        # The median of 17 and 23 characters is 20: no word is cut in two.
        (60, (17, 23), "The library reads and writes tables", "The library reads"),
        (60, 21, "The library reads and writes tables", "The library reads and"),
        (60, 20, "a short one", "a short one"),
        (60, 6, "今天北京天气晴朗，适合出门散步。", "今天北京天气"),
    ],
)
def test_a_copy_is_the_source_or_the_lead_of_one_that_is_summed_up(read, written, source, said):
    """By how long, in characters, the sources and targets of the training rows are."""
    lengths = written if isinstance(written, tuple) else (written, written)
    known = [Record("t", 1, {"source": "x" * read, "target": "y" * length}) for length in lengths]
    answers = registry.build("baseline", {"name": "copy_source"}).fit(known, TRANSLATION)
    assert answers([Record("t", 1, {"source": source})]) == [{"answer": said}]


@pytest.mark.parametrize(
    ("tuned", "nearest", "said"),
    [
        (1.0, 0.2, "better than those of the nearest training row (token F1 1.000 beside"),
        (0.2, 1.0, "The nearest training row answers better (token F1 1.000 beside"),
        (0.6, 0.6, "are within chance of each other"),
    ],
)
def test_answers_are_set_beside_the_nearest_rows(tuned, nearest, said):
    rng = random.Random(4)
    references = [{"reference": " ".join(rng.choices("abcdefgh", k=5))} for _ in range(40)]

    def system(share: float, **more: float) -> list[dict]:
        right = [rng.random() < share for _ in references]
        return [
            {"answer": known["reference"] if hit else "zzz", **more}
            for known, hit in zip(references, right, strict=True)
        ]

    systems = {
        "tuned": system(tuned, loss=1.0, tokens=2),
        "untuned": system(0.1, loss=2.0, tokens=2),
        "nearest": system(nearest),
    }
    found = judged(("perplexity", "token_f1"), references, systems, labels=(), resamples=100)
    told = {**found, "primary": "perplexity", "higher_is_better": False, "rows": 40}
    sentence = verdict(told, confidence=0.95)["sentence"]
    assert sentence.startswith("It learned: perplexity went from")
    assert said in sentence
    assert ".." not in sentence
