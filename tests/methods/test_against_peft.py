"""Our layers against PEFT's with the same weights: what PEFT opens of ours, its outputs and its gradients."""

from __future__ import annotations

import copy
import json

import peft
import pytest
import torch
from safetensors import safe_open

from tests.methods.toys import Toy
from weitiao.core import registry
from weitiao.models import store
from weitiao.train import loop, optim

pytestmark = pytest.mark.whole  # each method twice

CASES = [
    ("lora", {"r": 4, "lora_alpha": 8}),
    ("lora", {"r": 4, "use_rslora": True}),
    ("lora", {"r": 4, "use_dora": True}),
    ("lora", {"r": 4, "use_dora": True, "use_rslora": True}),
    ("lora", {"r": 4, "rank_pattern": {"(layer|layers).1.*": 2, "query|q_proj": 3}}),
    ("lora", {"r": 4, "init_lora_weights": "gaussian"}),
    ("lora", {"r": 4, "init_lora_weights": "pissa", "rank_pattern": {"query|q_proj": 2}}),
    ("lora", {"r": 4, "init_lora_weights": "pissa", "use_rslora": True}),
    ("lora", {"r": 4, "init_lora_weights": "olora"}),
    ("lora", {"r": 4, "init_lora_weights": "eva"}),
    ("lora", {"r": 4, "target_modules": r".*layer.*\.(1|0)\..*(query|q_proj|down_proj)"}),
    ("adalora", {"init_r": 4, "target_r": 2}),
    ("ia3", {}),
    ("prompt", {}),
    ("prompt", {"prompt_tuning_init": "random"}),
    ("p_tuning", {"encoder_reparameterization_type": "MLP"}),
    ("p_tuning", {"encoder_reparameterization_type": "LSTM"}),
    ("prefix", {}),
    ("p_tuning_v2", {}),
]
every_case = pytest.mark.parametrize(
    ("name", "settings"), CASES, ids=[f"{n}-{'-'.join(map(str, s.values()))}" for n, s in CASES]
)
both = pytest.mark.parametrize("family", ["bert", "llama"])


def padded(toy: Toy) -> dict[str, torch.Tensor]:
    """A batch that PEFT understands: padded rows, no packing."""
    ids = torch.randint(5, 40, (3, 9), generator=torch.Generator().manual_seed(3))
    mask = torch.ones_like(ids)
    mask[1, 6:] = 0
    mask[2, 4:] = 0
    return {"input_ids": ids, "attention_mask": mask}


def logits(model, words) -> torch.Tensor:
    return model.eval()(**words).logits


def real(out: torch.Tensor, words) -> torch.Tensor:
    """Leave out what stands at padding, and at prompts (which PEFT leaves in)."""
    if out.dim() == 2:
        return out
    return out[:, -words["input_ids"].shape[1] :][words["attention_mask"].bool()]


@both
@every_case
def test_what_we_save_peft_opens_and_answers_the_same(request, name, settings, family, tmp_path):
    toy = Toy(request, name, family, **settings)
    toy.steps(3)
    store.save_tuned(tmp_path / "model", toy.loaded, task=toy.task, method=toy.method, card={})
    words = padded(toy)
    with torch.no_grad():
        ours = real(logits(toy.model, words), words)
        base = real(logits(copy.deepcopy(toy.base), words), words)
        theirs = peft.PeftModel.from_pretrained(copy.deepcopy(toy.base), tmp_path / "model")
        torch.testing.assert_close(real(logits(theirs, words), words), ours, rtol=1e-5, atol=1e-5)
    assert (ours - base).abs().max() > 1e-3, "the change is too small to see a difference"
    # Nothing is missing and nothing left over: PEFT writes the same names again.
    theirs.save_pretrained(tmp_path / "again")
    with (
        safe_open(tmp_path / "model" / "adapter_model.safetensors", "pt") as mine,
        safe_open(tmp_path / "again" / "adapter_model.safetensors", "pt") as again,
    ):
        assert set(mine.keys()) == set(again.keys())


