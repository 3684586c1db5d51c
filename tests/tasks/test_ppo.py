"""PPO: loss and gradient as the papers have them, every setting of it, and what the value head is to the model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.models.test_output_loss import language_model
from tests.tasks.test_policy import answers, by_hand
from weitiao.core import registry
from weitiao.core.errors import WeitiaoError
from weitiao.data.layout import Layout
from weitiao.models import load, output_loss, store, value_head
from weitiao.tasks.parts import packed, returns

pytestmark = pytest.mark.whole  # policies with a value head

USUAL = {"cliprange": 0.1, "cliprange_value": 0.15, "kl_coef": 0.3, "temperature": 1.0}
CASES = {
    "usual": {},
    "cliprange": {"cliprange": 0.4},
    "cliprange_value": {"cliprange_value": 0.6},
    "vf_coef": {"vf_coef": 0.7},
    "gamma": {"gamma": 0.8},
    "lam": {"lam": 0.3},
    "kl_coef": {"kl_coef": 0.0},
    "kl_estimator": {"kl_estimator": "k3"},
    "kl_in": {"kl_in": "loss", "kl_estimator": "k3"},
    "whiten_rewards": {"whiten_rewards": True},
    "missing_eos_penalty": {"missing_eos_penalty": 2.0},
    "temperature": {"temperature": 0.6},
}


def built(words):
    return registry.build(
        "task", {"name": "ppo", "response_length": 6, "rewards": ["regex"], **USUAL, **words}
    )


def opened(folder, task):
    """A model that has moved, LoRA in it, and a value head that says something."""
    loaded, method = load.load(folder, task), registry.build("method", {"name": "lora"})
    store.prepare(loaded, method, seed=0, task=task)
    torch.manual_seed(5)
    with torch.no_grad():
        for name, weight in loaded.trained.items():
            if "lora" in name or "value_head" in name:
                weight += torch.randn_like(weight) * 0.3
    loaded.model.eval()
    return loaded, method


def states(model, example):
    """What the output layer reads at an answer's tokens, one row alone."""
    ids, size = torch.as_tensor(example.inputs["input_ids"]), (example.inputs["labels"] != -100).sum()
    hidden = model(input_ids=ids[None], output_hidden_states=True).hidden_states[-1]
    return hidden[0, -size - 1 : -1].double()


def says(model, example):
    head = model.value_head
    return states(model, example) @ head.weight.double() + head.bias.double()


def rollout(task, loaded, method):
    """What was drawn, said and rated before the model moved on, and what the task makes of it."""
    drawn, rng = answers(prompts=8, each=1), np.random.default_rng(1)
    drawn[3] = replace(drawn[3], end=None)
    drawn[6] = replace(drawn[6], end=None)
    worth = rng.normal(size=len(drawn)) * 2
    rows = [task.written(one.prompt, one.ids, one.end) for one in drawn]
    with torch.no_grad():
        now = [by_hand(loaded.model, row, task.temperature).numpy() for row in rows]
        old = [each + rng.normal(size=len(each)) * 0.2 for each in now]
        values = [says(loaded.model, row).numpy() + rng.normal(size=row.trained) * 0.3 for row in rows]
        with method.off(loaded.model, {}):
            reference = [by_hand(loaded.model, row, task.temperature).numpy() for row in rows]
    told = {
        "policy": [{"logps": a.tolist(), "values": b.tolist()} for a, b in zip(old, values, strict=True)],
        "reference": [{"logps": each.tolist()} for each in reference],
    }
    heard = {voice: told[voice] for voice in task.asks}
    found = task.learnt(drawn, [{"reward": float(each)} for each in worth], heard)
    return drawn, rows, worth, old, values, reference, found


