"""Every label of the report page, in English and Chinese.

words("zh")  ->  {"tuned": "微调后", ...}
"""

from __future__ import annotations

WORDS: dict[str, tuple[str, str]] = {
    # the headline
    "report": ("Fine-tuning report", "微调报告"),
    "learned": ("learned", "学到了"),
    "not_learned": ("no gain shown", "未见提升"),
    "test_rows": ("{} test rows", "测试集 {} 行"),
    "of_system": ("{}, {}", "{}（{}）"),
    "difference": ("tuned minus this: {}, p\u00a0{}", "微调后减此项：{}，p\u00a0{}"),
    "interval": ("In brackets: the interval of each number.", "方括号内为各数的区间。"),
    "interval_at": ("In brackets: {} intervals.", "方括号内为 {} 区间。"),
    "higher": ("{}: higher is better.", "{}：越高越好。"),
    "lower": ("{}: lower is better.", "{}：越低越好。"),
    # systems, metrics, splits, tasks
    "tuned": ("tuned", "微调后"),
    "untuned": ("untuned", "微调前"),
    "tfidf": ("TF-IDF", "TF-IDF"),
    "majority": ("most frequent label", "最多的类别"),
    "accuracy": ("accuracy", "准确率"),
    "precision": ("precision", "精确率"),
    "recall": ("recall", "召回率"),
    "f1": ("F1", "F1"),
    "macro_f1": ("macro F1", "宏平均 F1"),
    "loss": ("loss", "损失"),
    "perplexity": ("perplexity", "困惑度"),
    "train": ("train", "训练"),
    "validation": ("validation", "验证"),
    "test": ("test", "测试"),
    "text_classification": ("text classification", "文本分类"),
    "sft": ("instruction tuning", "指令微调"),
    # what was asked
    "asked": ("What was asked", "任务与设置"),
    "model": ("Model", "模型"),
    "task": ("Task", "任务"),
    "method": ("Method", "方法"),
    "trained_parameters": ("Trained parameters", "训练的参数"),
    "trained_of": ("{} of {}, {}", "{} / {}，占 {}"),
    "settings": ("Settings", "设置"),
    "whole_recipe": ("The whole recipe", "完整配方"),
    # data
    "data": ("Data", "数据"),
    "file": ("file", "文件"),
    "format": ("format", "格式"),
    "encoding": ("encoding", "编码"),
    "rows": ("rows", "行数"),
    "label": ("label", "类别"),
    "all": ("all", "合计"),
    "status": ("status", "处理"),
    "reason": ("reason", "原因"),
    "place": ("place", "位置"),
    "kept": ("kept", "保留"),
    "repaired": ("repaired", "修复"),
    "duplicate": ("duplicate", "重复"),
    "dropped": ("dropped", "丢弃"),
    "conflict": ("conflicting label", "标签冲突"),
    "rows_not_kept": ("Rows that were not kept: {}", "未保留的行：{}"),
    "first_shown": (
        "The first {} are shown; ledger.json has them all.",
        "此处列出前 {} 行，全部见 ledger.json。",
    ),
    "more_labels": ("{} more labels", "另有 {} 个类别"),
    "ledger_note": (
        "Every row of every file is accounted for in data/ledger.json.",
        "每个文件的每一行都记在 data/ledger.json 里。",
    ),
    "lengths": (
        "Half of the rows have at most {} tokens, 95 % at most {}; the longest has {}. The limit is {}.",
        "半数的行不超过 {} 个词元，95% 不超过 {} 个，最长 {} 个；上限为 {} 个。",
    ),
    "nothing_cut": (" Nothing was cut.", "没有截断。"),
    "cut": (" {} rows were cut, {} tokens lost.", "截断了 {} 行，共失去 {} 个词元。"),
    # curves
    "curves": ("Training", "训练过程"),
    "by_epoch": ("{} by epoch", "{}（横轴：轮次）"),
    "by_step": ("{} by step", "{}（横轴：步数）"),
    "raw": ("training, each step", "训练，逐步"),
    "smoothed": ("training, smoothed", "训练，平滑"),
    "on_validation": ("validation", "验证"),
    "validated": ("validation {}", "验证{}"),
    "learning_rate": ("learning rate", "学习率"),
    "best": ("best, step {}", "最佳，第 {} 步"),
    "stopped": ("stopped early, step {}", "提前停止，第 {} 步"),
    # results
    "beside": ("Tuned beside the rest", "前后对照"),
    "tuned_minus": ("Tuned minus this, {}", "微调后减此项，{}"),
    "p_value": ("p-value", "p 值"),
    "confusion": ("Confusion", "混淆矩阵"),
    "confusion_note": (
        "Rows are the true label, columns the predicted one. Shade and small print: share of the row.",
        "行为真实类别，列为预测类别。深浅与小字为占该行的比例。",
    ),
    "true_predicted": ("true ↓ predicted →", "真实 ↓ 预测 →"),
    "most_confused": ("Most often mistaken: ", "最常见的误判："),
    "mistaken": ("{} read as {} ({})", "{} 误作 {}（{}）"),
    "per_class": ("Class by class", "逐类结果"),
    "support": ("test rows", "测试行数"),
    "errors": ("Worst errors", "最自信的错误"),
    "errors_note": (
        "{} of {} test rows are wrong. The most confident come first: look for bad labels here.",
        "测试集 {} / {} 行预测有误。越自信的越靠前，标错的数据常在其中。",
    ),
    "true": ("true", "真实"),
    "predicted": ("predicted", "预测"),
    "samples": ("Answers", "回答样例"),
    "samples_note": ("The same prompt, before and after.", "同一提示，微调前后。"),
    "prompt": ("prompt", "提示"),
    "reference": ("reference", "参考答案"),
    # the end
    "usage": ("Use it", "如何使用"),
    "made": ("How it was made", "制作记录"),
    "made_note": ("What it takes to make this run again.", "重做此次运行所需的一切。"),
    "all_facts": ("Versions, machine, seed, fingerprints, time", "版本、机器、种子、指纹与用时"),
    "versions": ("Versions", "版本"),
    "machine": ("Machine", "机器"),
    "seed": ("Seed", "种子"),
    "created": ("Created", "时间"),
    "fingerprints": ("Fingerprints", "指纹"),
    "time": ("Time", "用时"),
    "evaluate": ("evaluate", "评估"),
    "base": ("base", "基础模型"),
    "python": ("Python", "Python"),
    "platform": ("platform", "系统"),
    "cores": ("cores", "核数"),
    "memory_gb": ("memory, GB", "内存，GB"),
    "device": ("device", "设备"),
    "foot": ("Written by weitiao {}.", "由 weitiao {} 生成。"),
}


def words(lang: str) -> dict[str, str]:
    """Name -> label in `lang`, `en` or `zh`."""
    column = ("en", "zh").index(lang)
    return {name: pair[column] for name, pair in WORDS.items()}
