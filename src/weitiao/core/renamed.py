"""What keys and names are called elsewhere, and what they are called here: for the error that answers a foreign spelling.

    ours("warmup_ratio")          ->  "train.warmup_steps (a value below 1 is a share)"
    ours("use_liger_kernel")      ->  "nothing (our own loop has its own fast paths; ...)"

Keys lie in `elsewhere.yaml`, in both languages; names of optimisers, schedules, methods and tasks stand here.
"""

from __future__ import annotations

from functools import cache
from importlib import resources

from weitiao.core.errors import language


def ours(word: str) -> str:
    """What a key of another tool is called here, or why there is none, in the reader's language; empty when unknown."""
    return spellings(language()).get(word, "")


@cache
def spellings(lang: str) -> dict[str, str]:
    """Every key that is known from elsewhere -> ours, with what is to be said of it."""
    import yaml

    text = resources.files(__package__).joinpath("elsewhere.yaml").read_text(encoding="utf-8")
    table = yaml.load(text, Loader=yaml.CSafeLoader if hasattr(yaml, "CSafeLoader") else yaml.SafeLoader)  # noqa: S506
    found: dict[str, str] = dict(table["same"])
    around, nothing = ("{} ({})", "nothing ({})") if lang == "en" else ("{}（{}）", "没有对应的键（{}）")
    found |= {word: around.format(facts["to"], facts[lang]) for word, facts in table["noted"].items()}
    for group in table["none"]:
        found |= dict.fromkeys(group["keys"], nothing.format(group[lang]))
    return found


# What `train.optim` is called elsewhere (Transformers, Axolotl, torch) -> ours.
OPTIMIZERS = {
    "adamw_torch": "adamw",
    "adamw_torch_fused": "adamw",
    "adamw_hf": "adamw",
    "adamw_apex_fused": "adamw",
    "AdamW": "adamw",
    "paged_adamw": "adamw",
    "paged_adamw_32bit": "adamw",
    "adamw_bnb_8bit": "adamw_8bit",
    "adamw_torch_8bit": "adamw_8bit",
    "paged_adamw_8bit": "adamw_8bit",
    "Adam": "adam",
    "SGD": "sgd",
    "Adafactor": "adafactor",
    "lion_32bit": "lion",
    "lion_pytorch": "lion",
    "lion_8bit": "lion (kept in float32)",
    "paged_lion_32bit": "lion",
    "paged_lion_8bit": "lion (kept in float32)",
    "Muon": "muon",
}

# What `train.lr_scheduler_type` is called elsewhere -> ours.
SCHEDULES = {
    "constant_with_warmup": "constant (train.warmup_steps goes before every schedule)",
    "cosine_with_min_lr": "cosine with lr_scheduler_kwargs: {min_lr_ratio: 0.1}",
    "cosine_warmup_with_min_lr": "cosine with lr_scheduler_kwargs: {min_lr_ratio: 0.1}",
    "cosine_with_hard_restarts": "cosine_with_restarts",
    "multistep": "step with lr_scheduler_kwargs: {milestones: [0.5, 0.75]}",
    "exponential": "step with lr_scheduler_kwargs: {step_size: 1, gamma: 0.99}",
    "plateau": "reduce_lr_on_plateau",
    "wsd": "warmup_stable_decay",
}

# What settings of schedules are called elsewhere -> ours.
SCHEDULE_SETTINGS = {
    "min_lr_rate": "min_lr_ratio",
    "eta_min": "min_lr_ratio (a share of the peak) or lr_end (a rate)",
    "num_warmup_steps": "train.warmup_steps",
    "warmup_ratio": "train.warmup_steps (a value below 1 is a share)",
    "warmup_steps": "train.warmup_steps",
    "mode": "nothing (train.metric_for_best_model says which way is better)",
    "lr_decay_rate": "gamma",
}

