"""Questions are answered by parts of their contexts, at the places of the text as it was given, however long it is."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
import torch
import transformers as T
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from weitiao.core import registry
from weitiao.core.contracts import Record
from weitiao.core.errors import WeitiaoError
from weitiao.core.recipe import Data
from weitiao.data.overlong import as_read
from weitiao.models import load
from weitiao.tasks.parts.answer_spans import likeliest, text_of

CONTEXT = "Ada \u201cA.\u201d 😀 👍🏽 lived in cafe\u0301 城市\r\n\tin  London. </s> [SEP] שלום Babbage."
MARKS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]


def task(**settings):
    return registry.build("task", {"name": "question_answering", **settings})


def tokenizer(kind: str) -> T.PreTrainedTokenizerFast:
    """Pieces are characters, in the three ways of the common families."""
    if kind == "bert":  # accents are stripped, and what follows within a word is marked
        letters = [*"abcdefghijklmnopqrstuvwxyz0123456789.?,\u201c\u201d", "城", "市"]
        vocab = {word: i for i, word in enumerate([*MARKS, *letters, *(f"##{c}" for c in letters)])}
        inner = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]"))
        inner.normalizer = normalizers.BertNormalizer()
        inner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    elif kind == "bytes":  # a character of several bytes is several tokens
        letters = sorted(pre_tokenizers.ByteLevel.alphabet())
        vocab = {word: i for i, word in enumerate([*MARKS, *letters])}
        inner = Tokenizer(models.BPE(vocab, []))
        inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        inner.decoder = decoders.ByteLevel()
    else:  # a space is a token's beginning
        letters = [*dict.fromkeys(CONTEXT.replace(" ", "") + "abcdefghijklmnopqrstuvwxyz?▁")]
        words = [*((mark, 0.0) for mark in MARKS), *((letter, -1.0) for letter in letters)]
        inner = Tokenizer(models.Unigram(words, unk_id=1))
        inner.normalizer = normalizers.NFKC()
        inner.pre_tokenizer = pre_tokenizers.Metaspace()
    inner.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    marks = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    given = ["input_ids", "token_type_ids", "attention_mask"]
    return T.PreTrainedTokenizerFast(
        tokenizer_object=inner, model_max_length=512, model_input_names=given, **marks
    )


@pytest.fixture(scope="module")
def reader(tmp_path_factory) -> str:
    """A BERT of two layers that reads letters."""
    folder = tmp_path_factory.mktemp("reader")
    tokenizer("bert").save_pretrained(folder)
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    T.BertModel(T.BertConfig(vocab_size=128, **sizes, pad_token_id=0)).save_pretrained(folder)
    return str(folder)


def rows(*answers: str, context: str = CONTEXT, question: str = "where?") -> list[Record]:
    """A row for each answer, empty for none, at the first place where it stands."""
    return [
        Record(
            "t",
            line,
            {
                "question": question,
                "context": context,
                "answers": [{"text": text, "start": context.index(text)}] if text else [],
            },
        )
        for line, text in enumerate(answers)
    ]


# --- tokens


@pytest.mark.parametrize("kind", ["bert", "bytes", "spaces"])
@pytest.mark.parametrize(
    "answer",
    [
        "Ada",
        "A.",
        "😀",
        "👍🏽",
        "cafe\u0301",
        "cafe\u0301 城市",
        "城",
        "市\r\n\tin  London",
        "שלום",
        "Babbage",
    ],
)
def test_answers_go_to_tokens_and_back_to_the_same_characters(kind, answer):
    processor = tokenizer(kind)
    (example,) = task().encode(rows(answer), processor, limit=512)
    first, last = example.inputs["gold"]
    begins, ends = (np.asarray(example.inputs[name]) for name in ("begins", "ends"))
    start, end = text_of(int(begins[first]), int(ends[last]), CONTEXT)
    assert CONTEXT[start:end].rstrip("\u0301") == answer.rstrip("\u0301")  # BERT's tokenizer has no accents
    assert start == CONTEXT.index(answer)
    assert "".join(map(chr, example.inputs["text"])) == CONTEXT


def test_ids_and_token_types_are_those_of_the_tokenizer_and_no_text_spells_a_mark():
    processor = tokenizer("bert")
    question, context = "who lived [SEP] there?", "ada. [SEP] bob."
    (example,) = task().encode(rows("bob", context=context, question=question), processor, limit=512)
    theirs = processor(question, context, split_special_tokens=True)
    assert example.inputs["input_ids"] == theirs["input_ids"]
    assert example.inputs["token_type_ids"] == theirs["token_type_ids"]
    assert example.inputs["input_ids"].count(processor.sep_token_id) == 2


def test_a_tokenizer_that_does_not_say_where_its_tokens_stand_is_refused():
    class Slow:
        is_fast = False

        def __len__(self):
            return 1

    with pytest.raises(WeitiaoError, match="no_places"):
        list(task().encode(rows("Ada"), Slow(), limit=8))


# --- loss


def test_loss_and_gradient_are_those_of_transformers_own_head(reader):
    records = rows("London", "", "Ada", "Babbage.")
    ours = load.load(reader, task())
    ours.model.eval()
    theirs = T.AutoModelForQuestionAnswering.from_pretrained(reader).eval()
    theirs.load_state_dict(ours.model.state_dict())
    examples = list(task().encode(records, ours.processor, limit=512))
    gold = torch.tensor([example.inputs["gold"] for example in examples])
    assert gold[1].tolist() == [0, 0]
    pairs = ([record.values[name] for record in records] for name in ("question", "context"))
    encoded = T.AutoTokenizer.from_pretrained(reader)(*pairs, return_tensors="pt", split_special_tokens=True)
    expected = theirs(**encoded, start_positions=gold[:, 0], end_positions=gold[:, 1]).loss * len(records)
    loss = task().loss(ours.model, ours.collate(task())(examples, range(4)))
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-5)
    loss.backward()
    expected.backward()
    for (name, weight), other in zip(ours.model.named_parameters(), theirs.parameters(), strict=True):
        if other.grad is not None:
            torch.testing.assert_close(weight.grad, other.grad, rtol=1e-5, atol=1e-5, msg=name)


def test_padding_has_no_part_in_the_loss(reader):
    """Transformers' own head spreads probability over it, too."""
    short, long = rows("Ada", context="Ada.") + rows("London")
    ours = load.load(reader, task())
    ours.model.eval()
    examples = list(task().encode([short, long], ours.processor, limit=512))
    collate = ours.collate(task())
    with torch.no_grad():
        together = task().predict(ours.model, collate(examples, [0, 1]))[0]["loss"]
        alone = task().predict(ours.model, collate(examples[:1], [0]))[0]["loss"]
    assert together == pytest.approx(alone, rel=1e-5)


