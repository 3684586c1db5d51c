"""The promises that every method on the shelf keeps, on a BERT-like and a Llama-like toy."""

from __future__ import annotations

import copy
import json
from dataclasses import replace

import pytest
import torch

from tests.conftest import dialogues, reviews
from weitiao.core import registry
from weitiao.core.contracts import Record
from weitiao.core.errors import WeitiaoError
from weitiao.core.recipe import Train
from weitiao.data.pack import Batches
from weitiao.models import anatomy, load, store
from weitiao.train import checkpoint, loop, optim

TASKS = {"text_classification": "bert", "sft": "llama"}
PAIRS = [
    (method, task)
    for method in registry.names("method")
    for task in TASKS
    if not registry.build("method", {"name": method}).refuses(registry.build("task", {"name": task}))
]
every_pair = pytest.mark.parametrize(("name", "task_name"), PAIRS)


def records(task_name: str) -> list[Record]:
    if task_name == "sft":
        rows = [
            {
                "messages": [
                    {"role": "user", "content": d["prompt"]},
                    {"role": "assistant", "content": d["completion"]},
                ]
            }
            for d in dialogues(24)
        ]
    else:
        rows = list(reviews(24))
    return [Record("toy", i, row) for i, row in enumerate(rows, start=1)]


class Toy:
    """A loaded toy model with a method on it, and steps to train it by."""

    def __init__(self, request, name: str, task_name: str, *, bf16: bool = False, **settings):
        rows = records(task_name)
        self.ref = request.getfixturevalue(TASKS[task_name])
        self.method = registry.build("method", {"name": name, **settings})
        self.task = registry.build("task", {"name": task_name}).learn(rows)
        self.loaded = load.load(self.ref, self.task)
        self.base = copy.deepcopy(self.loaded.model)
        store.prepare(self.loaded, self.method, seed=0)
        examples = list(self.task.encode(rows, self.loaded.processor, limit=64))
        collate = lambda part, indices: self.task.collate(part, indices, self.loaded.processor)  # noqa: E731
        self.batches = Batches(examples, collate, batch_size=6)
        settings = Train(num_train_epochs=2, learning_rate=1e-2, warmup_steps=0, bf16=bf16)
        self.training = loop.Training(
            model=self.loaded.model,
            method=self.method,
            task=self.task,
            batches=self.batches,
            settings=settings,
            optimizer=optim.adamw(self.loaded.model, settings, learning_rate=1e-2),
            bf16=bf16,
        )

    @property
    def model(self):
        return self.loaded.model

    def steps(self, count: int) -> list[float]:
        losses = []
        self.model.train()
        for _ in range(count):
            loop.step(self.training)
            losses.append(self.training.facts["loss"])
        return losses

    def logits(self, model=None) -> torch.Tensor:
        model = (self.model if model is None else model).eval()
        batch = self.batches.step(0)[0]
        with torch.no_grad():
            return model(**batch.inputs).logits


def test_the_table_holds_every_method():
    assert {name for name, _ in PAIRS} == set(registry.names("method"))


@every_pair
def test_it_starts_as_the_base_if_it_says_so(request, name, task_name):
    toy = Toy(request, name, task_name)
    if toy.method.starts_as_base:
        torch.testing.assert_close(toy.logits(), toy.logits(toy.base), rtol=0, atol=0)


@every_pair
def test_only_what_trains_names_moves_and_all_of_it_gets_a_gradient(request, name, task_name):
    toy = Toy(request, name, task_name)
    before = {n: w.detach().clone() for n, w in toy.model.named_parameters()}
    toy.steps(2)
    moved = {n for n, w in toy.model.named_parameters() if not torch.equal(w, before[n])}
    named = {n for n, w in toy.model.named_parameters() if toy.method.trains(n, w, toy.loaded.head)}
    # Rows of an embedding that no token of the batches asks for, and position rows behind the longest, stay: the
    # weight as a whole still moves.
    assert moved == named