@both
@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("lora", {"r": 4, "lora_alpha": 8}),
        ("lora", {"r": 4, "use_dora": True}),
        ("adalora", {"init_r": 4, "target_r": 2}),
        ("ia3", {}),
    ],
)
def test_gradients_of_layers_are_pefts(request, name, settings, family, tmp_path):
    toy = Toy(request, name, family, **settings)
    toy.steps(3)
    store.save_tuned(tmp_path / "model", toy.loaded, task=toy.task, method=toy.method, card={})
    theirs = peft.PeftModel.from_pretrained(copy.deepcopy(toy.base), tmp_path / "model", is_trainable=True)
    words = padded(toy)
    for model in (toy.model, theirs):
        model.zero_grad()
        real(logits(model, words), words).square().sum().backward()
    found = {n.replace(".default", ""): w.grad for n, w in theirs.named_parameters() if w.grad is not None}
    for own, weight in toy.loaded.trained.items():
        path = f"base_model.model.{toy.method.peft_name(own)}"
        path = path.replace("classifier.", "classifier.modules_to_save.")
        path = path.replace("lora_magnitude_vector", "lora_magnitude_vector.weight")
        torch.testing.assert_close(found.pop(path), weight.grad, rtol=1e-4, atol=1e-5)
    assert not found


ENCODERS = [
    ("prompt", {}, peft.PromptTuningConfig, {}),
    (
        "p_tuning",
        {"encoder_reparameterization_type": "MLP"},
        peft.PromptEncoderConfig,
        {"encoder_hidden_size": 8},
    ),
    (
        "p_tuning",
        {"encoder_reparameterization_type": "LSTM"},
        peft.PromptEncoderConfig,
        {"encoder_hidden_size": 8, "encoder_reparameterization_type": "LSTM", "encoder_dropout": 0.0},
    ),
    ("prefix", {}, peft.PrefixTuningConfig, {"prefix_projection": True, "encoder_hidden_size": 8}),
]


@pytest.mark.parametrize(
    ("family", "name", "settings", "config", "words"),
    # Under grouped-query attention PEFT's prefix begins at the keys' width and ours at the model's.
    [(f, *case) for case in ENCODERS for f in ("bert", "llama") if (f, case[0]) != ("llama", "prefix")],
)
def test_prompts_and_their_encoders_are_pefts(request, family, name, settings, config, words):
    """With the encoder in place, as in training: outputs, and gradients of everything in front of the model."""
    toy = Toy(request, name, family, **settings)
    toy.steps(3)
    asked = config(task_type=toy.task.peft_task_type, num_virtual_tokens=3, **words)
    theirs = peft.get_peft_model(copy.deepcopy(toy.base), asked)
    own = {n: w for n, w in toy.loaded.trained.items() if n not in toy.loaded.head}
    inner = dict(theirs.prompt_encoder["default"].named_parameters())
    width = {n: n.partition("prompt.")[2] or n.partition("prefix.")[2] for n in own}
    twin = {
        n: inner[w.replace("encoder.", "") if w != "embedding" else "embedding.weight"]
        for n, w in width.items()
    }
    with torch.no_grad():
        for n, weight in own.items():
            twin[n].copy_(weight)
        for n in toy.loaded.head:
            theirs.base_model.get_parameter(
                n.replace("classifier.", "classifier.modules_to_save.default.")
            ).copy_(toy.loaded.trained[n])
    words = padded(toy)
    outputs = []
    for model in (toy.model, theirs):
        model.zero_grad()
        outputs.append(real(logits(model, words), words))
        outputs[-1].square().sum().backward()
    torch.testing.assert_close(outputs[1], outputs[0], rtol=1e-5, atol=1e-5)
    for n, weight in own.items():
        torch.testing.assert_close(twin[n].grad, weight.grad, rtol=1e-4, atol=1e-5)
    assert len(own) == len(inner)


