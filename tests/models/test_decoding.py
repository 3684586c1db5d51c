"""Many prompts answered at once: each as Transformers answers it alone, whoever shares the pass; faults are found."""

from __future__ import annotations

import random
from types import SimpleNamespace

import pytest
import torch
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import sdpa_mask

from tests.models.families import built
from weitiao.models.decoding import Answer, Decoding, Way, decode, measure, turns
from weitiao.models.decoding.alone import alone
from weitiao.models.decoding.together import Together

pytestmark = pytest.mark.whole  # every way of decoding on every kind of model

WORDS = SimpleNamespace(pad_token_id=0, all_special_ids=[0, 1, 2])
# Rows keep all they have seen where a window is measured to be kept by the mask; states of their own cannot be shared.
FAMILIES = {
    **dict.fromkeys(("gpt2", "gptj", "bloom", "opt", "mpt", "falcon-alibi", "llama", "mixtral"), Way.RAGGED),
    **dict.fromkeys(
        ("mistral", "gemma2", "gemma3_text", "gpt_oss", "llama4_text", "deepseek_v3"), Way.RAGGED
    ),
    **dict.fromkeys(("mamba", "rwkv", "jamba", "lfm2", "qwen3_next", "recurrent_gemma"), Way.ALONE),
}


def asked(**words) -> Decoding:
    known = {"max_new_tokens": 20, "stops": frozenset({2, 7, 11, 13}), "limit": 60, "rows": 5, "tokens": 200}
    return Decoding(**known | words)


def prompts(count: int = 12) -> list[list[int]]:
    """Of very different length: one word to forty."""
    rng = random.Random(0)
    return [[rng.randrange(4, 60) for _ in range(rng.choice([1, 2, 3, 5, 9, 20, 40]))] for _ in range(count)]


@pytest.fixture(autouse=True)
def _no_gradients():
    with torch.inference_mode():
        yield


@pytest.fixture(scope="module")
def llama():
    return built("llama", "CausalLM")


@pytest.mark.parametrize("family", FAMILIES)
def test_together_as_alone(family):
    model = built(family, "CausalLM")
    way = measure(model, WORDS, longest=64)
    assert way is FAMILIES[family]
    few = asked(max_new_tokens=12)  # more rows than go together, so that some join while others are answered
    found = dict(decode(model, prompts(9), few, way=way))
    assert found == {row: alone(model, prompt, few) for row, prompt in enumerate(prompts(9))}


def test_rows_of_one_length_together_as_alone(llama):
    found = dict(decode(llama, prompts(20), asked(), way=Way.ALIKE))
    assert found == dict(decode(llama, prompts(20), asked(), way=Way.ALONE))


# --- where an answer ends


def test_every_stop_token_ends_an_answer_and_is_no_part_of_it(llama):
    (_, whole), *_ = decode(llama, [[9, 8, 7]], asked(stops=frozenset()), way=Way.RAGGED)
    assert whole == Answer(whole.ids, "length")
    assert len(whole.ids) == 20
    for stop in set(whole.ids):
        ((_, found),) = decode(llama, [[9, 8, 7]], asked(stops=frozenset({63, stop})), way=Way.RAGGED)
        assert found == Answer(whole.ids[: whole.ids.index(stop)], "end", stop)


@pytest.mark.parametrize("way", [Way.RAGGED, Way.ALONE])
def test_the_longest_answer_and_the_end_of_the_positions(llama, way):
    row = list(range(4, 14))
    none = asked(stops=frozenset(), max_new_tokens=5)
    ((_, found),) = decode(llama, [row], none, way=way)
    assert (len(found.ids), found.ending) == (5, "length")
    narrow = asked(stops=frozenset(), max_new_tokens=5, limit=12)
    assert {
        place: (len(answer.ids), answer.ending)
        for place, answer in decode(llama, [row, row[:3], [*row, 5, 5], row * 2, []], narrow, way=way)
    } == {0: (2, "full"), 1: (5, "length"), 2: (0, "full"), 3: (0, "full"), 4: (0, "full")}


def test_other_generation_settings_of_the_model_change_nothing(llama):
    before = dict(decode(llama, prompts(3), asked(), way=Way.ALONE))
    kept = llama.generation_config
    try:
        llama.generation_config = type(kept)(
            repetition_penalty=5.0,
            do_sample=True,
            temperature=9.0,
            num_beams=3,
            eos_token_id=[40],
            min_length=30,
        )
        assert dict(decode(llama, prompts(3), asked(), way=Way.ALONE)) == before
    finally:
        llama.generation_config = kept


# --- who is asked when


class Counted(Together):
    """Remembers how many rows every pass had, and fails where that is more than there is memory for."""

    passes: list[int] = []
    most = 10**9

    def _ask(self, ids, places, sizes, cache):
        self.passes.append(len(ids))
        if len(ids) > self.most:
            super()._ask(ids, places, sizes, cache)  # half written, as it is when memory runs out
            raise torch.OutOfMemoryError("no room")
        return super()._ask(ids, places, sizes, cache)