@every_pair
def test_off_gives_the_base_back_and_ends(request, name, task_name):
    toy = Toy(request, name, task_name)
    snapshot = toy.method.snapshot(toy.model)
    toy.steps(2)
    tuned = toy.logits()
    assert not torch.equal(tuned, toy.logits(toy.base))
    with toy.method.off(toy.model, snapshot):
        torch.testing.assert_close(toy.logits(), toy.logits(toy.base), rtol=0, atol=0)
    torch.testing.assert_close(toy.logits(), tuned, rtol=0, atol=0)


@every_pair
def test_fold_keeps_the_output_and_leaves_a_plain_model(request, name, task_name):
    toy = Toy(request, name, task_name)
    toy.steps(2)
    tuned = toy.logits()
    if toy.method.foldable:
        folded = toy.method.fold(toy.model)
        torch.testing.assert_close(toy.logits(folded), tuned, rtol=1e-4, atol=1e-5)
        assert set(folded.state_dict()) == set(toy.base.state_dict())


@every_pair
def test_save_and_load_keep_the_output(request, name, task_name, tmp_path):
    toy = Toy(request, name, task_name)
    toy.steps(2)
    tuned = toy.logits()
    store.save_tuned(tmp_path / "model", toy.loaded, task=toy.task, method=toy.method, card={})
    back = store.load_tuned(tmp_path / "model", ref=toy.ref, task=toy.task, method=toy.method)
    torch.testing.assert_close(toy.logits(back.model), tuned, rtol=0, atol=0)


@every_pair
def test_settings_go_to_a_file_and_back(request, name, task_name):
    method = registry.build("method", {"name": name})
    settings = json.loads(json.dumps(registry.settings_of(name, method)))
    assert registry.build("method", settings) == method


@every_pair
def test_it_works_in_bf16_and_follows_float32(request, name, task_name):
    exact = Toy(request, name, task_name).steps(6)
    coarse = Toy(request, name, task_name, bf16=True).steps(6)
    assert coarse == pytest.approx(exact, rel=0.08)
    assert coarse != exact


@every_pair
def test_frozen_weights_cast_once_give_the_same_losses_bit_for_bit(request, name, task_name):
    plain = Toy(request, name, task_name, bf16=True)
    cast = Toy(request, name, task_name, bf16=True)
    anatomy.cast_frozen(cast.model)
    assert cast.steps(4) == plain.steps(4)


@every_pair
def test_recomputed_activations_give_the_same_losses(request, name, task_name):
    kept = Toy(request, name, task_name)
    again = Toy(request, name, task_name)
    again.model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    assert again.steps(3) == pytest.approx(kept.steps(3), rel=1e-6)


@every_pair
def test_six_steps_are_three_and_a_resume_of_three(request, name, task_name, tmp_path):
    from weitiao.core.run import RunFolder

    whole = Toy(request, name, task_name)
    losses = whole.steps(6)
    first = Toy(request, name, task_name)
    first.steps(3)
    folder = checkpoint.save(RunFolder(tmp_path), first.training)
    second = Toy(request, name, task_name)
    checkpoint.load(folder, second.training)
    assert second.steps(3) == losses[3:]
    for name_, weight in whole.model.named_parameters():
        assert torch.equal(weight, dict(second.model.named_parameters())[name_])


def count(toy: Toy) -> int:
    return anatomy.parameter_counts(toy.model)[0]


# The toys: hidden 32, feed-forward 64, two layers, two labels; the Llama has 2 of 4 key-value heads (16 wide).
HEAD = 32 * 2 + 2


@pytest.mark.parametrize(
    ("name", "task_name", "settings", "formula"),
    [
        ("head", "text_classification", {}, HEAD),
        # r (in + out) for query, key, value, output (32, 32), the two of the feed-forward (32, 64), and the pooler.
        (
            "lora",
            "text_classification",
            {"r": 4},
            4 * (2 * (4 * (32 + 32) + 2 * (32 + 64)) + (32 + 32)) + HEAD,
        ),
        (
            "lora",
            "text_classification",
            {"r": 2, "target_modules": ["query", "value"]},
            2 * 2 * 2 * 64 + HEAD,
        ),
        # query and output (32, 32), key and value (32, 16), gate, up and down (32, 64).
        ("lora", "sft", {"r": 4}, 4 * 2 * (2 * (32 + 32) + 2 * (32 + 16) + 3 * (32 + 64))),
    ],
)
def test_the_reported_count_is_the_closed_formula(request, name, task_name, settings, formula):
    assert count(Toy(request, name, task_name, **settings)) == formula


