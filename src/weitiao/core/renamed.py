"""What keys are called elsewhere, and what they are called here: for the error that answers a foreign spelling.

RENAMED["evaluation_strategy"]  ->  "train.eval_strategy"
"""

from __future__ import annotations

# Spellings of older Transformers, TRL, LLaMA-Factory and Axolotl -> ours.
RENAMED = {
    "evaluation_strategy": "train.eval_strategy",
    "num_epochs": "train.num_train_epochs",
    "epochs": "train.num_train_epochs",
    "lr": "train.learning_rate",
    "batch_size": "train.per_device_train_batch_size",
    "micro_batch_size": "train.per_device_train_batch_size",
    "per_gpu_train_batch_size": "train.per_device_train_batch_size",
    "per_gpu_eval_batch_size": "train.per_device_eval_batch_size",
    "warmup_ratio": "train.warmup_steps (a value below 1 is a share)",
    "group_by_length": "train.train_sampling_strategy: group_by_length",
    "lr_scheduler": "train.lr_scheduler_type",
    "patience": "train.early_stopping_patience",
    "overwrite_output_dir": "a new output_dir (a run never overwrites another)",
    "logging_dir": "output_dir (log.jsonl lies in the run folder)",
    "model_name_or_path": "model",
    "base_model": "model",
    "dataset": "data.train",
    "datasets": "data.train",
    "train_file": "data.train",
    "max_seq_length": "data.max_length",
    "cutoff_len": "data.max_length",
    "sequence_len": "data.max_length",
    "val_size": "data.split.validation",
    "val_set_size": "data.split.validation",
    "test_size": "data.split.test",
    "template": "the chat template of the model's own tokenizer",
    "stage": "task",
    "finetuning_type": "method",
    "peft_type": "method",
    "lora_rank": "method.r",
    "lora_r": "method.r",
    "rank": "method.r",
    "alpha": "method.lora_alpha",
    "lora_target": "method.target_modules",
    "lora_target_modules": "method.target_modules",
    "random_state": "seed",
    "skip_bad_rows": "data.max_dropped_fraction",
    "streaming": "nothing (files larger than memory are read as any other)",
    "packing": "nothing (sft always packs rows end to end)",
    "dataset_text_field": "data.columns: {text: NAME}",
    "interleave_probs": "data.weights",
    "mask_history": "data.columns, or `weight: 0` on the turns that are not to be learnt",
}
