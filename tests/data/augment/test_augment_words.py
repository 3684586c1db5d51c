"""Words and gaps give the text back; edits keep punctuation; what may be changed is what is asked."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weitiao.data import shapes
from weitiao.data.augment.words import Text, changeable

texts = st.text(st.sampled_from("ab c'-,. \n好很。é3_\U00020000"), max_size=30)


@given(texts)
def test_a_text_is_its_words_and_gaps(text):
    cut = Text.cut(text, segment="characters")
    assert str(cut) == text
    assert all(word.strip() for word in cut.words)
    assert len(cut.gaps) == len(cut.words) + 1
    if cut.words:
        assert cut.edited(list(enumerate(cut.words))) == text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The film, twice.", ["The", "film", "twice"]),
        ("don't re-watch it", ["don't", "re-watch", "it"]),
        ("好film很3D", ["好", "film", "很", "3D"]),
        ("a_b  c", ["a", "b", "c"]),
        ("... !", []),
        ("हिन्दी फ़िल्म।", ["हिन्दी", "फ़िल्म"]),
        ("cafe\u0301 U.S.", ["cafe\u0301", "U", "S"]),
    ],
)
def test_words_are_runs_of_letters_and_chinese_characters(text, words):
    assert Text.cut(text, segment="characters").words == words


def test_jieba_cuts_chinese_as_jieba_does():
    import jieba

    jieba.setLogLevel("WARNING")
    sentence = "酒店的服务非常好"
    assert Text.cut(f"{sentence}, ok", segment="jieba").words == [*jieba.Tokenizer().cut(sentence), "ok"]


@pytest.mark.parametrize(
    ("text", "words", "edited"),
    [
        ("the film, was", [(0, "the"), (2, "was")], "the, was"),
        ("one two three", [(0, "one"), (2, "three")], "one three"),
        ("one two", [(0, "one")], "one"),
        ("one two!", [(0, "one")], "one!"),
        ("one two", [(1, "two")], "two"),
        ("(one) two", [(0, "one"), (None, "new"), (1, "two")], "(one new) two"),
        ("one", [(0, "one"), (None, "x"), (None, "y")], "one x y"),
        ("很好", [(0, "很"), (None, "真"), (1, "好")], "很真好"),
    ],
)
def test_gaps_go_with_their_words(text, words, edited):
    assert Text.cut(text, segment="characters").edited(words) == edited


TURNS = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]


@pytest.mark.parametrize(
    ("shape", "values", "addresses"),
    [
        (shapes.LABELLED, {"text": "a", "text_pair": "b", "label": "c"}, {"text", "text_pair"}),
        (shapes.PLAIN, {"text": "a"}, {"text"}),
        (shapes.TRANSLATION, {"source": "a", "target": "b"}, {"source"}),
        (
            shapes.CONVERSATION,
            {"messages": [{"role": "system", "content": "s"}, *TURNS, *TURNS]},
            {"messages.1.content", "messages.3.content"},
        ),
        (
            shapes.PREFERENCE,
            {"prompt": TURNS, "chosen": TURNS[:1], "rejected": TURNS[1:]},
            {"prompt.0.content"},
        ),
        (shapes.UNPAIRED, {"prompt": TURNS[:1], "completion": TURNS, "label": True}, {"prompt.0.content"}),
        (shapes.PAIR, {"anchor": "a", "positive": "b", "negative": ["c"]}, {"anchor"}),
        (shapes.SCORED_PAIR, {"sentence1": "a", "sentence2": "b", "score": 1}, {"sentence1", "sentence2"}),
        (shapes.QUESTIONED, {"question": "a", "context": "b", "answers": []}, {"question", "context"}),
        (shapes.PICTURED, {"image": "a.png", "label": "b"}, set()),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_what_is_asked_may_be_changed_and_what_is_answered_may_not(shape, values, addresses):
    assert set(changeable(shape, values)) == addresses
