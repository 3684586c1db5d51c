"""Learning from rewards: formulas as TRL 1.16 has them, groups that teach nothing, and answers that are left out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.tasks.steps import alike
from tests.tasks.test_dpo import opened
from weitiao.core import registry
from weitiao.core.contracts import Drawn
from weitiao.data.layout import Layout
from weitiao.tasks.parts.policy_losses import group_advantages, leave_one_out

pytestmark = pytest.mark.whole  # policies that answer

IDS = [2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]
LONGEST = 6
CASES = {
    "dapo": {"name": "grpo"},
    "bnpo": {"name": "grpo", "loss_type": "bnpo", "temperature": 0.7},
    "grpo": {"name": "grpo", "loss_type": "grpo", "beta": 0.3},
    "dr_grpo": {"name": "grpo", "loss_type": "dr_grpo", "scale_rewards": "none", "num_iterations": 2},
    "clip_higher": {"name": "grpo", "epsilon": 0.05, "epsilon_high": 0.4, "num_iterations": 2, "beta": 0.1},
    "gspo": {
        "name": "grpo",
        "loss_type": "grpo",
        "importance_sampling_level": "sequence",
        "epsilon": 0.02,
        "num_iterations": 2,
        "scale_rewards": "batch",
    },
    "masked": {"name": "grpo", "mask_truncated_completions": True, "num_iterations": 2, "beta": 0.2},
    "masked_answers": {"name": "grpo", "mask_truncated_completions": True, "loss_type": "grpo"},
    "rloo": {"name": "rloo", "num_generations": 4, "num_iterations": 2},
    "rloo_normal": {"name": "rloo", "num_generations": 4, "beta": 0.0, "normalize_advantages": True},
}


def built(words):
    settings = {"num_generations": 4, "max_completion_length": LONGEST, "rewards": ["regex"], **words}
    return registry.build("task", settings)


def answers(seed=0, prompts=2, each=4):
    rng = np.random.default_rng(seed)
    found = []
    for row in range(prompts):
        prompt = [int(i) for i in rng.choice(IDS, 3 + row)]
        for nth in range(each):
            size = int(rng.integers(1, LONGEST))
            end = None if nth == 1 else 1
            found.append(Drawn(row, prompt, [int(i) for i in rng.choice(IDS, size)], end, "said"))
    return found


def rollout(task, loaded, method, *, drawn=None, worth=None):
    """What was drawn with a model that has moved since, and everything that the loss is handed."""
    drawn = drawn or answers()
    rng = np.random.default_rng(1)
    worth = rng.normal(size=len(drawn)) if worth is None else worth
    written = [task.written(one.prompt, one.ids, one.end) for one in drawn]
    reference = [
        by_hand(loaded.model, one, task.temperature).detach().numpy() for one in off(loaded, method, written)
    ]
    old = [
        by_hand(loaded.model, one, task.temperature).detach().numpy() + rng.normal(size=one.trained) * 0.2
        for one in written
    ]
    told = {"policy": old, "reference": reference}
    told = {
        voice: [{"logps": each.astype(np.float32).tolist()} for each in told[voice]] for voice in task.asks
    }
    found = task.learnt(drawn, [{"reward": float(each)} for each in worth], told)
    return drawn, worth, old, reference, found


def off(loaded, method, written):
    with method.off(loaded.model, {}):
        yield from written


def by_hand(model, example, temperature):
    """Log-probabilities of an answer's tokens, one row alone through the model's own logits."""
    ids = torch.as_tensor(example.inputs["input_ids"])
    size = example.trained
    logits = model(input_ids=ids[None]).logits[0, -size - 1 : -1].double() / temperature
    return logits.log_softmax(-1).gather(-1, ids[-size:, None])[:, 0]


def expected(task, model, drawn, worth, old, reference):
    """TRL's formulas, over rows filled up on the right as TRL fills them."""
    rows = [task.written(one.prompt, one.ids, one.end) for one in drawn]
    logps = [by_hand(model, one, task.temperature) for one in rows]
    width = max(map(len, logps))

    def filled(parts):
        return torch.stack(
            [
                torch.cat(
                    [torch.as_tensor(p, dtype=torch.double), torch.zeros(width - len(p), dtype=torch.double)]
                )
                for p in parts
            ]
        )

    new, mask = filled(logps), filled([torch.ones(len(p)) for p in logps])
    if task.mask_truncated_completions:
        mask = mask * torch.tensor([[float(one.end is not None)] for one in drawn], dtype=torch.double)
    before = filled(old) if "policy" in task.asks else new.detach()
    ref = filled(reference)
    worth = torch.as_tensor(worth, dtype=torch.double)
    high = task.epsilon if task.epsilon_high is None else task.epsilon_high
    groups = worth.view(-1, task.num_generations)
    if isinstance(task, registry.entry("task", "rloo").kind):
        if task.beta:
            full = filled([torch.ones(len(p)) for p in logps])
            groups = (worth - task.beta * ((before - ref) * full).sum(-1)).view_as(groups)
        others = (groups.sum(1, keepdim=True) - groups) / (task.num_generations - 1)
        gain = (groups - others).flatten()
        if task.normalize_advantages:
            gain = (gain - gain.mean()) / (gain.std() + 1e-4)
        ratio = (((new - before) * mask).sum(-1)).exp()
        return -torch.min(ratio * gain, ratio.clamp(1 - task.epsilon, 1 + high) * gain).mean()
    gain = groups - groups.mean(1, keepdim=True)
    if task.scale_rewards == "group":
        gain = gain / (groups.std(1, keepdim=True) + 1e-4)
    elif task.scale_rewards == "batch":
        gain = gain / (groups.std() + 1e-4)
    gain = gain.flatten()[:, None]
    weights = new - before
    if task.importance_sampling_level == "sequence":
        weights = ((weights * mask).sum(-1) / mask.sum(-1).clamp(min=1))[:, None]
    ratio = weights.exp()
    loss = -torch.min(ratio * gain, ratio.clamp(1 - task.epsilon, 1 + high) * gain)
    if task.beta:
        loss = loss + task.beta * ((ref - new).exp() - (ref - new) - 1)
    if task.loss_type == "grpo":
        return ((loss * mask).sum(-1) / mask.sum(-1).clamp(min=1)).mean()
    if task.loss_type == "dr_grpo":
        return (loss * mask).sum() / (len(drawn) * task.max_completion_length)
    return (loss * mask).sum() / mask.sum()


