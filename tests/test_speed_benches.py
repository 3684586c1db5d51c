"""The benches of answers, samples and labelling: what they plant, and what they compare.

a hash of a word and its place  ->  an end, the same in every company;    figures by hand  ->  apart, table
"""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from benchmarks import answers, labelling, pictures, sampling, serve
from tests.models.families import built
from weitiao.models.decoding import Way

STOP = 2


class Flat(nn.Module):
    """Scores of ten words, all alike."""

    def forward(self, input_ids, position_ids):
        return SimpleNamespace(logits=torch.zeros(*input_ids.shape, 10))


def ends(model, ids, places):
    return model(input_ids=ids, position_ids=places).logits[:, -1].argmax(-1) == STOP


def test_planted_answers_end_one_time_in_so_many_and_in_any_company_at_the_same_word():
    model = Flat()
    ids, places = torch.randint(0, 50_000, (20_000, 1)), torch.randint(0, 300, (20_000, 1))
    with answers.planted(model, STOP, mean=40):
        together = ends(model, ids, places)
        assert together.float().mean().item() == pytest.approx(1 / 40, rel=0.25)
        # Alone, and with a prompt before it that is filled up on the left.
        for row in [*together.nonzero()[:3, 0].tolist(), *(~together).nonzero()[:3, 0].tolist()]:
            longer = torch.cat([torch.zeros(1, 4, dtype=torch.long), ids[row : row + 1]], dim=1)
            place = torch.cat([torch.zeros(1, 4, dtype=torch.long), places[row : row + 1]], dim=1)
            assert ends(model, longer, place).item() == together[row].item()
        scores = model(input_ids=ids, position_ids=places).logits[:, -1, STOP]
        assert scores.isinf().all(), "no answer ends by itself"
    assert not ends(model, ids, places).any()


def test_an_answer_that_goes_another_way_is_told_by_how_much_less_likely_its_word_is():
    class Slope(Flat):
        def forward(self, input_ids, position_ids, use_cache):
            said = super().forward(input_ids, position_ids)
            said.logits += 0.25 * torch.arange(10)
            return said

    bench = answers.Bench(Slope(), None, STOP, [[5], [6], [7]], batch=2, longest=9)
    said = {0: [4, 9], 1: [9], 2: [9, 8]}
    truth = {0: [4, 9], 1: [9, 8], 2: [7, 8]}
    # Row 1 ends where the other says 8; row 2 says 9 where the other says 7.
    assert answers._ties(bench, said, truth) == {1: pytest.approx(1.5), 2: pytest.approx(0.5)}


@torch.inference_mode()
def test_tokens_of_samples_count_up_to_their_ends_and_are_scored_as_they_were_drawn():
    model = built("llama", "CausalLM")
    bench = answers.Bench(model, SimpleNamespace(pad_token_id=0), STOP, [[5, 6, 7], [8]], 6, 6, Way.RAGGED)
    group = sampling.Group(bench, samples=3, top_p=0.9)
    for mean, each in ((1, 1), (10**9, 6)):  # all end at once, and none does
        with answers.planted(model, STOP, mean=mean, certain=sampling.CERTAIN):
            assert group.ours(0) == group.theirs(0) == 6 * each
    with answers.planted(model, STOP, mean=4, certain=sampling.CERTAIN):
        counts = {draw(seed) for draw in (group.ours, group.theirs) for seed in range(2)}
        assert 6 < min(counts) <= max(counts) < 36
        assert max(group.gaps()) < 1e-4


def test_a_labelling_ratio_compares_runs_of_one_round_and_logits_row_by_row():
    def run(cpu_s, *logits):
        return {"cpu_s": cpu_s, "wall_s": 1.0, "peak_rss_mb": 500.0, "logits": list(logits)}

    found = {
        labelling.OURS: [run(1.0, 0.5, -2.0), run(10.0, 0.5, -2.0)],
        labelling.HALF: [run(0.5, 0.5, -2.0)] * 2,
        labelling.THEIRS: [run(2.0, 0.5, -2.25), run(40.0, 0.5, -2.25)],
    }
    assert labelling.apart(found[labelling.OURS][0], found[labelling.THEIRS][0]) == 0.25
    line = next(x for x in labelling.table(found, training_mb=1000.0).splitlines() if "float32" in x)
    # 2 rows in a median of 5.5 s; twice and four times as quick: three; half the training's memory.
    assert line.split()[-7:] == ["5.50", "0", "3.00", "1.00", "500", "0.50", "2.5e-01"]


def test_a_ratio_of_pictures_compares_runs_of_one_round():
    def run(cpu, last):
        return {"cpu_s": cpu, "peak_mb": 500.0, "last": last}

    found = {"ours": [run(2.0, 0.8), run(4.0, 0.9)], "trainer": [run(10.0, 0.7), run(12.0, 0.7)]}
    line = next(x for x in pictures.table("head", found).splitlines() if "Trainer" in x)
    assert line.split()[-4:] == ["11.0", "4.00", "500", "0.7"]


def test_a_ratio_of_servers_compares_what_one_request_takes_in_one_round():
    def run(cpu_s):
        return {"cpu_s": cpu_s, "tokens": 10, "requests_per_s": 5.0, "cpu_ms": 100 * cpu_s}

    found = {"ours": [run(1.0), run(2.0)], "fastapi": [run(3.0), run(3.0)]}
    line = next(x for x in serve.table(found, {"ours": 1.0, "fastapi": 0.5}).splitlines() if "FastAPI" in x)
    assert line.split()[-5:] == ["300.0", "10.0", "3.00,", "1.50", "0.500"]
