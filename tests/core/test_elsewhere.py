"""Keys of other tools are answered with ours, with the reason why there is none, or with nothing: never wrongly."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from weitiao.core import registry
from weitiao.core.errors import WeitiaoError, did_you_mean, nearest
from weitiao.core.recipe import Recipe, known_keys
from weitiao.core.renamed import TASKS, spellings
from weitiao.core.unfit import meant

RECORDED = yaml.safe_load((Path(__file__).parent / "recorded" / "elsewhere.yaml").read_text(encoding="utf-8"))
FOREIGN = {tool: names.split() for tool, names in RECORDED.items()}
SMALL = {"model": "m", "task": "text_classification", "output_dir": "o"}
KNOWN = known_keys()
SETTINGS = {
    shelf: {name: registry.settings(registry.entry(shelf, name).kind) for name in registry.names(shelf)}
    for shelf in ("method", "task")
}
# A foreign name that looks like a key of ours with a typing error, where that key could stand.
GUESSED = {
    ("", "mode"): "model",
    ("method", "delta"): "deltaT",
    ("method", "modules"): "target_modules",
    ("task", "delta"): "huber_delta",
    ("task", "length"): "response_length",
    ("task", "rl_coef"): "kl_coef",
    ("task", "stride"): "doc_stride",
}


def section(path: str) -> list[str]:
    return [key.rpartition(".")[2] for key in KNOWN if key.rpartition(".")[0] == path]


def test_the_table_leads_somewhere():
    ours = {
        *KNOWN,
        *(f"{shelf}.{key}" for shelf in SETTINGS for keys in SETTINGS[shelf].values() for key in keys),
    }
    for word, answer in spellings("en").items():
        target = answer.partition(" (")[0]
        name, _, value = target.partition(": ")
        if target == "nothing" or target.startswith("weitiao "):
            continue
        assert name in ours, word
        if value and name in SETTINGS:
            assert value in registry.names(name), word
    assert not {key.rpartition(".")[2] for key in KNOWN} & set(spellings("en")), (
        "a key of ours is no foreign word"
    )


def test_both_languages_answer_alike():
    english, chinese = spellings("en"), spellings("zh")
    assert set(english) == set(chinese)
    for word, answer in english.items():
        said = chinese[word]
        assert answer == said or any("\u4e00" <= char <= "\u9fff" for char in said), word
        assert answer.startswith("nothing (") == said.startswith("没有对应的键（"), word


@pytest.mark.whole
@pytest.mark.parametrize("tool", FOREIGN)
def test_no_foreign_name_is_answered_wrongly(tool):
    """Where it is not known, and no key of ours has that very name, nothing is guessed."""
    assert len(FOREIGN[tool]) > 60
    answers = spellings("en")
    for word in FOREIGN[tool]:
        for path in ("", "train", "data", "data.split", "evaluate"):
            hint = meant(word, section(path), KNOWN, shelved=registry.keys)
            if word in section(path):
                continue
            if word in answers:
                assert hint == f" -> {answers[word]}"
            elif (path, word) in GUESSED:
                assert hint == did_you_mean(word, [GUESSED[path, word]])
            elif hint:
                target = hint.removeprefix(" -> ").partition(" ")[0]
                assert target.rpartition(".")[2] == word, (path, word, hint)
        for shelf, things in SETTINGS.items():
            for name, keys in things.items():
                hint = meant(word, keys, (), shelf=shelf, shelved=registry.keys)
                if word not in keys and word not in answers and "mean" in hint:
                    assert (shelf, word) in GUESSED, (shelf, name, word, hint)


def test_most_of_what_a_user_of_transformers_writes_is_known():
    same = {key.rpartition(".")[2] for key in KNOWN}
    unknown = {word for word in FOREIGN["transformers"] if word not in same and word not in spellings("en")}
    assert len(unknown) < 0.12 * len(FOREIGN["transformers"]), sorted(unknown)


@pytest.mark.parametrize(
    ("path", "word", "says"),
    [
        ("", "lora_dropout", "-> method.lora_dropout"),
        ("train", "lora_r", "-> method.r"),
        ("", "adapter", "-> method"),
        ("", "sample_packing", "-> nothing (sft and language_modeling always pack"),
        ("", "load_in_8bit", "method: qlora"),
        ("", "train_on_inputs", "-> task.answers"),
        ("", "flash_attention", "-> nothing"),
        ("model", "torch_dtype", "-> train.bf16"),
        ("", "max_samples", "-> data.train: FILE#500"),
        ("", "modules_to_save", "-> nothing (the task's new output layer"),
        ("", "bias", "method: bitfit"),
        ("", "deepspeed", "-> train.data_parallel: fsdp"),
        ("train", "beta1", "-> train.adam_beta1"),
        ("data", "learning_rate", "-> train.learning_rate"),
        ("", "beta", "-> task.beta (distillation, dpo, grpo, kto, rloo)"),
        ("train", "pref_beta", "-> task.beta"),
        ("", "pref_loss", "-> task.loss_type"),
        ("", "pref_ftx", "-> task.rpo_alpha"),
        ("", "simpo_gamma", "-> task.gamma (of dpo with loss_type: simpo"),
        ("", "ref_model", "-> task.ref_model (dpo, grpo, kto, ppo, rloo)"),
        ("", "ppo_epochs", "-> task.num_ppo_epochs"),
        ("", "num_mini_batches", "-> nothing (every optimiser step goes by a whole rollout"),
        ("", "kto_desirable_weight", "-> task.desirable_weight"),
        ("", "rl", "-> task: dpo"),
        ("train", "reward_funcs", "-> task.rewards (grpo, rloo, ppo"),
        ("train", "reward_weights", "-> task.rewards (each has a weight"),
        ("data", "max_prompt_length", "-> data.max_length (of prompt and answer together"),
        ("", "num_beams", "-> task.num_beams (seq2seq)"),
        ("train", "generation_max_length", "-> task.max_target_length"),
        ("train", "predict_with_generate", "-> nothing (test rows are always answered"),
        ("", "src_lang", "-> task.source_language"),
        ("", "pooling_mode", "-> task.pooling"),
        ("", "temperature", "of vectors task.scale is 1 / temperature"),
        ("", "train_type", "-> method"),
        ("", "packed", "always pack"),
    ],
)
def test_the_usual_ones_are_answered(path, word, says):
    assert says in meant(word, section(path), KNOWN, shelved=registry.keys)


def test_a_setting_is_looked_for_among_its_kin():
    lora = registry.settings(registry.entry("method", "lora").kind)
    assert (
        meant("dropout", lora, (), shelf="method", shelved=registry.keys)
        == did_you_mean("", []) + ' Did you mean "lora_dropout"?'
    )
    assert meant("alpha", lora, (), shelf="method", shelved=registry.keys) == " -> method.lora_alpha"
    assert meant("lora_rank", ["head"], (), shelf="method", shelved=registry.keys) == "", (
        "another method has it, this one has not"
    )


@pytest.mark.parametrize("word", TASKS)
def test_what_tasks_are_called_elsewhere(word):
    with pytest.raises(WeitiaoError, match="unknown_name") as caught:
        registry.build("task", {"name": word.replace("_", "-")})
    assert f"-> {TASKS[word]}" in str(caught.value)
    assert TASKS[word].partition(",")[0] in registry.names("task")


@pytest.mark.parametrize(
    ("typed", "known", "near"),
    [
        ("deepspeed", ["seed", "model"], ""),
        ("adam_beta3", ["adam_beta1", "adam_beta2"], ""),
        ("adam_beta_1", ["adam_beta1", "adam_beta2"], "adam_beta1"),
        ("minilm", ["minilm-l6", "smollm2-135m", "e5-small"], "minilm-l6"),
        ("Learning-Rate", ["learning_rate"], "learning_rate"),
        ("tset", ["train", "test"], "test"),
        ("postive", ["positive", "negative"], "positive"),
        ("hub_token", ["max_batch_tokens"], ""),
        ("", ["test"], ""),
        ("负面", ["正面", "中性"], ""),
        ("用户评伦内容", ["用户评论内容", "标签"], "用户评论内容"),
    ],
)
def test_a_guess_is_a_typing_error_away(typed, known, near):
    assert nearest(typed, known) == near


# --- all of them at once


def test_everything_that_does_not_fit_is_said_at_once():
    tree = {
        "model_name_or_path": "m",
        "task": {"name": "text_classification", "lables": ["a", "b"]},
        "output_dir": "o",
        "method": {"lora_rank": 8},
        "lora_dropout": 0.1,
        "train": {"epochs": 3, "optim": "adamw_torch", "learning_rat": 1, "max_steps": 0},
        "data": {"zzzzzz": 1},
    }
    with pytest.raises(WeitiaoError) as caught:
        Recipe.read(tree)
    said = str(caught.value)
    assert (caught.value.code, caught.value.exit_code, caught.value.values["count"]) == ("unfit_recipe", 2, 9)
    for words in (
        '"model_name_or_path" is not a key of the recipe. -> model\n',
        '"task.lables" is not a key of the recipe. Did you mean "labels"?',
        '"method.lora_rank" is not a key of the recipe. -> method.r\n',
        '"lora_dropout" is not a key of the recipe. -> method.lora_dropout (adalora, lora, qlora)',
        '"train.epochs" is not a key of the recipe. -> train.num_train_epochs',
        "train.optim: 'adamw_torch' does not fit: ",
        "here it is adamw",
        '"train.learning_rat" is not a key of the recipe. Did you mean "learning_rate"?',
        "train.max_steps: 0 does not fit: it must be greater",
        '"data.zzzzzz" is not a key of the recipe.\n',
    ):
        assert words in said
    assert 'lacks "model"' not in said, "it is there, under another name"


def test_what_is_missing_is_said_beside_what_is_unknown():
    with pytest.raises(WeitiaoError) as caught:
        Recipe.read({"model": "m", "lr": 1})
    assert caught.value.code == "unfit_recipe"
    for words in ("-> train.learning_rate", 'lacks "task"', 'lacks "output_dir"'):
        assert words in str(caught.value)


def test_one_alone_is_said_as_ever():
    for tree, code in (
        ({**SMALL, "lr": 1}, "unknown_key"),
        ({**SMALL, "method": {"rank": 1}}, "unknown_key"),
        ({**SMALL, "seed": -1}, "wrong_value"),
        ({"model": "m", "task": "sft"}, "missing_key"),
    ):
        with pytest.raises(WeitiaoError) as caught:
            Recipe.read(tree)
        assert caught.value.code == code


def test_the_answer_is_in_the_reader_s_language(monkeypatch):
    monkeypatch.setenv("WEITIAO_LANG", "zh")
    with pytest.raises(WeitiaoError) as caught:
        Recipe.read({**SMALL, "warmup_ratio": 0.1, "bias": "none"})
    assert "train.warmup_steps（小于 1 的值是比例）" in str(caught.value)
    assert "没有对应的键（LoRA 不训练基座的偏置；method: bitfit 会）" in str(caught.value)


def test_report_to_none_is_nothing():
    assert Recipe.read({**SMALL, "train": {"report_to": "none"}}).train.report_to == []