def test_pissa_and_olora_start_where_pefts_do(request):
    for init in ("pissa", "olora"):
        toy = Toy(request, "lora", "bert", r=4, init_lora_weights=init)
        config = peft.LoraConfig(r=4, lora_alpha=32, target_modules=["query"], init_lora_weights=init)
        theirs = peft.get_peft_model(copy.deepcopy(toy.base), config)
        path = "bert.encoder.layer.0.attention.self.query"
        a, b = toy.model.get_submodule(path), theirs.base_model.model.get_submodule(path)
        torch.testing.assert_close(
            a.lora_B @ a.lora_A, b.lora_B["default"].weight @ b.lora_A["default"].weight, rtol=1e-4, atol=1e-5
        )


def test_ranks_are_dealt_out_as_peft_deals_them(request):
    """The same losses, the same steps: after every step the same triplets are kept, down to the last one."""
    toy = Toy(
        request, "adalora", "bert", init_r=4, target_r=2, tinit=1, tfinal=2, target_modules=["query", "dense"]
    )
    names = [n for n in toy.model.state_dict() if n.endswith("lora_E")]
    config = peft.AdaLoraConfig(
        init_r=4,
        target_r=2,
        tinit=1,
        tfinal=2,
        total_step=8,
        lora_alpha=32,
        task_type="SEQ_CLS",
        target_modules=sorted({n.rpartition(".")[0] for n in names}),
        modules_to_save=["classifier"],
    )
    theirs = peft.get_peft_model(copy.deepcopy(toy.base), config)
    pairs = []
    for own, weight in toy.loaded.trained.items():
        path = own.replace("classifier.", "classifier.modules_to_save.default.")
        path = f"{path}.default" if "lora_" in own else path
        pairs.append((weight, theirs.base_model.model.get_parameter(path)))
    with torch.no_grad():
        for weight, other in pairs:
            other.copy_(weight)
    optimizer = optim.build(theirs, toy.training.settings, learning_rate=1e-2)
    budgets = []
    for step in range(toy.training.total):
        batch = toy.batches.step(step)[0]
        for group in optimizer.param_groups:
            group["lr"] = 1e-2 * (1 - step / 8)
        theirs.train()
        torch.manual_seed(loop._seed(0, step, 0))  # the same dropout masks
        mean = toy.task.loss(theirs, batch) / batch.trained
        # PEFT adds its penalty to `outputs.loss`, which our loss does not go through: it is the same sum.
        squares = [
            torch.linalg.norm((w @ w.T if "lora_A" in n else w.T @ w) - torch.eye(4))
            for n, w in theirs.named_parameters()
            if "lora_A" in n or "lora_B" in n
        ]
        (mean + 0.5 * torch.stack(squares).mean()).backward()
        torch.nn.utils.clip_grad_norm_(theirs.parameters(), 1.0)
        optimizer.step()
        theirs.base_model.update_and_allocate(step)
        if (
            step > 6
        ):  # PEFT lets gradients bring dropped triplets back after the last allocation; the paper does not
            for n, kept in theirs.peft_config["default"].rank_pattern.items():
                weight = theirs.get_parameter(
                    n if n.startswith("base_model.model.") else f"base_model.model.{n}"
                )
                weight.data[~torch.tensor(kept)] = 0
        optimizer.zero_grad()
        toy.steps(1)
        budgets.append(sum(int((toy.model.get_parameter(n) != 0).sum()) for n in names))
        for weight, other in pairs:
            torch.testing.assert_close(other, weight, rtol=2e-4, atol=2e-5)
    assert budgets[-1] == 2 * len(names)
    assert budgets == sorted(budgets, reverse=True)


def test_a_run_of_many_settings_is_written_as_peft_reads_it(request, tmp_path):
    toy = Toy(request, "lora", "bert", r=4, init_lora_weights="pissa", use_rslora=True)
    store.save_tuned(tmp_path / "model", toy.loaded, task=toy.task, method=toy.method, card={})
    config = json.loads((tmp_path / "model" / "adapter_config.json").read_text())
    assert (config["r"], config["use_rslora"]) == (8, True)
    assert config["lora_alpha"] / 8**0.5 == pytest.approx(32 / 4**0.5)
    assert registry.build("method", {"name": "lora", "r": 4}).scaling(4) == 8
