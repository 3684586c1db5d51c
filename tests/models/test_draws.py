"""Words that are drawn: from the distribution that is asked for, by seed and row alone, with their log-probabilities."""

from __future__ import annotations

import math

import pytest
import torch
from scipy import stats
from transformers import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from tests.models.families import built
from tests.models.test_decoding import WORDS, Counted, asked, prompts
from tests.tasks import writers
from weitiao.core.errors import WeitiaoError
from weitiao.models.decoding import Decoding, OwnSampler, Search, Way, decode, log_probabilities, turns, write
from weitiao.models.decoding.draws import key, waits

pytestmark = pytest.mark.whole  # many weights drawn

OWN = {"temperature": 1.0, "top_k": 0}
"""The model's own distribution."""
FILTERS = [
    OWN,
    {"temperature": 0.6, "top_k": None},
    {"temperature": 1.3, "top_k": 7},
    {"temperature": 1.0, "top_k": 0, "top_p": 0.8},
    {"temperature": 0.8, "top_k": 12, "top_p": 0.7},
]
ANYTHING = 1e-4
"""Of all seeds so many would fail a test of chance; the seed is fixed."""


def drawing(**words) -> Decoding:
    return asked(
        **{"sample": True, "seed": 5, "stops": frozenset({2, 7}), "temperature": 1.0, "top_k": 0} | words
    )


def drawn(model, asked_of, way=Way.RAGGED, numbers=None, **words):
    return dict(decode(model, asked_of, drawing(**words), way=way, numbers=numbers))


def ids(answers) -> dict[int, list[int]]:
    return {row: [*answer.ids, answer.end] for row, answer in answers.items()}


@pytest.fixture(autouse=True)
def _no_gradients():
    with torch.inference_mode():
        yield


@pytest.fixture(scope="module")
def llama():
    """With scores that leave several words likely."""
    model = built("llama", "CausalLM")
    model.lm_head.weight.data *= 0.5 / model(input_ids=torch.tensor(prompts(1))).logits.std()
    return model


# --- what may be drawn, and how likely it is


@pytest.mark.parametrize("spread", [0.1, 1.0, 5.0])
@pytest.mark.parametrize("words", FILTERS)
def test_what_takes_part_is_what_transformers_leaves(words, spread):
    """Flat scores, of which thousands take part, and steep ones."""
    scores_NV = torch.randn(6, 5000, generator=torch.Generator().manual_seed(0)) * spread
    theirs = TemperatureLogitsWarper(words["temperature"])(None, scores_NV)
    if words["top_k"]:
        theirs = TopKLogitsWarper(words["top_k"])(None, theirs)
    if "top_p" in words:
        theirs = TopPLogitsWarper(words["top_p"])(None, theirs)
    found = log_probabilities(scores_NV, **words)
    assert torch.equal(found.isinf(), theirs.isinf())
    torch.testing.assert_close(found, theirs.log_softmax(-1))


def test_words_that_are_as_likely_take_part_together():
    """In half precision many are; which of them a sort puts first is no reason."""
    scores_NV = torch.tensor([[3.0, 1.0, 2.0, 2.0, 2.0, 0.0]])
    for words in ({"top_k": 2}, {"top_k": 3}, {"top_p": 0.5}, {"top_p": 0.7}):
        assert log_probabilities(scores_NV, **words).isfinite().tolist() == [[1, 0, 1, 1, 1, 0]]


def test_gradients_are_those_of_the_filtered_distribution():
    scores_NV = torch.randn(4, 30, generator=torch.Generator().manual_seed(1))
    found = []
    for way in ("ours", "theirs"):
        with torch.inference_mode(mode=False), torch.enable_grad():
            scores = scores_NV.clone().requires_grad_()
            if way == "ours":
                logps = log_probabilities(scores, temperature=0.7, top_k=9, top_p=0.8)
            else:
                made = TopKLogitsWarper(9)(None, TemperatureLogitsWarper(0.7)(None, scores))
                logps = TopPLogitsWarper(0.8)(None, made).log_softmax(-1)
            logps.amax(-1).sum().backward()
        found.append(scores.grad)
    torch.testing.assert_close(*found)