def test_full_counts_every_parameter_once(request):
    toy = Toy(request, "full", "sft")
    assert count(toy) == sum(w.numel() for w in toy.base.parameters())


def test_methods_refuse_tasks_that_make_no_sense():
    head, sft = registry.build("method", {"name": "head"}), registry.build("task", {"name": "sft"})
    assert "no new head" in head.refuses(sft)


def test_settings_that_match_nothing_name_what_is_near(request):
    with pytest.raises(WeitiaoError, match='no_such_modules.*"quary"[^?]*Did you mean "query"') as caught:
        Toy(request, "lora", "text_classification", target_modules=["quary"])
    assert "dense" in str(caught.value)


def test_a_regular_expression_picks_modules(request):
    toy = Toy(request, "lora", "text_classification", target_modules=r".*layer\.1\.attention\.self\.query")
    adapted = [name for name, _ in toy.model.named_parameters() if name.endswith("lora_A")]
    assert adapted == ["bert.encoder.layer.1.attention.self.query.lora_A"]


def test_dropout_of_lora_is_drawn_in_training_alone(request):
    toy = Toy(request, "lora", "text_classification", lora_dropout=0.5)
    toy.steps(2)
    torch.testing.assert_close(toy.logits(), toy.logits(), rtol=0, atol=0)
    batch = toy.batches.step(0)[0]
    toy.model.train()
    assert not torch.equal(toy.model(**batch.inputs).logits, toy.model(**batch.inputs).logits)


def test_alpha_scales_the_change(request):
    toy = Toy(request, "lora", "text_classification", r=4, lora_alpha=8)
    toy.steps(2)
    layer = toy.model.bert.encoder.layer[0].attention.self.query
    x = torch.randn(3, 32)
    with torch.no_grad():
        by_hand = layer.base(x) + (8 / 4) * (x @ layer.lora_A.T) @ layer.lora_B.T
        torch.testing.assert_close(layer(x), by_hand)


def test_lora_equals_peft_with_the_same_weights(request):
    """Outputs and gradients of the low-rank matrices, against PEFT's own layers."""
    peft = pytest.importorskip("peft")
    toy = Toy(request, "lora", "text_classification", r=4, lora_alpha=8)
    toy.steps(2)
    config = peft.LoraConfig(
        r=4, lora_alpha=8, target_modules="all-linear", task_type="SEQ_CLS", modules_to_save=["classifier"]
    )
    theirs = peft.get_peft_model(copy.deepcopy(toy.base), config)
    ours = {f"base_model.model.{toy.method.peft_name(n)}": w for n, w in store.trained(toy.model).items()}
    peft.set_peft_model_state_dict(theirs, {n: w.detach().clone() for n, w in ours.items()})
    assert theirs.get_nb_trainable_parameters()[0] == count(toy)
    torch.testing.assert_close(toy.logits(theirs), toy.logits(), rtol=1e-5, atol=1e-5)
    batch = toy.batches.step(0)[0]
    toy.model.eval()
    theirs.eval()
    toy.model.zero_grad()
    toy.task.loss(toy.model, batch).backward()
    toy.task.loss(theirs, batch).backward()
    gradients = {
        n.replace(".default", ""): w.grad for n, w in theirs.named_parameters() if w.grad is not None
    }
    for name, weight in ours.items():
        name = name.replace("classifier.", "classifier.modules_to_save.")
        torch.testing.assert_close(gradients[name], weight.grad, rtol=1e-4, atol=1e-5)


def test_methods_are_values():
    lora = registry.build("method", {"name": "lora", "r": 8})
    assert replace(lora, r=16) == registry.build("method", {"name": "lora"})