def expected(task, model, drawn, rows, worth, old, values, reference):
    """Rows filled up on the right, advantages as the sum of discounted errors that the definition is, in double precision."""
    width, double = max(row.trained for row in rows), torch.float64

    def filled(parts):
        return torch.stack(
            [torch.nn.functional.pad(torch.as_tensor(p, dtype=double), (0, width - len(p))) for p in parts]
        )

    mask = filled([np.ones(row.trained) for row in rows])
    before, said, further = filled(old), filled(values), filled(reference)

    def mean(each):
        return (each * mask).sum() / mask.sum()

    def white(each, shift):
        spread = mean((each - mean(each)) ** 2) * mask.sum() / (mask.sum() - 1)
        return (each - mean(each)) / (spread + 1e-8).sqrt() + (0 if shift else mean(each))

    x = further - before
    apart = -x if task.kl_estimator == "k1" else x.exp() - 1 - x
    rewards = -task.kl_coef * apart * (task.kl_in == "reward")
    for at, (one, row) in enumerate(zip(drawn, rows, strict=True)):
        rewards[at, row.trained - 1] += worth[at] - (task.missing_eos_penalty or 0) * (one.end is None)
    if task.whiten_rewards:
        rewards = white(rewards, shift=False)
    gains = torch.zeros_like(rewards)
    for at, row in enumerate(rows):
        for t in range(row.trained):
            for k in range(t, row.trained):
                after = said[at, k + 1] if k + 1 < row.trained else 0.0
                error = rewards[at, k] + task.gamma * after - said[at, k]
                gains[at, t] += (task.gamma * task.lam) ** (k - t) * error
    due, gains = gains + said, white(gains, shift=True)
    now, value = (
        filled_with_gradient(each, width) for each in zip(*of_model(task, model, rows), strict=True)
    )
    ratio = (now - before).exp()
    policy = torch.max(-gains * ratio, -gains * ratio.clamp(1 - task.cliprange, 1 + task.cliprange))
    near = torch.min(torch.max(value, said - task.cliprange_value), said + task.cliprange_value)
    error = 0.5 * torch.max((value - due) ** 2, (near - due) ** 2)
    loss = policy + task.vf_coef * error
    if task.kl_in == "loss":
        loss = loss + task.kl_coef * ((further - now).exp() - 1 - (further - now))
    return mean(loss)


def of_model(task, model, rows):
    return [(by_hand(model, row, task.temperature), says(model, row)) for row in rows]


def filled_with_gradient(parts, width):
    return torch.stack([torch.nn.functional.pad(each, (0, width - len(each))) for each in parts])


@pytest.mark.parametrize("words", CASES.values(), ids=CASES)
def test_loss_and_gradient_are_the_formula_in_one_piece_and_in_three(llama, words):
    task = built(words)
    loaded, method = opened(llama, task)
    *known, found = rollout(task, loaded, method)
    wanted = expected(task, loaded.model, *known)
    with torch.no_grad():
        usual = expected(built({}), loaded.model, *known)
    assert not words or abs(float(wanted.detach() - usual)) > 1e-4  # the setting says something
    weights = [weight for weight in loaded.model.parameters() if weight.requires_grad]
    gradients = torch.autograd.grad(wanted, weights)
    size = max(float(each.abs().max()) for each in gradients)
    whole = sum(example.trained for example in found.examples)
    assert whole == sum(row.trained for row in known[1])
    for layout in (Layout.PACKED,) if words else (Layout.PACKED, Layout.PADDED):
        collate = replace(loaded, layout=layout).collate(task)
        for parts in ([[*range(8)]], [[7, 2], [1], [0, 3, 4, 5, 6]]):
            loss = torch.zeros(())
            loaded.model.zero_grad()
            for rows in parts:
                part = task.loss(loaded.model, collate([found.examples[row] for row in rows], rows)) / whole
                part.backward()
                loss = loss + part.detach()
            torch.testing.assert_close(loss.double(), wanted.detach(), rtol=1e-5, atol=1e-5)
            for weight, each in zip(weights, gradients, strict=True):
                torch.testing.assert_close(weight.grad, each.float(), rtol=1e-4, atol=1e-5 * size)


def test_what_is_told_is_what_the_formula_says(llama):
    task = built({})
    loaded, method = opened(llama, task)
    drawn, rows, worth, old, values, reference, found = rollout(task, loaded, method)
    batch = loaded.collate(task)(found.examples, [*range(8)])
    task.loss(loaded.model, batch)
    told = {name: float(total) / count for name, (total, count) in batch.told.items()}
    now, value = (torch.cat(each).detach() for each in zip(*of_model(task, loaded.model, rows), strict=True))
    before, said, further = (torch.as_tensor(np.concatenate(each)) for each in (old, values, reference))
    gains, due = (
        torch.cat([torch.as_tensor(example.inputs[name]) for example in found.examples]).double()
        for name in ("advantages", "returns")
    )
    ratio = (now - before).exp()
    assert told["entropy"] == pytest.approx(float(-now.mean()), rel=1e-5)
    assert told["approx_kl"] == pytest.approx(float(((now - before) ** 2).mean() / 2), rel=1e-4)
    assert told["kl"] == pytest.approx(float(((further - now).exp() - 1 - (further - now)).mean()), rel=1e-4)
    held = ((ratio < 0.9) & (gains < 0) | (ratio > 1.1) & (gains > 0)).double().mean()
    assert 0 < told["clip_ratio"] == pytest.approx(float(held))
    near = said + (value - said).clamp(-0.15, 0.15)
    stopped = ((near - due) ** 2 > (value - due) ** 2).double().mean()
    assert 0 < told["value_clip_ratio"] == pytest.approx(float(stopped))
    share = 1 - float((due - said).var() / due.var())
    assert found.facts["explained_variance"] == pytest.approx(share, rel=1e-4)
    assert found.facts["reward"] == pytest.approx(worth.mean())
    assert found.facts["clipped_ratio"] == 2 / 8