@pytest.mark.parametrize("words", CASES.values(), ids=CASES)
@pytest.mark.parametrize("layout", [Layout.PACKED, Layout.PADDED])
def test_loss_and_gradient_are_trls_in_one_piece_and_in_three(llama, words, layout):
    task = built(words)
    loaded, method = opened(llama, task, scale=3.0)
    drawn, worth, old, reference, found = rollout(task, loaded, method)
    wanted = expected(task, loaded.model, drawn, worth, old, reference)
    weights = [weight for weight in loaded.model.parameters() if weight.requires_grad]
    gradients = torch.autograd.grad(wanted, weights)
    assert max(float(each.abs().max()) for each in gradients) > 1e-4
    collate = replace(loaded, layout=layout).collate(task)
    whole = sum(example.trained for example in found.examples)
    for parts in ([[*range(8)]], [[7, 2], [1], [0, 3, 4, 5, 6]]):
        loss = torch.zeros(())
        for weight in weights:
            weight.grad = None
        for rows in parts:
            part = task.loss(loaded.model, collate([found.examples[row] for row in rows], rows)) / whole
            part.backward()
            loss = loss + part.detach()
        torch.testing.assert_close(loss.double(), wanted.detach(), rtol=1e-5, atol=1e-5)
        size = max(float(each.abs().max()) for each in gradients)
        for weight, each in zip(weights, gradients, strict=True):
            torch.testing.assert_close(weight.grad, each.float(), rtol=1e-4, atol=1e-5 * size)


@pytest.mark.parametrize(
    "words", [CASES["dapo"], CASES["gspo"], CASES["rloo_normal"]], ids=["grpo", "gspo", "rloo"]
)
def test_answers_that_are_worth_the_same_give_no_gradient(llama, words):
    task = built({**words, "normalize_advantages": False} if words["name"] == "rloo" else words)
    loaded, method = opened(llama, task, scale=3.0)
    # A tenth is no sum of powers of two: the mean of four is another number in its last bit.
    worth = np.repeat([0.1, 0.7], 4)
    *_, found = rollout(task, loaded, method, worth=worth)
    assert found.facts["frac_reward_zero_std"] == 1.0
    task.loss(loaded.model, loaded.collate(task)(found.examples, list(range(8)))).backward()
    assert all(weight.grad is None or not weight.grad.any() for weight in loaded.model.parameters())


def test_only_the_answer_and_its_end_have_weight(llama):
    """Another prompt token, or one behind the end, is no part of what is learnt."""
    task = built({"name": "grpo"})
    one = task.written([2, 3], [4, 5], 1)
    assert one.inputs["input_ids"].tolist() == [2, 3, 4, 5, 1]
    assert one.inputs["labels"].tolist() == [-100, -100, 4, 5, 1]
    cut = task.written([2, 3], [4, 5], None)
    assert cut.inputs["labels"].tolist() == [-100, -100, 4, 5]
    assert (one.trained, cut.trained) == (3, 2)


