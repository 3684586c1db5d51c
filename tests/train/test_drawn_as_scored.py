"""What answers are drawn with and what the loss scores them with: the same numbers, or it is said which they are."""

from __future__ import annotations

import pytest
import torch

import weitiao as wt
from tests.train.test_rollouts import EXACT, with_task
from weitiao.train.loop import Watcher

pytestmark = pytest.mark.whole  # trainings that answer


def narrowed(scores_V, temperature, top_k, top_p):
    """Log-probabilities of what may be drawn, word by word: brute force."""
    shares = sorted(
        enumerate((scores_V.double() / temperature).softmax(-1).tolist()), key=lambda one: -one[1]
    )
    shares = shares[: top_k or None]
    total, kept, before = sum(share for _, share in shares), {}, 0.0
    for word, share in shares:
        if before < top_p:
            kept[word] = share / total
        before += share / total
    whole = sum(kept.values())
    return {word: share / whole for word, share in kept.items()}


class Compares(Watcher):
    """At the first pass of every rollout: what was drawn, what was kept of it, and what the weights say then, row by row."""

    def __init__(self, **words):
        self.words, self.drawn, self.asked, self.far, self.ratios = words, [], [], [], []

    def on_start(self, training):
        rollouts = training.batches
        draw, score, loss = rollouts.draw, rollouts.score, training.objective.loss

        def drawing(*asked):
            self.drawn = draw(*asked)
            return self.drawn

        def scoring(written, voice):
            self.asked.append(voice)
            return score(written, voice)

        def losing(batch, trained, **words):
            found = loss(batch, trained, **words)
            self.ratios.append(batch.told["clip_ratio"])
            return found

        rollouts.draw, rollouts.score, training.objective.loss = drawing, scoring, losing

    def on_gradients(self, training):
        model, held = training.model, training.batches._held
        if len(self.far) % 2:  # the second pass: the weights have moved
            self.far.append(None)
            return
        model.eval()
        far, starts = [0.0, 0.0], held["bounds/old"].tolist()
        for row, one in enumerate(self.drawn):
            answer = [*one.ids, *([] if one.end is None else [one.end])]
            assert len(one.logps) == len(answer)
            with torch.no_grad():
                logits = model(input_ids=torch.tensor([[*one.prompt, *answer]])).logits[0]
            old = held["inputs/old"][starts[row] : starts[row + 1]].tolist()
            for place, token in enumerate(answer, start=len(one.prompt) - 1):
                nth = place - len(one.prompt) + 1
                whole = (logits[place].double() / self.words["temperature"]).log_softmax(-1)[token]
                drawn = narrowed(logits[place], **self.words)[token]
                far[0] = max(far[0], abs(old[nth] - float(whole)))
                far[1] = max(far[1], abs(one.logps[nth] - float(torch.tensor(drawn).log())))
        model.train()
        self.far.append(far)


@pytest.mark.parametrize(
    "words",
    [
        {"temperature": 0.7, "top_k": 0, "top_p": 1.0},
        {"temperature": 1.6, "top_k": 5, "top_p": 0.8},
        {"temperature": 0.7, "top_k": 0, "top_p": 0.6},
        {"temperature": 1.0, "top_k": 3, "top_p": 1.0},
    ],
)
def test_drawn_and_scored_log_probabilities_are_the_same_and_old_ones_those_of_all_words(
    reward, tmp_path, words
):
    """The sampler's are those of what it draws from; the ratio is that of the full distribution, and 1 at the first pass."""
    told, sees = [], Compares(**words)
    recipe = reward(output_dir=str(tmp_path / "run"), **{**EXACT, "max_steps": 4})
    wt.train(
        with_task(recipe, **words),
        watchers=[sees],
        tell=lambda event, **facts: told.append(facts.get("text")),
    )
    first = [each for each in sees.far if each]
    assert len(first) == 2
    assert max(far for each in first for far in each) < 1e-4
    assert all(not stopped for stopped, _ in sees.ratios[::2])
    narrow = words["top_k"] or words["top_p"] < 1
    # Where nothing is left out the policy is not asked again: it has said so when it was asked for the words.
    assert ("policy" in sees.asked) == bool(narrow)
    assert any("ratios are those of the full distribution" in (text or "") for text in told) == bool(narrow)


def test_in_half_precision_old_log_probabilities_are_scored(reward, tmp_path):
    sees = Compares(temperature=1.0, top_k=0, top_p=1.0)
    sees.on_gradients = lambda training: None
    wt.train(
        reward(output_dir=str(tmp_path / "run"), **{**EXACT, "max_steps": 1, "bf16": True}), watchers=[sees]
    )
    assert "policy" in sees.asked