@pytest.mark.parametrize("score", [math.nan, math.inf])
def test_scores_that_are_no_numbers_are_an_error_and_no_word(llama, score):
    def spoilt(model, asked, said):
        said.logits[..., 9] = score

    hook = llama.register_forward_hook(spoilt)
    try:
        for way in (Way.RAGGED, Way.ALONE):
            with pytest.raises(WeitiaoError, match="no_numbers"):
                drawn(llama, prompts(2), way)
    finally:
        hook.remove()


# --- chance


def test_times_are_exponential_and_know_nothing_of_each_other():
    """Over words, rows, places and seeds, as over pairs of neighbours."""
    asked_of = [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (2**63, 2**40, 7), (-3, 0, 0)]
    told = waits(torch.tensor([key(*each) for each in asked_of], dtype=torch.int32), 20_000)
    for one in told:
        assert stats.kstest(one.numpy(), "expon").pvalue > ANYTHING
        assert abs(stats.pearsonr(one[:-1], one[1:]).statistic) < 4 / math.sqrt(20_000)
    for place, one in enumerate(told):
        for other in told[:place]:
            assert abs(stats.pearsonr(one, other).statistic) < 4 / math.sqrt(20_000)
    few = waits(torch.tensor([key(0, row, 3) for row in range(4000)], dtype=torch.int32), 2)
    assert stats.kstest(few[:, 0].numpy(), "expon").pvalue > ANYTHING
    assert abs(stats.pearsonr(few[:-1, 0], few[1:, 0]).statistic) < 4 / math.sqrt(4000)


@pytest.mark.parametrize("words", FILTERS)
def test_words_come_as_often_as_they_are_likely(llama, words):
    """One prompt, asked very often, and read once; its first two words together."""
    row, count = [9, 8, 7], 8_000
    answers = drawn(
        llama, [row] * count, rows=count, tokens=10**9, max_new_tokens=2, stops=frozenset(), **words
    )
    pairs = torch.tensor([answers[place].ids for place in range(count)])
    first = log_probabilities(llama(input_ids=torch.tensor([row])).logits[:, -1], **words).exp()
    after = torch.tensor([[*row, word] for word in range(64)])
    second = log_probabilities(llama(input_ids=after).logits[:, -1], **words).exp()
    expected = (first.T * second).flatten().double()
    found = torch.bincount(pairs[:, 0] * 64 + pairs[:, 1], minlength=64 * 64)
    assert not found[expected == 0].any()
    rare = expected * count < 5  # together, as the test asks
    observed, meant = [
        torch.cat([each[~rare], each[rare].sum()[None]]) for each in (found.double(), expected * count)
    ]
    kept = meant > 0
    observed, meant = observed[kept], meant[kept] * (count / meant[kept].sum())
    assert len(meant) > 10
    assert stats.chisquare(observed.numpy(), meant.numpy()).pvalue > ANYTHING


def test_a_draw_depends_on_the_seed_and_the_rows_number_alone(llama, monkeypatch):
    rows = prompts(14)
    whole = drawn(llama, rows)
    assert len({tuple(answer.ids) for answer in whole.values()}) > 7
    for way in (Way.ALIKE, Way.ALONE):
        assert ids(drawn(llama, rows, way)) == ids(whole)
    assert ids(drawn(llama, rows, rows=1)) == ids(drawn(llama, rows, rows=14)) == ids(whole)
    # In another order, and few of them.
    order = [9, 3, 11, 0]
    some = drawn(llama, [rows[row] for row in order], numbers=order)
    assert ids(some) == {place: ids(whole)[row] for place, row in enumerate(order)}
    assert ids(drawn(llama, rows[:3], seed=6)) != ids(drawn(llama, rows[:3]))
    # Where memory runs out, some are drawn for again.
    monkeypatch.setattr(turns, "Together", Counted)
    monkeypatch.setattr(Counted, "most", 2)
    again = drawn(llama, rows)
    assert ids(again) == ids(whole)
    for row, answer in whole.items():
        assert again[row].logps == pytest.approx(answer.logps, abs=1e-4)


def test_without_a_seed_draws_are_others_each_time_and_take_no_chance_from_others(llama):
    state = torch.get_rng_state()
    told = [
        ids(drawn(llama, prompts(3), way, seed=None)) for way in (Way.RAGGED, Way.ALONE) for _ in range(2)
    ]
    assert all(one != other for place, one in enumerate(told) for other in told[:place])
    assert torch.equal(torch.get_rng_state(), state)