def test_a_cut_answer_counts_for_nothing_if_that_is_wanted_and_its_reward_still_counts_for_the_others(llama):
    drawn = [Drawn(0, [2], [3, 4], end, "") for end in (1, None, 1, 1)]
    rewards = [{"reward": each} for each in (1.0, 0.0, 0.0, 0.0)]
    found = built({"name": "grpo", "mask_truncated_completions": True}).learnt(drawn, rewards, {})
    assert [example.trained for example in found.examples] == [3, 0, 3, 3]
    assert set(found.examples[1].inputs["labels"].tolist()) == {-100}
    assert found.facts["clipped_ratio"] == 0.25
    assert found.examples[0].inputs["advantage"][0] == pytest.approx(0.75 / (0.5 + 1e-4))


@pytest.mark.parametrize("name", ["grpo", "rloo"])
def test_a_prompt_alone_says_nothing(llama, name):
    """As a forecast of what judging takes asks it."""
    task = built({"name": name})
    loaded, _ = opened(llama, task)
    prompts = [replace(task.written([2, 3, 4], [], None), trained=1) for _ in range(2)]
    with torch.no_grad():
        assert task.loss(loaded.model, loaded.collate(task)(prompts, [0, 1])) == 0


def test_advantages_are_those_of_the_papers():
    worth = np.array([[1.0, 0.0, 0.0, 0.0], [2.0, 2.0, 2.0, 2.0]])
    np.testing.assert_allclose(group_advantages(worth, "none")[0], [0.75, -0.25, -0.25, -0.25])
    np.testing.assert_array_equal(group_advantages(worth, "group")[1], 0)
    np.testing.assert_allclose(leave_one_out(worth, normalize=False)[0], [1.0, -1 / 3, -1 / 3, -1 / 3])


@pytest.mark.parametrize("level", ["token", "sequence"])
@pytest.mark.parametrize("kind", ["grpo", "bnpo", "dr_grpo", "dapo"])
def test_a_step_has_trls_own_loss(llama, kind, level):
    trl = pytest.importorskip("trl", reason="a peer: pip install trl==1.16.0 datasets")
    from types import SimpleNamespace

    GRPOTrainer = trl.GRPOTrainer
    task = built(
        {
            "name": "grpo",
            "loss_type": kind,
            "importance_sampling_level": level,
            "beta": 0.2,
            "num_iterations": 2,
            "epsilon_high": 0.3,
        }
    )
    loaded, method = opened(llama, task, scale=3.0)
    drawn, worth, old, reference, found = rollout(task, loaded, method)
    rows = [task.written(one.prompt, one.ids, one.end) for one in drawn]
    logps = [by_hand(loaded.model, one, 1.0).float() for one in rows]
    width = max(map(len, logps))

    def filled(parts):
        return torch.stack(
            [
                torch.nn.functional.pad(
                    torch.as_tensor(np.asarray(p) if not torch.is_tensor(p) else p, dtype=torch.float32),
                    (0, width - len(p)),
                )
                for p in parts
            ]
        )

    mask = filled([torch.ones(len(p)) for p in logps])
    new = filled(logps)
    nothing = torch.zeros(len(rows), 0, dtype=torch.long)
    known = {
        "prompt_ids": nothing,
        "prompt_mask": nothing,
        "completion_ids": mask.long(),
        "completion_mask": mask,
    }
    gains = torch.tensor([float(one.inputs["advantage"][0]) for one in found.examples])
    known |= {
        "advantages": gains,
        "old_per_token_logps": filled(old),
        "ref_per_token_logps": filled(reference),
    }
    known |= {"num_items_in_batch": mask.sum()}
    from collections import defaultdict

    alone = SimpleNamespace(num_processes=1, reduce=lambda each, reduction: each, gather=lambda each: each)
    args = SimpleNamespace(delta=None, use_bias_correction_kl=False, steps_per_generation=1)
    trainer = SimpleNamespace(
        _get_per_token_logps_and_entropies=lambda *_, **__: (new, new * 0, None),
        aux_loss_enabled=False,
        top_entropy_quantile=1.0,
        off_policy_mask_threshold=None,
        use_vllm=False,
        vllm_importance_sampling_correction=False,
        importance_sampling_level=level,
        beta=0.2,
        args=args,
        loss_type=kind,
        epsilon_low=task.epsilon,
        epsilon_high=0.3,
        model=SimpleNamespace(training=True),
        accelerator=alone,
        current_gradient_accumulation_steps=1,
        max_completion_length=LONGEST,
        _entropy_bonus_enabled=False,
        _metrics={"train": defaultdict(list)},
    )
    theirs = GRPOTrainer._compute_loss(trainer, loaded.model, known)
    batch = loaded.collate(task)(found.examples, list(range(8)))
    ours = task.loss(loaded.model, batch) / batch.trained
    alike(ours, loaded.model, theirs, loaded.model)
    assert float(batch.told["kl"][0]) / batch.told["kl"][1] == pytest.approx(
        trainer._metrics["train"]["kl"][0], rel=1e-4
    )
