"""Explanations in parts: against a closed formula, and words of texts as people write them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from weitiao.core.errors import WeitiaoError
from weitiao.evaluate.explain.attribute import affordable, agreement, shares, without
from weitiao.evaluate.explain.vectors import Followed
from weitiao.evaluate.explain.words import moved, spelt

pytest.importorskip("captum")


def test_a_linear_bag_of_vectors_is_told_exactly():
    generator = torch.Generator().manual_seed(0)
    x, x0 = torch.randn(2, 1, 6, 8, generator=generator)
    weight = torch.randn(8, generator=generator)
    x0[0, 4:] = x[0, 4:]  # what is not the user's

    def score(rows):
        return (rows @ weight).sum((1, 2))

    found = shares(score, x, x0)
    closed = ((x - x0) @ weight).numpy()
    np.testing.assert_allclose(found.token_PT, closed, atol=1e-5)
    assert not found.token_PT[0, 4:].any()
    assert found.gap < 1e-5
    own = [np.arange(6)[None] == place for place in range(6)]
    np.testing.assert_allclose(without(score, x, x0, own, value=found.value), closed[0], atol=1e-5)
    assert agreement(closed[0], closed[0]) == pytest.approx(1)


def test_a_curve_is_told_as_its_integral():
    """f = (w·x)^3 along a line from 0: each share is w_i x_i (w·x)^2."""
    x = torch.tensor([[[1.0], [2.0], [-0.5]]])
    found = shares(lambda rows: rows.sum((1, 2, 3)) ** 3, x, torch.zeros_like(x))
    np.testing.assert_allclose(found.token_PT, (x[..., 0] * 2.5**2).numpy(), rtol=1e-4)


def test_more_steps_are_taken_until_it_adds_up_or_the_most_is_reached():
    x = torch.ones(1, 2, 1)

    def steep(rows):
        return torch.sigmoid(200 * (rows.sum((1, 2, 3)) - 1.013))

    few, many = (shares(steep, x, torch.zeros_like(x), most=most) for most in (16, 1024))
    assert few.steps == 16
    assert few.gap > 0.01
    assert many.steps > 16
    assert many.gap < 0.01


def test_steps_are_spent_where_the_number_moves():
    """As many steps of one rule over the whole way miss most of a jump that the pieces find."""
    x = torch.ones(1, 2, 1)

    def jump(rows):
        return torch.sigmoid(400 * (rows.sum((1, 2, 3)) - 1.413)) + rows.sum((1, 2, 3)) / 100

    found = shares(jump, x, torch.zeros_like(x), most=64)
    assert found.steps <= 64
    nodes, weights = np.polynomial.legendre.leggauss(64)
    at = torch.tensor((nodes + 1) / 2)
    slope = 2 * 400 * torch.sigmoid(400 * (2 * at - 1.413)) * torch.sigmoid(-400 * (2 * at - 1.413))
    assert abs(float((slope * torch.tensor(weights / 2)).sum()) - 1) > 0.1
    assert found.gap < 0.01
    assert [affordable(22_000_000, 30), affordable(160_000_000, 115), affordable(10**10, 100)] == [
        256,
        32,
        16,
    ]


def test_what_no_gradient_reaches_is_refused():
    with pytest.raises(WeitiaoError) as caught:
        shares(lambda rows: rows.detach().sum((1, 2, 3)), torch.ones(1, 2, 1), torch.zeros(1, 2, 1))
    assert caught.value.code == "not_followed"
    with pytest.raises(WeitiaoError):
        Followed(nn.Linear(2, 2))


def test_a_decoder_that_reads_the_same_words_gets_their_vectors(t5):
    from transformers import T5ForSequenceClassification

    torch.manual_seed(0)
    model = T5ForSequenceClassification.from_pretrained(t5, num_labels=2).eval()
    followed = Followed(model)
    one, other = torch.tensor([[5, 9, 11, 2]]), torch.tensor([[7, 12, 11, 2]])
    with torch.no_grad():
        with followed.seen():
            own = model(input_ids=other).logits
        vectors = followed.vectors
        assert torch.equal(followed.ids, other)
        with followed.given(vectors):
            given = model(input_ids=one).logits
    assert torch.allclose(given, own, atol=1e-6)


def byte_level(texts):
    """A tokenizer that learns its merges from these texts, spaces in front of words."""
    from tokenizers import ByteLevelBPETokenizer
    from transformers import PreTrainedTokenizerFast

    inner = ByteLevelBPETokenizer()
    inner.train_from_iterator(texts, vocab_size=400, show_progress=False)
    return PreTrainedTokenizerFast(tokenizer_object=inner._tokenizer, eos_token="<e>")


TEXT = "Café is the cafe\u0301's 👍🏽 don't 电影很好, yes"
WORDS = ["Café", "is", "the", "cafe\u0301's", "👍🏽", "don't", "电", "影", "很", "好", ",", "yes"]


def test_words_are_those_that_a_reader_sees():
    processor = byte_level(["Café is the"])
    ids = processor(TEXT)["input_ids"]
    found = spelt({"text": TEXT}, [0, *ids, 0], processor)
    assert [word.text for word in found] == WORDS
    assert all(TEXT[word.start : word.end] == word.text for word in found)
    shown = [place for place, token in enumerate(ids, start=1) if processor.decode([token]).strip()]
    assert [place for word in found for place in word.tokens] == shown


def test_words_that_share_a_token_are_one():
    processor = byte_level(["电影很好"] * 50)
    found = spelt({"text": TEXT}, processor(TEXT)["input_ids"], processor)
    assert "电影" in "".join(word.text for word in found if len(word.text) > 1)
    assert "".join(word.text for word in found) == "".join(WORDS)


def test_words_of_a_pair_and_of_rows_of_words_have_their_places():
    processor = byte_level(["good film"] * 9)
    first, second = (processor(text)["input_ids"] for text in ("good film", "film good"))
    found = spelt({"a": "good film", "b": "film good"}, [0, *first, 0, *second, 0], processor)
    assert [(word.column, word.text) for word in found] == [
        ("a", "good"),
        ("a", "film"),
        ("b", "film"),
        ("b", "good"),
    ]
    ids = [*processor("film")["input_ids"], *processor(" film")["input_ids"]]
    words = spelt({"tokens.0": "film", "tokens.1": "film"}, ids, processor)
    assert [(word.start, word.end) for word in moved(words, {"text": "film  film"})] == [(0, 4), (6, 10)]


def test_a_span_of_characters_is_named_as_it_is_written():
    from weitiao.tasks.parts.tag_odds import targets

    told = {
        "tags": ["B-LOC", "I-LOC"],
        "scores": [0.9, 0.8],
        "spans": [{"type": "LOC", "start": 0, "end": 2}],
    }
    index = {"O": 0, "B-LOC": 1, "I-LOC": 2}
    (span,) = targets(["北", "京"], told, index, asked=["北京"], how="characters")
    assert (span.name, span.of) == ("北京", [(0, 1), (1, 2)])