def test_prompts_that_are_asked_several_times_are_read_once(llama, monkeypatch):
    monkeypatch.setattr(turns, "Together", Counted)
    monkeypatch.setattr(Counted, "passes", [])
    several = [prompt for _ in range(4) for prompt in ([9, 8, 7, 6, 5], [4, 5], [9, 9, 9, 9, 9])]
    found = drawn(llama, several, rows=12, tokens=10**6, max_new_tokens=8)
    assert Counted.passes[:2] == [3, 12 - sum(len(answer.logps) == 1 for answer in found.values())]
    alone = drawn(llama, several, Way.ALONE, max_new_tokens=8)
    assert ids(found) == ids(alone)
    assert len({tuple(answer.ids) for answer in found.values()}) > 9


# --- what it was drawn from


@pytest.mark.parametrize("way", [Way.RAGGED, Way.ALONE])
@pytest.mark.parametrize("words", FILTERS)
def test_log_probabilities_of_what_was_drawn_are_those_that_it_is_scored(llama, words, way):
    rows, ended = prompts(8), 0
    for row, answer in drawn(llama, rows, way, stops=frozenset(range(2, 20)), **words).items():
        ended += answer.ending == "end"
        assert (answer.end is None) is (answer.ending != "end")
        said = answer.ids + ([] if answer.end is None else [answer.end])
        whole = torch.tensor([rows[row] + said])
        scores_NV = llama(input_ids=whole).logits[0, len(rows[row]) - 1 : -1]
        scored = log_probabilities(scores_NV, **words).gather(-1, torch.tensor(said)[:, None])[:, 0]
        assert answer.logps == pytest.approx(scored.tolist(), abs=1e-4)
        assert len(said) > 0
    assert 2 <= ended <= 8


def test_greedy_answers_have_no_log_probabilities_and_name_their_end(llama):
    for way in (Way.RAGGED, Way.ALONE):
        for answer in dict(decode(llama, prompts(6), asked(), way=way)).values():
            assert answer.logps == []
            assert (answer.end in asked().stops) is (answer.ending == "end")


# --- who draws


def test_the_sampler_is_this_engine_and_leaves_no_gradients(llama):
    sampler = OwnSampler.of(llama, WORDS, longest=60)
    assert sampler.way is Way.RAGGED
    found = dict(sampler.sample(prompts(3), drawing(), numbers=[2, 1, 0]))
    assert found == drawn(llama, prompts(3), numbers=[2, 1, 0])
    with torch.inference_mode(mode=False), torch.enable_grad():
        for _ in sampler.sample(prompts(3), drawing()):
            assert torch.is_grad_enabled()  # who asked has it back between answers


def test_a_listener_hears_what_is_drawn(llama):
    class Listener:
        def __init__(self):
            self.heard = []

        def put(self, tokens):
            self.heard += tokens.flatten().tolist()

        def end(self):
            self.heard.append(None)

    listener = Listener()
    settings = drawing(stops=frozenset())
    ((_, found),) = decode(llama, [[9, 8, 7]], settings, way=Way.ALONE, streamer=listener)
    assert listener.heard == [9, 8, 7, *found.ids, None]


def test_encoder_decoders_draw_together_as_alone():
    model = writers.model("t5").eval()
    rows, settings = prompts(9), drawing(stops=frozenset({1}), rows=4)
    told = [dict(write(model, rows, [0], settings, Search(), together=each)) for each in (True, False)]
    assert ids(told[0]) == ids(told[1])
    assert len({tuple(answer.ids) for answer in told[0].values()}) > 5
    for row, answer in told[0].items():
        said = answer.ids + ([] if answer.end is None else [answer.end])
        scores = model(
            input_ids=torch.tensor([rows[row]]), decoder_input_ids=torch.tensor([[0, *said[:-1]]])
        ).logits[0]
        scored = log_probabilities(scores, **OWN).gather(-1, torch.tensor(said)[:, None])[:, 0]
        assert answer.logps == pytest.approx(scored.tolist(), abs=1e-4)