@pytest.fixture
def passes(monkeypatch):
    monkeypatch.setattr(turns, "Together", Counted)
    monkeypatch.setattr(Counted, "passes", [])
    return Counted


def test_others_join_when_rows_have_ended(llama, passes):
    """Groups that wait for their longest would need many more passes."""
    rows = prompts(24)
    answers = dict(decode(llama, rows, asked(tokens=10**6), way=Way.RAGGED))
    sizes = [len(answers[row].ids) + 1 for row in sorted(range(24), key=lambda row: -len(rows[row]))]
    in_groups = sum(max(sizes[start : start + 5]) for start in range(0, 24, 5))
    assert max(passes.passes) == 5
    assert len(passes.passes) < 0.9 * in_groups < sum(sizes)


def test_no_more_tokens_are_kept_than_asked_for(llama, passes, monkeypatch):
    held = []
    ask = Counted._ask
    monkeypatch.setattr(
        Counted, "_ask", lambda self, ids, places, sizes, cache: held.append(len(sizes) * max(sizes)) or ask(
            self, ids, places, sizes, cache
        )
    )  # fmt: skip
    found = dict(decode(llama, prompts(), asked(tokens=100), way=Way.RAGGED))
    assert 50 < max(held) <= 100
    held.clear()
    assert dict(decode(llama, prompts(), asked(tokens=1), way=Way.RAGGED)) == found
    assert max(passes.passes[-10:]) == 1


def test_where_memory_runs_out_half_of_the_rows_go_on_where_they_stood(llama, passes, monkeypatch):
    whole = dict(decode(llama, prompts(), asked(), way=Way.RAGGED))
    monkeypatch.setattr(Counted, "most", 2)
    assert dict(decode(llama, prompts(), asked(), way=Way.RAGGED)) == whole
    assert passes.passes[-1] <= 2
    monkeypatch.setattr(Counted, "most", 0)
    with pytest.raises(torch.OutOfMemoryError):
        list(decode(llama, prompts(), asked(), way=Way.RAGGED))


# --- planted faults


def deaf(module, query, key, value, mask, **words):
    """Hears what rows are filled up with; rows of one length it reads as they are."""
    groups = query.shape[1] // key.shape[1]
    key, value = (each.repeat_interleave(groups, dim=1) for each in (key, value))
    causal = query.shape[2] > 1
    found = torch.nn.functional.scaled_dot_product_attention(
        query, key, value, is_causal=causal, scale=words.get("scaling")
    )
    return found.transpose(1, 2).contiguous(), None


@pytest.fixture
def faulty():
    model = built("llama", "CausalLM")
    AttentionInterface.register("deaf", deaf)
    AttentionMaskInterface.register("deaf", sdpa_mask)
    return model


def test_an_attention_that_hears_the_filling_continues_rows_of_one_length_alone(faulty):
    faulty.set_attn_implementation("deaf")
    assert measure(faulty, WORDS, longest=64) is Way.ALIKE
    assert "of one length" in Way.ALIKE.notices("it")[0]
    found = dict(decode(faulty, prompts(20), asked(), way=Way.ALIKE))
    assert found == dict(decode(faulty, prompts(20), asked(), way=Way.ALONE))


@pytest.mark.parametrize("fault", ["positions", "neighbour", "breaks"])
def test_what_mixes_rows_up_or_breaks_is_asked_one_by_one(faulty, fault):
    forward = faulty.model.forward

    def wrong(*args, position_ids=None, **words):
        if fault == "breaks" and len(words["input_ids"]) > 1:
            raise IndexError("one row at a time")
        if fault == "positions" and position_ids is not None:
            position_ids = position_ids * 0
        said = forward(*args, position_ids=position_ids, **words)
        if fault == "neighbour":
            said.last_hidden_state = said.last_hidden_state + said.last_hidden_state.mean(0, keepdim=True)
        return said

    faulty.model.forward = wrong
    assert measure(faulty, WORDS, longest=64) is Way.ALONE
    assert "one by one" in Way.ALONE.notices("it")[0]


def test_half_precision_is_no_fault_and_a_fault_in_it_is_one(faulty):
    faulty.to(torch.bfloat16)
    assert measure(faulty, WORDS, longest=64) is Way.RAGGED
    faulty.set_attn_implementation("deaf")
    assert measure(faulty, WORDS, longest=64) is Way.ALIKE


def test_draws_of_one_word_are_greedy(llama):
    def drawn(**words):
        options = asked(sample=True, seed=1, stops=frozenset(), **words)
        return {row: answer.ids for row, answer in decode(llama, prompts(3), options, way=Way.RAGGED)}

    greedy = dict(decode(llama, prompts(3), asked(stops=frozenset()), way=Way.RAGGED))
    greedy = {row: answer.ids for row, answer in greedy.items()}
    assert (
        drawn(top_k=1) == drawn(top_p=1e-6) == drawn(temperature=1e-4) == drawn(temperature=1e-39) == greedy
    )
    assert drawn() != greedy
