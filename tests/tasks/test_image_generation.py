"""Image generation: the loss is that of diffusers' own examples, and diffusers opens what was tuned and says the same."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from tests.drawn import captioned, saved
from tests.pictures import class_folders
from weitiao.core import registry
from weitiao.core.contracts import Record
from weitiao.core.errors import WeitiaoError
from weitiao.core.files import write_json
from weitiao.data.pictures import uri
from weitiao.evaluate.predict import predict
from weitiao.models import load, store
from weitiao.models.opening import own_files

pytestmark = pytest.mark.whole  # denoisers


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    home = tmp_path_factory.mktemp("pipelines")
    return lambda kind: saved(kind, home)


def records(count=4):
    return [Record("toy", number, row) for number, row in enumerate(captioned(count), start=1)]


def learnt(ref, rows=None, **settings):
    task = registry.build("task", {"name": "image_generation", **settings}).learn(rows or records())
    return task.of_base(own_files(ref), ref=ref)


def stacked(task, loaded, rows, *, epoch=0):
    """A batch that is learnt from."""
    examples = [
        replace(example, chance=(7, epoch, place))
        for place, example in enumerate(task.encode(rows, loaded.processor, limit=0))
    ]
    return loaded.collate(task)(examples, list(range(len(examples))))


def theirs(loaded, task, rows, worth, gamma):
    """The loss of a step as train_text_to_image_lora.py and train_dreambooth.py compute it; pictures, noise and times given."""
    from diffusers import DDPMScheduler
    from diffusers.training_utils import compute_snr

    pipeline, model = loaded.processor, loaded.model.body
    way = DDPMScheduler.from_config(pipeline.scheduler.config)
    chances = [np.random.default_rng([7, 0, place, 1]) for place in range(len(rows))]
    at = torch.tensor([int(rng.integers(way.config.num_train_timesteps)) for rng in chances])
    noise, latent = (
        torch.from_numpy(np.stack([rng.standard_normal(pipeline.shape, dtype=np.float32) for rng in chances]))
        for _ in range(2)
    )
    from PIL import Image, ImageOps

    def pixels(row):
        _, height, width = pipeline.pixels
        cut = ImageOps.fit(
            Image.open(row.values["image"]).convert("RGB"), (width, height), Image.Resampling.BILINEAR
        )
        return torch.from_numpy(np.array(cut)).permute(2, 0, 1) / 127.5 - 1

    clean, words = torch.stack([pixels(row) for row in rows]), {}
    if pipeline.vae is not None:
        posterior = pipeline.vae.encode(clean).latent_dist
        clean = (posterior.mean + posterior.std * latent) * pipeline.vae.config.scaling_factor
    if pipeline.conditions == "text":
        ids = pipeline.tokenizer(
            [row.values["text"] for row in rows], padding="max_length", truncation=True, return_tensors="pt"
        ).input_ids
        words["encoder_hidden_states"] = pipeline.text_encoder(ids)[0]
    elif pipeline.conditions:
        words["class_labels"] = torch.tensor([task.labels.index(row.values["text"]) for row in rows])
    noisy = way.add_noise(clean, noise, at)
    said = model(noisy, timestep=at, return_dict=False, **words)[0][:, : noisy.shape[1]]
    kind = way.config.prediction_type
    target = {"epsilon": noise, "sample": clean}.get(kind, way.get_velocity(clean, noise, at))
    loss = F.mse_loss(said, target, reduction="none").mean([1, 2, 3])
    if gamma:
        snr = compute_snr(way, at)
        least = torch.stack([snr, gamma * torch.ones_like(snr)], dim=1).min(dim=1)[0]
        loss = loss * {"epsilon": least / snr, "v_prediction": least / (snr + 1)}.get(kind, least)
    return (loss * torch.tensor(worth)).sum() / sum(worth)


@pytest.mark.parametrize(
    ("kind", "settings", "worth"),
    [
        ("class", {"snr_gamma": 5.0}, (1.0,) * 4),
        ("plain", {}, (1.0,) * 4),
        ("velocity", {"snr_gamma": 5.0}, (1.0,) * 4),
        ("sample", {"snr_gamma": 2.0}, (1.0,) * 4),
        ("prompt", {"prior": "dark", "prior_weight": 0.25}, (1.0, 0.25) * 2),
        ("dit", {"snr_gamma": 5.0}, (1.0,) * 4),
    ],
)
def test_loss_and_gradient_are_those_of_diffusers(toy, kind, settings, worth):
    rows, ref = records(), toy(kind)
    task = learnt(ref, **settings)
    loaded = load.load(ref, task)
    loaded.model.eval()
    batch = stacked(task, loaded, rows)
    ours = task.loss(loaded.model, batch) / batch.trained
    loss = theirs(loaded, task, rows, worth, settings.get("snr_gamma"))
    assert float(ours.detach()) == pytest.approx(float(loss.detach()), rel=1e-5)
    weights = [weight for weight in loaded.model.parameters() if weight.requires_grad]
    known = torch.autograd.grad(loss, weights, allow_unused=True)
    size = max(float(each.abs().max()) for each in known if each is not None)
    for own, other in zip(torch.autograd.grad(ours, weights, allow_unused=True), known, strict=True):
        assert (own is None) == (other is None)
        assert own is None or float((own - other).abs().max()) < 1e-5 * size
    # Cut in two it is the same sum, and in another epoch another one.
    halves = [
        replace(e, chance=(7, 0, p)) for p, e in enumerate(task.encode(rows, loaded.processor, limit=0))
    ]
    parts = [loaded.collate(task)(halves[cut], list(range(4))[cut]) for cut in (slice(1), slice(1, 4))]
    total = sum(float(task.loss(loaded.model, part).detach()) for part in parts) / batch.trained
    assert total == pytest.approx(float(loss.detach()), rel=1e-5)
    other = task.loss(loaded.model, stacked(task, loaded, rows, epoch=1)) / batch.trained
    assert float(other.detach()) != pytest.approx(total, rel=1e-3)


def test_flow_matching_goes_on_straight_lines(toy):
    """As train_dreambooth_lora_sd3.py has it, with times drawn evenly."""
    ref, rows = toy("flow"), records()
    task = learnt(ref)
    loaded = load.load(ref, task)
    batch, way = stacked(task, loaded, rows), loaded.processor.scheduler
    at = [int(np.random.default_rng([7, 0, place, 1]).integers(1000)) for place in range(4)]
    assert batch.inputs["timestep"].tolist() == way.timesteps[at].tolist()
    sigma = way.sigmas[at].view(-1, 1, 1, 1)
    noise = batch.inputs["sample"] + (1 - sigma) * batch.target
    clean = noise - batch.target
    torch.testing.assert_close(
        way.scale_noise(clean, batch.inputs["timestep"], noise), batch.inputs["sample"]
    )
    assert float(clean.abs().max()) <= 1 + 1e-3


def by_hand(pipe, words, noise, steps):
    """DDIM as diffusers has it."""
    from diffusers import DDIMScheduler

    way = DDIMScheduler.from_config(pipe.scheduler.config)
    way.set_timesteps(steps)
    body = pipe.unet if "unet" in pipe.components else pipe.transformer
    for at in way.timesteps:
        noise = way.step(body(noise, timestep=at, **words).sample, at, noise).prev_sample
    return noise


def trained(toy, kind, method, folder, **settings):
    import weitiao as wt

    data = class_folders(folder / "data", 24)
    return wt.train(
        {
            "model": toy(kind),
            "task": {"name": "image_generation", "steps": 3, "judged_times": 2, "encoder": "", **settings},
            "method": method,
            "data": {"train": [str(data)]},
            "train": {"max_steps": 3, "learning_rate": 1e-2, "warmup_steps": 0, "bf16": False},
            "output_dir": str(folder / "run"),
        }
    )


def test_what_was_tuned_whole_is_a_pipeline_of_diffusers_and_draws_the_same(toy, tmp_path):
    from diffusers import DDPMPipeline, DiffusionPipeline

    run = trained(toy, "class", "full", tmp_path)
    pipe = DiffusionPipeline.from_pretrained(run.folder.model)
    assert isinstance(pipe, DDPMPipeline)
    own, base = pipe.unet.state_dict(), DiffusionPipeline.from_pretrained(toy("class")).unet.state_dict()
    assert any(not torch.equal(own[name], base[name]) for name in own)
    told = run.predict(["dark", "bright", "dark"])
    rows = [Record("", number, {"text": text}) for number, text in enumerate(["dark", "bright", "dark"])]
    asked = list(run.task.encode(rows, run.tuned.processor, limit=0))
    batch = run.tuned.collate(run.task)(asked, [0, 1, 2])
    with torch.no_grad():
        pixels = by_hand(pipe, {"class_labels": torch.tensor([1, 0, 1])}, batch.inputs["sample"], 3)
    for one, expected in zip(told, pixels, strict=True):
        shades = np.asarray(uri.read(one["drawn"])).astype(int)
        known = ((expected.clamp(-1, 1) + 1) * 127.5).round().permute(1, 2, 0).numpy().astype(int)
        assert abs(shades - known).max() <= 1
    # Two pictures of the same words are two.
    assert told[0] != told[2]
    tuned, untuned = (
        run.results["metrics"][name]["denoising_loss"]["value"] for name in ("tuned", "untuned")
    )
    assert tuned < untuned


def test_lora_of_prompts_is_read_by_load_lora_weights_and_by_peft(toy, tmp_path):
    from diffusers import DiffusionPipeline
    from peft import PeftModel

    run = trained(
        toy, "prompt", {"name": "lora", "r": 2, "target_modules": ["to_q", "to_v", "conv1"]}, tmp_path
    )
    words = {"sample": torch.randn(2, 4, 8, 8), "timestep": torch.tensor([3, 60])}
    words["encoder_hidden_states"] = torch.randn(2, 16, 16)
    known = run.tuned.model.float()(**words).sample.detach()
    pipe = DiffusionPipeline.from_pretrained(toy("prompt"))
    untuned = pipe.unet(**words).sample.detach()
    pipe.load_lora_weights(str(run.folder.model))
    torch.testing.assert_close(pipe.unet(**words).sample.detach(), known, rtol=1e-4, atol=1e-4)
    assert float((untuned - known).abs().max()) > 1e-3
    other = DiffusionPipeline.from_pretrained(toy("prompt")).unet
    read = PeftModel.from_pretrained(other, run.folder.model / "unet")
    torch.testing.assert_close(read(**words).sample.detach(), known, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("method", ["full", "lora", "bitfit"])
def test_a_method_trains(toy, method):
    task = learnt(toy("class"))
    loaded = load.load(toy("class"), task)
    store.prepare(loaded, registry.build("method", {"name": method}), seed=0, task=task)
    task.loss(loaded.model, stacked(task, loaded, records())).backward()
    assert loaded.trained
    assert all(weight.grad is not None for weight in loaded.trained.values())


REFUSED = {
    "head": "no_such_pair",
    "qlora": "no_such_pair",
    "prompt": "unfit_setting",
    "prefix": "unknown_anatomy",
    "ia3": "unknown_anatomy",
    "top_layers": "unknown_anatomy",
    "gradual": "unknown_anatomy",
}


@pytest.mark.parametrize(("method", "code"), REFUSED.items())
def test_a_method_that_finds_no_fit_is_refused_by_name(toy, method, code):
    from weitiao.core.recipe import Recipe
    from weitiao.stages.preflight import preflight

    named = {"task": {"name": "image_generation"}, "method": {"name": method}, "model": toy("class")}
    recipe = Recipe.read({**named, "data": {"train": ["rows.csv"]}, "output_dir": "x"})
    with pytest.raises(WeitiaoError, match=code):
        preflight(recipe, registry.build("task", recipe.task), registry.build("method", recipe.method))


def test_a_new_class_gets_a_place_behind_those_that_the_base_names(toy, tmp_path):
    import shutil

    ref = str(shutil.copytree(toy("class"), tmp_path / "base"))
    write_json(tmp_path / "base" / "id2label.json", {"0": "dark", "1": "grey"})
    task = learnt(ref)
    assert task.labels == ("dark", "grey", "bright")
    loaded = load.load(ref, task)
    before = load.load(toy("class"), learnt(toy("class"))).model.body.class_embedding.weight
    torch.testing.assert_close(
        loaded.model.body.class_embedding.weight, torch.cat([before, before.mean(0)[None]])
    )
    assert loaded.head == {"unet.class_embedding.weight"}
    run = trained(lambda _: ref, "class", {"name": "lora", "r": 2}, tmp_path / "tuned")
    again = load.load(ref, run.task).model.body.class_embedding.weight
    assert not torch.equal(run.tuned.model.body.class_embedding.weight, again)
    assert [len(one) for one in (run.predict(["bright", "grey"]), run.task.labels)] == [2, 3]
    with pytest.raises(WeitiaoError, match="blue"):
        run.predict(["blue"])


def test_what_judges_is_asked_of_the_same_noise_each_time_and_at_times_evenly_spread(toy):
    ref, rows = toy("class"), records()
    task = learnt(ref, judged_times=4)
    loaded = load.load(ref, task)
    examples = list(task.encode(rows, loaded.processor, limit=0))
    one, two = (loaded.collate(task)(examples[:n], list(range(n))) for n in (4, 2))
    assert one.inputs["timestep"].tolist() == [12] * 4 + [37] * 4 + [62] * 4 + [87] * 4
    torch.testing.assert_close(one.inputs["sample"][[0, 1, 4, 5]], two.inputs["sample"][:4])
    assert predict(loaded, task, examples) == predict(loaded, task, examples)


@pytest.mark.parametrize(
    ("kind", "settings", "code"),
    [
        ("prompt", {"augment": ("flip",)}, "unfit_training"),
        ("dit", {"image_size": 32}, "unfit_training"),
        ("prompt", {"image_size": 33}, "unfit_training"),
    ],
)
def test_settings_that_a_base_cannot_take_are_refused(toy, kind, settings, code):
    with pytest.raises(WeitiaoError, match=code):
        load.skeleton(toy(kind), registry.build("task", {"name": "image_generation", **settings}))


def test_another_size_is_taken_by_a_unet_and_kept(toy, tmp_path):
    from diffusers import DiffusionPipeline

    run = trained(toy, "plain", "full", tmp_path, image_size=8)
    assert DiffusionPipeline.from_pretrained(run.folder.model).unet.config.sample_size == 8
    assert uri.read(run.predict("dark")[0]["drawn"]).size == (8, 8)
    # Neither explanations nor stress tests are made of pictures that are drawn.
    for asked in (run.stress, lambda: run.explain("dark")):
        with pytest.raises(WeitiaoError, match="draws pictures"):
            asked()


def test_steps_and_guidance_decide_what_is_drawn(toy):
    ref = toy("prompt")
    found = []
    for words in ({"steps": 2}, {"steps": 4}, {"steps": 4, "guidance_scale": 1.0}):
        task = learnt(ref, **words)
        loaded = load.load(ref, task)
        asked = list(task.encode([Record("", 1, {"text": "dark"})], loaded.processor, limit=0))
        found.append(predict(loaded, task, asked)[0]["drawn"])
    assert len({*found}) == 3


def test_folders_of_other_kinds_are_refused_by_name(toy, bert):
    generation = registry.build("task", {"name": "image_generation"})
    with pytest.raises(WeitiaoError, match="no_pipeline"):
        load.load(bert, generation)
    with pytest.raises(WeitiaoError, match="is_pipeline"):
        load.load(toy("class"), registry.build("task", {"name": "text_classification"}))
    with pytest.raises(WeitiaoError, match="prior_unseen|shows just that"):
        registry.build("task", {"name": "image_generation", "prior": "a dog"}).learn(records())


def test_pictures_are_changed_as_they_come_and_labels_keep_the_order_that_was_given(toy):
    ref, rows = toy("plain"), records()
    found = []
    for augment in ((), ("flip",)):
        task = learnt(ref, augment=augment)
        loaded = load.load(ref, task)
        found.append(stacked(task, loaded, rows).inputs["sample"])
    assert not torch.equal(*found)
    assert learnt(toy("class"), labels=("dark", "bright")).labels == ("dark", "bright")
    assert learnt(toy("class")).labels == ("bright", "dark")
    assert learnt(toy("prompt")).labels == ()
