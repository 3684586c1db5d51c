"""What predictions hold, in words, for the reason that stands where a metric has nothing to go by.

said("label|spans", "en")  ->  "label or spans"
"""

from __future__ import annotations

SAID: dict[str, tuple[str, str]] = {
    "label": ("label", "类别"),
    "labels": ("set of labels", "标签组合"),
    "scores": ("scores", "各项的分数"),
    "number": ("number", "数值"),
    "answer": ("answer in words", "文字回答"),
    "loss": ("likelihood", "似然"),
    "tokens": ("likelihood", "似然"),
    "bytes": ("likelihood of bytes", "按字节的似然"),
    "spans": ("spans", "片段"),
    "tags": ("tag of every word", "逐词的标签"),
    "start": ("place in the text", "文中的位置"),
    "ranks": ("ranks", "排名"),
    "preferred": ("preference", "偏好"),
    "chosen_logp": ("probability of an answer", "回答的概率"),
    "rejected_logp": ("probability of an answer", "回答的概率"),
    "margin": ("reward", "奖励"),
    "pair_loss": ("loss of a pair", "每对的损失"),
    "denoising_loss": ("loss of a denoiser", "去噪的损失"),
    "seen_drawn": ("picture that an encoder saw", "经编码器观察的图片"),
    "seen_true": ("picture that an encoder saw", "经编码器观察的图片"),
}
"""What a prediction holds, by the key in which it lies."""


def said(need: str, lang: str) -> str:
    """What a metric needs of predictions, in words; of `label|spans` any will do, and a user's own key keeps its name."""
    column = ("en", "zh").index(lang)
    each = (SAID[key][column] if key in SAID else key for key in need.split("|"))
    return (" or ", "或")[column].join(each)
