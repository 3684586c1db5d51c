"""What single methods promise beyond the table: schedules, starting points, prompts before packed rows, precision."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tests.methods.toys import PAIRS, Toy
from weitiao.core import registry
from weitiao.core.contracts import Moment
from weitiao.core.errors import WeitiaoError
from weitiao.methods.lora import LoraLinear
from weitiao.models import linear
from weitiao.models.four_bit import PackedLinear
from weitiao.models.wrap import inserted

LLAMA = sorted({name for name, family in PAIRS if family == "llama"})


# --- packed rows, left-to-right reading, generation: for everything that can be put into a language model


def perturbed(request, name: str, **settings) -> Toy:
    """A language model with the method on it, its new numbers anything but zero."""
    toy = Toy(request, name, "llama", **settings)
    torch.manual_seed(5)
    with torch.no_grad():
        for weight in toy.loaded.trained.values():
            weight.add_(0.3 * torch.randn_like(weight))
    toy.model.eval()
    return toy


@pytest.mark.parametrize("name", LLAMA)
def test_packed_rows_are_rows_alone(request, name):
    toy = perturbed(request, name)
    rows = [example.inputs["input_ids"] for example in toy.examples()[:4]]
    whole = toy.collate([toy.examples()[i] for i in range(4)], [0, 1, 2, 3])
    words = {key: value for key, value in whole.inputs.items() if key != "logits_to_keep"}
    with torch.no_grad():
        packed = toy.model(**words, use_cache=False).logits[0]
        alone = [toy.model(input_ids=torch.tensor([list(ids)]), use_cache=False).logits[0] for ids in rows]
    torch.testing.assert_close(packed, torch.cat(alone), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", LLAMA)
def test_no_word_sees_what_comes_after_it(request, name):
    toy = perturbed(request, name)
    ids = torch.randint(5, 40, (1, 8), generator=torch.Generator().manual_seed(0))
    other = ids.clone()
    other[0, -1] = (other[0, -1] + 7) % 40
    with torch.no_grad():
        one, two = (toy.model(input_ids=x, use_cache=False).logits[0] for x in (ids, other))
    torch.testing.assert_close(one[:-1], two[:-1], rtol=0, atol=1e-6)
    assert not torch.allclose(one[-1], two[-1], atol=1e-4)


@pytest.mark.parametrize("name", LLAMA)
def test_generation_with_a_cache_is_generation_without(request, name):
    """Two prompts of unlike length, the shorter padded on the left, against words taken one by one without a cache."""
    toy = perturbed(request, name)
    prompts = [[7, 9, 11, 6, 8], [12, 10, 5]]
    pad = toy.loaded.processor.pad_token_id
    ids = torch.tensor([[pad] * (5 - len(p)) + p for p in prompts])
    mask = torch.tensor([[0] * (5 - len(p)) + [1] * len(p) for p in prompts])
    options = {"max_new_tokens": 6, "do_sample": False, "pad_token_id": pad, "eos_token_id": None}
    with torch.no_grad():
        made = toy.model.generate(input_ids=ids, attention_mask=mask, **options)[:, 5:].tolist()
        for prompt, words in zip(prompts, made, strict=True):
            row = list(prompt)
            for _ in range(6):
                row.append(
                    int(toy.model(input_ids=torch.tensor([row]), use_cache=False).logits[0, -1].argmax())
                )
            assert words == row[len(prompt) :]


@pytest.mark.parametrize("name", LLAMA)
def test_prompts_answered_together_are_answered_as_alone(request, name):
    """Vectors before every row cannot stand between its filling and its words: then rows of one length are together."""
    from weitiao.models.decoding import Decoding, Way, decode, measure

    toy = perturbed(request, name)
    toy.model.eval()
    prompts = [[7, 9, 11, 6, 8], [12, 10, 5], [9], [5, 6, 7], [30, 8, 9, 5, 6, 7, 8, 9, 10]]
    asked = Decoding(max_new_tokens=6, stops=frozenset({1, 11}), limit=40, rows=3)
    with torch.inference_mode():
        way = measure(toy.model, toy.loaded.processor, longest=40)
        together, alone = (dict(decode(toy.model, prompts, asked, way=one)) for one in (way, Way.ALONE))
    assert way is (Way.ALIKE if name in ("prompt", "p_tuning") else Way.RAGGED)
    assert together == alone


@pytest.mark.parametrize("name", ["prompt", "prefix", "adapter", "mam", "unipelt"])
def test_an_encoder_decoder_generates_as_it_is_trained(request, name):
    toy = Toy(request, name, "t5")
    toy.steps(4)
    toy.model.eval()
    batch = toy.batches.step(0)[0].inputs
    words = {key: batch[key] for key in ("input_ids", "attention_mask")}
    with torch.no_grad():
        made = toy.model.generate(**words, max_new_tokens=5, do_sample=False, eos_token_id=None)
        said = torch.zeros(len(made), 1, dtype=torch.long)
        for _ in range(5):
            logits = toy.model(**words, decoder_input_ids=said, use_cache=False).logits
            said = torch.cat([said, logits[:, -1:].argmax(-1)], dim=1)
    assert torch.equal(made, said)


@pytest.mark.parametrize("name", sorted({name for name, family in PAIRS if family == "bert"}))
def test_padding_changes_nothing(request, name):
    toy = Toy(request, name, "bert")
    toy.steps(2)
    toy.model.eval()
    ids = torch.randint(5, 40, (2, 9), generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(ids)
    mask[1, 4:] = 0
    with torch.no_grad():
        together = toy.model(input_ids=ids, attention_mask=mask).logits[1:]
        alone = toy.model(input_ids=ids[1:, :4], attention_mask=mask[1:, :4]).logits
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


# --- LoRA


def test_settings_that_match_nothing_name_what_is_near(request):
    with pytest.raises(WeitiaoError, match='no_such_modules.*"quary"[^?]*Did you mean "query"') as caught:
        Toy(request, "lora", "bert", target_modules=["quary"])
    assert "dense" in str(caught.value)
    with pytest.raises(WeitiaoError, match=r'no_such_modules.*Did you mean "q_proj"'):
        Toy(request, "lora", "llama", target_modules=["q_prj"])


def test_a_regular_expression_picks_modules(request):
    toy = Toy(request, "lora", "bert", target_modules=r".*layer\.1\.attention\.self\.query")
    adapted = [name for name, _ in toy.model.named_parameters() if name.endswith("lora_A")]
    assert adapted == ["bert.encoder.layer.1.attention.self.query.lora_A"]
    with pytest.raises(WeitiaoError, match="unfit_setting.*not a regular expression"):
        Toy(request, "lora", "bert", target_modules="layer[")


@pytest.mark.parametrize(("name", "key"), [("lora", "r"), ("adalora", "init_r"), ("unipelt", "r")])
def test_a_rank_above_the_matrix_is_refused_with_the_largest_that_fits(request, name, key):
    with pytest.raises(WeitiaoError, match=rf"method\.{key}: 33 does not fit.*32 x 32[^0-9]*32 or less"):
        Toy(request, name, "bert", **{key: 33})
    assert Toy(request, name, "bert", **{key: 32}).count()


def test_dropout_of_lora_is_drawn_in_training_alone(request):
    toy = Toy(request, "lora", "bert", lora_dropout=0.5)
    toy.steps(2)
    torch.testing.assert_close(toy.logits(), toy.logits(), rtol=0, atol=0)
    batch = toy.batches.step(0)[0]
    toy.model.train()
    assert not torch.equal(toy.model(**batch.inputs).logits, toy.model(**batch.inputs).logits)


@pytest.mark.parametrize(("rslora", "scale"), [(False, 8 / 4), (True, 8 / 4**0.5)])
def test_alpha_scales_the_change(request, rslora, scale):
    toy = Toy(request, "lora", "bert", r=4, lora_alpha=8, use_rslora=rslora)
    toy.steps(2)
    layer = toy.model.bert.encoder.layer[0].attention.self.query
    x = torch.randn(3, 32)
    with torch.no_grad():
        by_hand = layer.base(x) + scale * (x @ layer.lora_A.T) @ layer.lora_B.T
        torch.testing.assert_close(layer(x), by_hand)


def test_b_learns_faster_under_lora_plus(request):
    toy = Toy(request, "lora", "bert", loraplus_lr_ratio=16)
    rates = {id(w): group["lr"] for group in toy.training.optimizer.param_groups for w in group["params"]}
    for name, weight in toy.loaded.trained.items():
        assert rates[id(weight)] == pytest.approx(0.16 if name.endswith("lora_B") else 0.01)
    toy.steps(1)
    assert toy.training.facts["learning_rate"] == pytest.approx(0.01), (
        "the log shows the rate that was asked for"
    )


def test_dora_begins_with_the_rows_lengths(request):
    toy = Toy(request, "lora", "bert", use_dora=True)
    layer = toy.model.bert.encoder.layer[0].attention.self.query
    torch.testing.assert_close(layer.lora_magnitude.data, layer.base.weight.norm(dim=1))


@pytest.mark.parametrize("init", ["pissa", "olora"])
def test_what_was_begun_with_is_taken_off_again(request, init):
    """The base's weight stays as it is, and A and B hold its best part: PiSSA's is that of the SVD."""
    toy = Toy(request, "lora", "bert", r=4, init_lora_weights=init)
    layer = toy.model.bert.encoder.layer[0].attention.self.query
    part = (layer.lora_B @ layer.lora_A * layer.scaling).detach()
    left, values, right = torch.linalg.svd(layer.base.weight)
    if init == "pissa":
        best = left[:, :4] @ torch.diag(values[:4]) @ right[:4]
        torch.testing.assert_close(part, best.detach(), rtol=1e-4, atol=1e-6)
    assert part.norm() > 0.01
    torch.testing.assert_close(layer.change(), torch.zeros(32, 32), rtol=0, atol=1e-6)


def test_eva_begins_with_the_directions_of_the_inputs(request):
    """Against the SVD of all inputs of a layer, gathered by hand from the same batches, padding left out."""
    toy = Toy(request, "lora", "bert", r=4, init_lora_weights="eva")
    layer, rows = toy.model.bert.encoder.layer[0].attention.self.query, []
    seen = []
    layer.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    toy.model.eval()
    with torch.no_grad():
        for step in range(4):
            batch = toy.batches.step(step)[0]
            toy.model(**batch.inputs)
            rows.append(seen.pop()[batch.inputs["attention_mask"].bool()])
    _, _, right = torch.linalg.svd(torch.cat(rows), full_matrices=False)
    overlap = (layer.lora_A @ right[:4].T).abs()
    torch.testing.assert_close(overlap, torch.eye(4), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("bias", [False, True])
def test_a_change_below_half_a_unit_in_the_last_place_is_not_rounded_away(bias):
    """Added to an output that is rounded already it vanishes; inside the product it is all there on average."""
    torch.manual_seed(0)
    base = nn.Linear(64, 512, bias=bias).requires_grad_(False).to(torch.bfloat16)
    layer = LoraLinear(base, r=4, scaling=1.0)
    nn.init.normal_(layer.lora_B, std=1e-4)
    x = torch.randn(2048, 64).bfloat16()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        low = linear.low_rank(x, layer.lora_A, layer.lora_B)
        rounded = base(x)
        once, twice = layer(x), rounded + low
        exact = nn.functional.linear(x.double(), base.weight.double())
        exact = exact + base.bias.double() if bias else exact
    # How much of the change is there, measured along itself: 1 is all of it.
    share = [
        (((y.double() - exact) * low.double()).sum() / low.double().square().sum()) for y in (once, twice)
    ]
    assert low.abs().max() < 2e-3
    assert share[0] == pytest.approx(1, abs=0.05)
    assert share[1] < 0.6, "what this guards against no longer happens: then `plus` is not needed"


# --- QLoRA


def test_the_base_of_qlora_lies_in_half_a_byte_a_weight_and_does_not_move(request):
    toy = Toy(request, "qlora", "llama", target_modules=["q_proj"])
    layers = [module for module in toy.model.modules() if isinstance(module, PackedLinear)]
    assert len(layers) == 2 * 7
    for layer in layers:
        assert (
            layer.packed.numel() * layer.packed.element_size() * 2 == layer.in_features * layer.out_features
        )
    before = [layer.packed.clone() for layer in layers]
    toy.steps(3)
    assert all(torch.equal(a, layer.packed) for a, layer in zip(before, layers, strict=True))


def test_a_packed_layer_computes_with_its_unpacked_weight(request):
    toy = Toy(request, "qlora", "bert")
    layer = toy.model.bert.encoder.layer[0].attention.self.query
    dense = layer.base.dense()
    plain = Toy(request, "lora", "bert").base.bert.encoder.layer[0].attention.self.query.weight
    # NF4's levels lie up to 0.304 of a block's largest number apart (Dettmers et al. 2023, appendix E); the scales
    # are rounded too.
    blocks = plain.flatten().view(-1, 64).abs().amax(1, keepdim=True)
    error = (dense - plain).flatten().view(-1, 64).abs() / blocks
    assert 0.05 < error.max() < 0.304 / 2 + 0.01
    x = torch.randn(3, 32, requires_grad=True)
    y = layer.base(x)
    torch.testing.assert_close(y, x @ dense.T + layer.base.bias)
    y.square().sum().backward()
    torch.testing.assert_close(x.grad, 2 * y.detach() @ dense)


def test_qlora_folds_every_packed_layer(request):
    toy = Toy(request, "qlora", "llama", target_modules=["q_proj"])
    toy.steps(2)
    tuned = toy.logits()
    folded = toy.method.fold(toy.model)
    assert not [m for m in folded.modules() if isinstance(m, PackedLinear)]
    torch.testing.assert_close(toy.logits(folded), tuned, rtol=1e-4, atol=1e-5)


# --- which parts train, and when


def levels_that_train(toy: Toy) -> set[int]:
    return {toy.model.unfreezing[n] for n, w in toy.model.named_parameters() if w.requires_grad}


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        # Head, two blocks, embeddings: 0 1 2 3; eight steps of four an epoch.
        ({"unfreeze": "even", "until": 1.0}, [0, 0, 0, 1, 1, 1, 2, 2]),
        ({"unfreeze": "even", "until": 0.5}, [0, 0, 1, 2, 3, 3, 3, 3]),
        ({"unfreeze": "epochs", "every": 1}, [0, 0, 0, 0, 1, 1, 1, 1]),
        ({"unfreeze": "epochs", "every": 0.5}, [0, 0, 1, 1, 2, 2, 3, 3]),
        ({"unfreeze": "steps", "every": 3}, [0, 0, 0, 1, 1, 1, 2, 2]),
    ],
)
def test_blocks_join_from_the_top_when_they_are_due(request, settings, expected):
    toy = Toy(request, "gradual", "bert", **settings)
    for level in expected:
        before = {n: w.clone() for n, w in toy.model.named_parameters()}
        toy.steps(1)
        moved = {n for n, w in toy.model.named_parameters() if not torch.equal(w, before[n])}
        assert moved == {n for n, at in toy.model.unfreezing.items() if at <= level}


def test_a_block_joins_when_the_validation_rows_see_no_gain(request):
    toy = Toy(request, "gradual", "bert", unfreeze="plateau")
    reached = []
    for gain in (True, True, False, True, False, False, False, False):
        toy.steps(1)
        reached.append(max(levels_that_train(toy)))
        toy.method.after_evaluation(toy.model, gain=gain)
    assert reached == [0, 0, 0, 1, 1, 2, 3, 3]


def test_lower_levels_learn_more_slowly(request):
    toy = Toy(request, "gradual", "bert", layerwise_lr_decay=0.5)
    rates = {id(w): group["lr"] for group in toy.training.optimizer.param_groups for w in group["params"]}
    named = dict(toy.model.named_parameters())
    assert rates[id(named["classifier.weight"])] == pytest.approx(0.01)
    assert rates[id(named["bert.encoder.layer.1.output.dense.weight"])] == pytest.approx(0.005)
    assert rates[id(named["bert.encoder.layer.0.output.dense.weight"])] == pytest.approx(0.0025)
    assert rates[id(named["bert.embeddings.word_embeddings.weight"])] == pytest.approx(0.00125)


def test_no_gradient_goes_below_the_lowest_block_that_trains(request):
    toy = Toy(request, "top_layers", "bert", n=1)
    toy.steps(1)
    seen = []
    toy.model.bert.encoder.layer[0].register_full_backward_hook(lambda *_: seen.append(1))
    toy.steps(1)
    assert not seen


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n": 3}, "it has 2 blocks(.|\\n)*take 1 to 2, or all"),
        ({"freeze": ["embedings"]}, "no parameter's name holds it"),
        ({"freeze": ["["]}, "unterminated character set"),
        ({"freeze": [""]}, "nothing is left to train"),
    ],
)
def test_top_layers_that_make_no_sense_are_refused(request, settings, message):
    with pytest.raises(WeitiaoError, match=f"unfit_setting(.|\n)*{message}"):
        Toy(request, "top_layers", "bert", **settings)


def test_schedules_end_where_the_training_ends():
    assert Moment(0, 10).progress == 0
    assert Moment(10, 10, 0.2).progress == 1
    assert Moment(5, 10, 0.2).epoch == 1


# --- adapters, prompts


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("adapter", {"reduction_factor": 64}, "the width is 32"),
        ("adalora", {"init_r": 2, "target_r": 4}, "ranks only fall"),
        ("ia3", {"feedforward_modules": ["query"]}, "is not among target_modules"),
        ("lora", {"target_modules": []}, "names no layer"),
        ("adalora", {"target_modules": ""}, "names no layer"),
        ("ia3", {"target_modules": []}, "names no layer"),
    ],
)
def test_settings_that_do_not_fit_are_refused(request, name, settings, message):
    with pytest.raises(WeitiaoError, match=f"unfit_setting(.|\n)*{message}"):
        Toy(request, name, "bert", **settings)


@pytest.mark.parametrize(
    "settings",
    [{"prompt_tuning_init": "text"}, {"prompt_tuning_init_text": "good"}, {"prompt_tuning_init_text": " "}],
)
def test_a_text_and_the_wish_for_it_go_together(request, settings):
    if settings.get("prompt_tuning_init_text") == " ":
        settings = {**settings, "prompt_tuning_init": "text"}
    with pytest.raises(WeitiaoError, match="method.prompt_tuning_init_text(.|\n)*goes together"):
        Toy(request, "prompt", "bert", **settings)


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("gradual", {"unfreeze": "epochs", "every": 2}, "method.every(.|\n)*ends after 2 epochs"),
        ("gradual", {"unfreeze": "steps", "every": 8}, "method.every(.|\n)*ends after 8 steps"),
        ("adalora", {"tinit": 4, "tfinal": 4}, "method.tinit(.|\n)*nothing is left of 8 steps"),
    ],
)
def test_a_schedule_in_which_nothing_happens_is_refused_before_the_first_step(
    request, name, settings, message
):
    toy = Toy(request, name, "bert", **settings)
    with pytest.raises(WeitiaoError, match=f"wrong_value(.|\n)*{message}"):
        toy.steps(1)
    assert toy.training.state.step == 0


def test_prompts_begin_as_words(request):
    toy = Toy(
        request,
        "prompt",
        "bert",
        num_virtual_tokens=5,
        prompt_tuning_init="text",
        prompt_tuning_init_text="good film",
    )
    table = toy.base.bert.embeddings.word_embeddings.weight
    ids = toy.loaded.processor("good film", add_special_tokens=False)["input_ids"]
    assert len(ids) == 2
    torch.testing.assert_close(toy.model.bert.prompt.embedding.data, table[(ids * 3)[:5]].detach())
    drawn = Toy(request, "prompt", "bert").model.bert.prompt.embedding
    assert all(any(torch.equal(row, word) for word in table) for row in drawn)


def test_adapters_are_the_models_norms_twice_or_not(request):
    """Behind a post-LN block the pretrained norm is used before and after; before a pre-LN block's end it is not there."""
    from weitiao.methods.adapter import BehindNorm, Bottleneck

    assert len(list(inserted(Toy(request, "adapter", "bert").model, BehindNorm))) == 2
    llama = Toy(request, "adapter", "llama").model
    assert not list(inserted(llama, BehindNorm))
    assert len(list(inserted(llama, Bottleneck))) == 2


def test_methods_are_values():
    from dataclasses import replace

    lora = registry.build("method", {"name": "lora", "r": 8})
    assert replace(lora, r=16) == registry.build("method", {"name": "lora"})
    assert registry.build("method", {"name": "qlora"}) == registry.build(
        "method", {"name": "lora", "base_bits": 4}
    )


def test_calibration_looks_at_training_batches_without_training(request):
    toy = Toy(request, "lora", "bert", init_lora_weights="eva")
    before = {n: w.clone() for n, w in toy.model.named_parameters()}
    toy.calibrate()
    assert all(torch.equal(w, before[n]) for n, w in toy.model.named_parameters()), (
        "the same rows, the same start"
    )
    assert toy.training.state.step == 0