def test_the_best_spans_are_the_best_of_all():
    rng = np.random.default_rng(0)
    for _ in range(200):
        size, longest, count = (int(rng.integers(1, top)) for top in (12, 15, 4))
        start, end, inside = rng.normal(size=size), rng.normal(size=size), rng.random(size) < 0.7
        every = [
            (start[i] + end[j], i, j)
            for i in range(size)
            for j in range(i, min(size, i + longest))
            if inside[i] and inside[j]
        ]
        found = likeliest(start, end, inside, longest=longest, count=count)
        assert [one[1:] for one in found] == [one[1:] for one in sorted(every, reverse=True)[:count]]


# --- contexts longer than the model


def long_row(seed=0, *, words=60, answer="zzq"):
    rng = Random(seed)
    made = ["".join(rng.choices("abcdefgh", k=rng.randint(1, 4))) for _ in range(words)]
    made.insert(rng.randrange(words), answer)
    return rows(answer, context=" ".join(made))[0]


@pytest.mark.parametrize("stride", [0, 5, 128])
@pytest.mark.parametrize("seed", range(4))
def test_windows_cover_the_context_and_each_knows_whether_it_holds_the_answer(reader, stride, seed):
    processor, own, record = T.AutoTokenizer.from_pretrained(reader), task(doc_stride=stride), long_row(seed)
    (whole,) = own.encode([record], processor, limit=1 << 40)
    parts = own.windows(record, whole, processor, limit=40)
    begins, ends = (np.asarray(whole.inputs[name]) for name in ("begins", "ends"))
    before = int((begins[: len(begins) // 2] == -1).sum())
    start = record.values["answers"][0]["start"]
    seen, held, at = [], 0, -1
    for part in parts:
        assert len(part) == 40
        assert part.inputs["input_ids"][:before] == whole.inputs["input_ids"][:before]
        places = [
            pair for pair in zip(part.inputs["begins"], part.inputs["ends"], strict=True) if pair[0] != -1
        ]
        first, last = part.inputs["gold"]
        if (start, start + 1) in places and (start + 2, start + 3) in places:
            held += 1
            assert (part.inputs["begins"][first], part.inputs["ends"][last]) == (start, start + 3)
        else:
            assert (first, last) == (0, 0)
        assert places[0][0] > at or not seen
        at, seen = places[0][0], [*seen, *places]
    assert {*seen} == {pair for pair in zip(begins.tolist(), ends.tolist(), strict=True) if pair[0] != -1}
    assert held or not stride
    beside = own.in_windows(whole, processor, limit=40)
    for name in ("input_ids", "begins", "ends", "gold", "windows", "token_type_ids"):
        assert list(beside.inputs[name]) == [value for part in parts for value in part.inputs[name]]


def test_a_row_in_windows_is_one_row_with_the_best_answer_of_all_windows(reader):
    own = task(no_answer=True, doc_stride=8, n_best_size=2)
    ours = load.load(reader, own)
    ours.model.eval()
    records = [long_row(seed) for seed in range(3)] + rows("Ada")
    read = [example for _, example in as_read(own, records, ours.processor, Data(train=["x"]), limit=40)]
    assert [len(example.inputs["windows"]) > 1 for example in read] == [True] * 4
    collate = ours.collate(own)
    batch = collate(read, range(4))
    told = own.predict(ours.model, batch)
    assert batch.trained == sum(one["tokens"] for one in told)
    for record, one in zip(records, told, strict=True):
        (whole,) = own.encode([record], ours.processor, limit=1 << 40)
        parts = own.windows(record, whole, ours.processor, limit=40)
        each = own.predict(ours.model, collate(parts, range(len(parts))))
        assert one["score"] == pytest.approx(max(part["score"] for part in each), abs=1e-5)
        assert one["null_score"] == pytest.approx(min(part["null_score"] for part in each), abs=1e-5)
        assert one["loss"] == pytest.approx(sum(part["loss"] for part in each), rel=1e-5)
        best = max(each, key=lambda part: part["score"])["n_best"]
        assert one["n_best"][0]["answer"] == best[0]["answer"]
        assert one["n_best"][0]["score"] >= one["n_best"][1]["score"]


def test_windows_that_are_learnt_as_one_row_or_as_many_have_one_loss(reader):
    own, record = task(doc_stride=8), long_row(1)
    ours = load.load(reader, own)
    ours.model.eval()
    (whole,) = own.encode([record], ours.processor, limit=1 << 40)
    split = own.windows(record, whole, ours.processor, limit=40)
    words = {"limit": 40, "overlong": "windows"}
    fitted = own.fitted(record, whole, ours.processor, **words, max_windows=99)
    collate = ours.collate(own)
    with torch.no_grad():
        one = own.loss(ours.model, collate([fitted], [0]))
        many = own.loss(ours.model, collate(split, range(len(split))))
    torch.testing.assert_close(one, many)
    assert fitted.trained == len(split) == len(fitted.inputs["windows"])
    cut = own.fitted(record, whole, ours.processor, **words, max_windows=2)
    assert (len(cut.inputs["windows"]), cut.trained) == (2, 2)
    seen = {*zip(cut.inputs["begins"], cut.inputs["ends"], strict=True)} - {(-1, -1)}
    context = sum(begin != -1 for begin in whole.inputs["begins"])
    assert cut.tokens_lost == context - len(seen) > 0


def test_an_answer_that_is_cut_away_is_not_learnt_as_none(reader):
    processor = T.AutoTokenizer.from_pretrained(reader)
    context = "ab " * 40 + "zzq"
    (kept, lost), (silent,) = (
        list(task().encode(rows(*answers, context=context), processor, limit=30))
        for answers in (("ab", "zzq"), ("",))
    )
    assert (kept.trained, lost.trained, silent.trained) == (1, 0, 1)
    assert (lost.trained_lost, len(lost)) == (1, 30)


def test_a_question_that_fills_the_model_is_named_and_others_stay(reader):
    processor, own = T.AutoTokenizer.from_pretrained(reader), task()
    records = rows("Ada", question="why " * 20) + rows("Ada")
    for data in (Data(train=["x"]), Data(train=["x"], overlong="windows")):
        for trains in (True, False):
            bad, good = (
                example for _, example in as_read(own, records, processor, data, limit=40, trains=trains)
            )
            assert "the question takes" in bad.refused
            assert not good.refused
    fits = rows("a", context="a", question="w" * 33)
    ((_, example),) = as_read(own, fits, processor, Data(train=["x"]), limit=40)
    assert not example.refused  # however little room is left, all of it fits


# --- no answer, and how long one is


def test_what_rows_have_decides_whether_none_may_be_said_and_how_long_answers_are(reader):
    processor = T.AutoTokenizer.from_pretrained(reader)
    long, short = rows("a" * 50, context="b " + "a" * 50), rows("Ada")
    assert task().learn(short).no_answer is False
    assert task().learn(short + rows("")).no_answer is True
    assert task(no_answer=False).learn(rows("")).no_answer is False
    for own, wanted in ((task(), 50), (task(max_answer_length=7), 7)):
        examples = list(own.encode(long + short, processor, limit=512))
        assert own.learn_training(examples, None).max_answer_length == wanted
        assert own.learn_training(examples[1:], None).max_answer_length == (7 if wanted == 7 else 30)


def test_settings_decide_what_is_said(reader):
    ours = load.load(reader, task())
    ours.model.eval()

    def said(**settings):
        own = task(**settings)
        examples = list(own.encode(rows("Ada"), ours.processor, limit=512))
        return own.predict(ours.model, ours.collate(own)(examples, [0]))[0]

    best = said(no_answer=False)
    gap = best["null_score"] - best["score"]
    assert best["answer"] == CONTEXT[best["start"] : best["end"]]
    assert said(no_answer=True, null_score_diff_threshold=gap - 0.1)["answer"] == ""
    assert said(no_answer=True, null_score_diff_threshold=gap - 0.1)["start"] is None
    assert said(no_answer=True, null_score_diff_threshold=gap + 0.1)["answer"] == best["answer"]
    assert len(said(n_best_size=4)["n_best"]) == 4
    assert len(said(max_answer_length=1)["answer"]) <= 2