# What methods are called elsewhere -> ours.
METHODS = {
    "dora": "lora with use_dora: true",
    "rslora": "lora with use_rslora: true",
    "pissa": "lora with init_lora_weights: pissa",
    "olora": "lora with init_lora_weights: olora",
    "eva": "lora with init_lora_weights: eva",
    "loraplus": "lora with loraplus_lr_ratio: 16",
    "freeze": "top_layers",
    "linear_probe": "head",
    "linear_probing": "head",
    "gradual_unfreezing": "gradual",
    "ulmfit": "gradual",
    "bottleneck": "adapter",
    "houlsby": "adapter with placement: houlsby",
    "pfeiffer": "adapter with placement: pfeiffer",
    "seq_bn": "adapter with placement: pfeiffer",
    "double_seq_bn": "adapter with placement: houlsby",
    "par_bn": "adapter with placement: parallel",
    "prompt_tuning": "prompt",
    "prefix_tuning": "prefix",
    "ptuning": "p_tuning",
    "ptuning_v2": "p_tuning_v2",
    "fft": "full",
    "full_finetune": "full",
    "full_finetuning": "full",
    "ia_3": "ia3",
    "sft": "a task, not a method (task: sft)",
}

# What tasks are called elsewhere -> ours.
TASKS = {
    "classification": "text_classification",
    "sequence_classification": "text_classification",
    "seq_cls": "text_classification",
    "sentiment_analysis": "text_classification",
    "single_label_classification": "text_classification",
    "multi_label": "multi_label_classification",
    "multilabel": "multi_label_classification",
    "multilabel_classification": "multi_label_classification",
    "multi_label_text_classification": "multi_label_classification",
    "regression": "text_regression",
    "sts": "text_regression",
    "cross_encoder": "reranking",
    "reranker": "reranking",
    "rerank": "reranking",
    "text_ranking": "reranking",
    "qa": "question_answering",
    "squad": "question_answering",
    "extractive_qa": "question_answering",
    "ner": "token_classification",
    "named_entity_recognition": "token_classification",
    "pos": "token_classification",
    "tagging": "token_classification",
    "token_cls": "token_classification",
    "sequence_labeling": "token_classification",
    "sequence_labelling": "token_classification",
    "sequence_tagging": "token_classification",
    "chat": "sft",
    "instruct": "sft",
    "instruction": "sft",
    "instruction_tuning": "sft",
    "conversational": "sft",
    "causal_lm": "language_modeling",
    "clm": "language_modeling",
    "pt": "language_modeling",
    "pretrain": "language_modeling",
    "pretraining": "language_modeling",
    "completion": "language_modeling",
    "text_generation": "sft, which learns answers, or language_modeling, which learns every word",
}

# What metrics are called elsewhere -> ours.
METRICS = {
    "acc": "accuracy",
    "auc": "roc_auc",
    "auroc": "roc_auc",
    "roc": "roc_auc",
    "ap": "pr_auc",
    "auprc": "pr_auc",
    "average_precision": "pr_auc",
    "f1_macro": "f1",
    "macro_f1": "f1",
    "f1_score": "f1",
    "micro_f1": "f1_micro",
    "weighted_f1": "f1_weighted",
    "precision_macro": "precision",
    "macro_precision": "precision",
    "recall_macro": "recall",
    "macro_recall": "recall",
    "sensitivity": "recall",
    "matthews_correlation": "mcc",
    "matthews_corrcoef": "mcc",
    "cohen_kappa": "kappa",
    "qwk": "kappa_quadratic",
    "quadratic_weighted_kappa": "kappa_quadratic",
    "nll": "loss",
    "cross_entropy": "loss (of rows), or log_loss (of probabilities)",
    "ppl": "perplexity",
    "bpb": "bits_per_byte",
    "em": "exact_match",
    "rouge1": "rouge_1",
    "rouge2": "rouge_2",
    "rougel": "rouge_l",
    "rouge": "rouge_1, rouge_2 or rouge_l",
    "sacrebleu": "bleu",
    "bleu4": "bleu",
    "mean_absolute_error": "mae",
    "mean_squared_error": "mse",
    "root_mean_squared_error": "rmse",
    "pearsonr": "pearson",
    "spearmanr": "spearman",
    "r2_score": "r2",
    "seqeval": "span_f1",
    "ner_f1": "span_f1",
    "ndcg": "ndcg_at_10",
    "recall_at_k": "recall_at_1, recall_at_5 or recall_at_10",
}

NAMES = {"method": METHODS, "task": TASKS, "metric": METRICS}
"""Shelf -> what its things are called elsewhere."""
