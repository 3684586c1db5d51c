"""The other side: HF Trainer (with PEFT for LoRA) on reviews, TRL's SFTTrainer on chat; defaults, or the best settings found.

Told to them is what `jobs.py` tells everybody; bars, uploads, checkpoints and evaluation are off, as with ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.jobs import SEED, Job
from benchmarks.worker import Clock, Trained


def reviews(
    job: Job, dealt: dict[str, Any], *, folder: Path, clock: Clock, settings: Mapping[str, Any]
) -> Trained:
    """HF Trainer; defaults are float32, rows in random order, batches padded to their longest row."""
    from peft import LoraConfig, get_peft_model
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        DataCollatorWithPadding,
        Trainer,
        TrainingArguments,
        set_seed,
    )

    labels = sorted({row["label"] for row in dealt["train"]})
    tokenizer = AutoTokenizer.from_pretrained(dealt["model"])
    set_seed(SEED)  # the head is drawn here
    base = AutoModelForSequenceClassification.from_pretrained(dealt["model"], num_labels=len(labels))
    if job.trains:
        model = base
        for weight_name, weight in model.named_parameters():
            weight.requires_grad_(weight_name.startswith(job.trains))
    else:
        model = get_peft_model(base, LoraConfig(task_type="SEQ_CLS", **_lora(job)))
    encoded = tokenizer([row["text"] for row in dealt["train"]], truncation=True, max_length=job.max_length)
    rows = [
        {**{key: values[place] for key, values in encoded.items()}, "labels": labels.index(row["label"])}
        for place, row in enumerate(dealt["train"])
    ]
    trainer = Trainer(
        model=model,
        args=TrainingArguments(**_arguments(job, folder), **settings),
        train_dataset=rows,
        data_collator=DataCollatorWithPadding(tokenizer),
        processing_class=tokenizer,
        callbacks=[_ticks(clock)],
    )
    loss = trainer.train().training_loss
    trainer.save_model(str(folder / "adapter"))
    return Trained(
        steps=trainer.state.global_step,
        tokens=sum(map(len, encoded["input_ids"])) * job.epochs,
        targets=len(rows) * job.epochs,
        parameters=_trained_parameters(trainer.model),
        loss=loss,
    )


def chat(
    job: Job, dealt: dict[str, Any], *, folder: Path, clock: Clock, settings: Mapping[str, Any]
) -> Trained:
    """TRL's SFTTrainer; defaults are bf16 autocast, recomputed activations, batches padded to their longest row."""
    # Unsloth changes classes of the others when it is imported, so it comes first.
    through_unsloth = settings.get("through") == "unsloth"
    settings = {key: value for key, value in settings.items() if key != "through"}
    model = _unsloth(job, dealt["model"]) if through_unsloth else None
    from datasets import Dataset, disable_progress_bars
    from peft import LoraConfig
    from transformers import AutoTokenizer
    from trl import SFTConfig, SFTTrainer

    disable_progress_bars()
    tokenizer = AutoTokenizer.from_pretrained(dealt["model"])
    # As text: from messages TRL would also train the line feed behind the end token, which ours does not.
    rows = [
        {
            "prompt": tokenizer.apply_chat_template(
                row["messages"][:-1], tokenize=False, add_generation_prompt=True
            ),
            "completion": row["messages"][-1]["content"] + tokenizer.eos_token,
        }
        for row in dealt["train"]
    ]
    trainer = SFTTrainer(
        model=model or dealt["model"],
        args=SFTConfig(**_arguments(job, folder), completion_only_loss=True, **settings),
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        peft_config=None if model else LoraConfig(task_type="CAUSAL_LM", **_lora(job)),
        callbacks=[_ticks(clock)],
    )
    loss = trainer.train().training_loss
    trainer.save_model(str(folder / "adapter"))
    encoded = trainer.train_dataset
    return Trained(
        steps=trainer.state.global_step,
        tokens=sum(map(len, encoded["input_ids"])),
        targets=sum(label != -100 for labels in encoded["labels"] for label in labels[1:]),
        parameters=_trained_parameters(trainer.model),
        loss=loss,
    )


def _unsloth(job: Job, model: str) -> Any:
    """The base as Unsloth reads it, with its LoRA on it."""
    from unsloth import FastLanguageModel

    base, _ = FastLanguageModel.from_pretrained(model, max_seq_length=job.max_length, load_in_4bit=False)
    linear = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    words = {**_lora(job), "target_modules": linear, "use_gradient_checkpointing": False}
    return FastLanguageModel.get_peft_model(base, **words, random_state=SEED)


def _lora(job: Job) -> dict[str, Any]:
    return {"lora_dropout": 0.0, **{key: value for key, value in job.method.items() if key != "name"}}


def _arguments(job: Job, folder: Path) -> dict[str, Any]:
    import torch

    return {
        "output_dir": str(folder / "trainer"),
        "num_train_epochs": job.epochs,
        "per_device_train_batch_size": job.batch_size,
        "learning_rate": job.learning_rate,
        "lr_scheduler_type": "linear",
        "warmup_steps": job.warmup_steps,
        "weight_decay": job.weight_decay,
        "max_grad_norm": 1.0,
        "seed": SEED,
        "save_strategy": "no",
        "eval_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "use_cpu": not torch.cuda.is_available(),
    }


def _ticks(clock: Clock) -> Any:
    from transformers import TrainerCallback

    class Ticks(TrainerCallback):
        def on_train_begin(self, args: Any, state: Any, control: Any, **more: Any) -> None:
            clock.tick()

        def on_step_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
            clock.tick()

    return Ticks()


def _trained_parameters(model: Any) -> int:
    return sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