def test_advantages_are_rewards_to_come_less_the_value_with_lam_1_and_errors_of_one_step_with_lam_0():
    rng = np.random.default_rng(0)
    rewards, values = rng.normal(size=7), rng.normal(size=7)
    to_come = np.array([sum(0.9 ** (k - t) * rewards[k] for k in range(t, 7)) for t in range(7)])
    np.testing.assert_allclose(returns.advantages(rewards, values, gamma=0.9, lam=1.0), to_come - values)
    np.testing.assert_allclose(
        returns.advantages(rewards, values, gamma=0.9, lam=0.0),
        rewards + 0.9 * np.append(values[1:], 0) - values,
    )
    (alone,) = returns.whitened([np.array([3.0])])
    assert alone == [0.0]
    assert returns.explained(values, np.ones(7)) is None


def test_a_value_head_begins_at_0_trains_with_any_method_and_moves_no_answer(llama):
    task = registry.build("task", {"name": "ppo"})
    before = load.load(llama, task)
    ids = torch.tensor([[2, 3, 4, 5]])
    loaded = load.load(llama, task)
    store.prepare(loaded, registry.build("method", {"name": "lora"}), seed=0, task=task)
    assert loaded.auxiliary == {"value_head.weight", "value_head.bias"} <= loaded.trained.keys()
    assert not loaded.model.value_head(torch.randn(3, 32)).any()
    with torch.no_grad():
        assert torch.equal(loaded.model(ids).logits, before.model(ids).logits)
    assert not value_head.there(before.model)


def test_k1_in_the_loss_and_a_reference_that_nobody_asks_are_refused():
    with pytest.raises(WeitiaoError, match="k1 is that of a log-probability"):
        built({"kl_in": "loss"}).learn([])
    with pytest.raises(WeitiaoError, match="task.kl_coef is 0"):
        built({"kl_coef": 0.0, "ref_model": "smollm2-135m"}).learn([])
    built({"kl_in": "loss", "kl_coef": 0.0}).learn([])


def test_answers_are_drawn_and_learnt_from_as_the_settings_say():
    task = built({"response_length": 3, "top_p": 0.9, "top_k": 7, "temperature": 0.5, "num_ppo_epochs": 5})
    assert task.drawing() == {"max_new_tokens": 3, "temperature": 0.5, "top_k": 7, "top_p": 0.9}
    assert (task.passes, task.draws, task.longest) == (5, 1, 3)


def test_a_prompt_alone_says_nothing(llama):
    task = built({})
    loaded, _ = opened(llama, task)
    prompts = [replace(task.written([2, 3, 4], [], None), trained=1) for _ in range(2)]
    with torch.no_grad():
        assert task.loss(loaded.model, loaded.collate(task)(prompts, [0, 1])) == 0


@pytest.mark.parametrize("method", ["lora", "prompt"])
def test_a_model_that_caps_its_logits_is_heard_as_it_speaks(method):
    """Whole logits, and the states before its output layer, where vectors that a method puts before rows are gone again."""
    model = language_model("Gemma2", final_logit_softcapping=3.0)
    assert not output_loss.is_plain(model)
    loaded = load.Loaded(model, None, frozenset(), "toy")
    words = {"num_virtual_tokens": 2, "prompt_tuning_init": "random"} if method == "prompt" else {}
    store.prepare(loaded, registry.build("method", {"name": method, **words}), seed=0)
    rows = [built({}).written([2, 3, 4], [5, 6], 1), built({}).written([7, 8], [9], None)]
    batch = packed.collate(rows, [0, 1], padding=0)
    losses, states = packed.losses_and_states(model, batch, temperature=0.5)
    body = model.base_model(**{n: each for n, each in batch.inputs.items() if n != "logits_to_keep"})[0]
    torch.testing.assert_close(states, body.flatten(0, 1)[batch.inputs["logits_to_keep"]])
    known = packed.token_losses(model, batch, temperature=0.5)
    torch.testing.assert_close(losses, known)
