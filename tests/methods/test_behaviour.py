"""What single methods promise beyond the table: packed rows, generation, schedules, adapters, prompts."""

from __future__ import annotations

import pytest
import torch

from tests.methods.toys import PAIRS, Toy
from weitiao.core import registry
from weitiao.core.contracts import Moment
from weitiao.core.errors import WeitiaoError
from weitiao.models.wrap import inserted

pytestmark = pytest.mark.whole  # each method on every way of a batch

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
