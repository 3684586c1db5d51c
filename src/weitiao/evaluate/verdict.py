"""Did it learn?  What the numbers bear, in sentences.

results  ->  verdict(results)  ->  {"learned": True, "sentence": "..."}
         ->  remarks(results)  ->  what is the matter and what helps, what was read, what is missing and why
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from weitiao.core import registry
from weitiao.core.errors import LANGUAGES, language
from weitiao.core.why import reasons
from weitiao.data.overlong import advised
from weitiao.evaluate.given import told
from weitiao.evaluate.noise import standing
from weitiao.evaluate.words import metric_word, spelt, words

SAYS = {
    "en": {
        "learned": "It learned: {name} went from {before} to {after} on {rows} unseen rows",
        "worse": "It got worse: {name} went from {before} to {after} on {rows} unseen rows",
        "blind": "Nothing is learnt of the rows: {name} went from {before} to {after} on {rows} unseen rows, which does not "
        "beat answers that read none ({system}: {blind})",
        "behind": "It gained, but no more than a baseline gives: {name} went from {before} to {after} on {rows} unseen rows",
        "not": "No gain is proven: {name} is {after} after tuning and {before} before, on {rows} unseen rows",
        "alone": "{name} is {after} on {rows} unseen rows; the untuned model was not judged",
        "undefined": "{name} is not defined on these {rows} unseen rows: {why}.",
        "above": ", clearly better than the baseline's {value}.",
        "level": "; the difference to the baseline's {value} is within chance.",
        "nominal": "; the baseline ({system}) is better with {value}, though within chance.",
        "below": "; the baseline ({system}) does better with {value}: prefer it, or mend the tuning.",
        "end": ".",
        "wins": "; it wins against the untuned answers at {value:.2f} ({low:.2f} to {high:.2f}) of the prompts.",
        "wins_alone": "; it wins against the untuned answers at {value:.2f} of the prompts.",
        "answers_above": ". Its answers are better than those of the {system} ({name} {after} beside {value}).",
        "answers_below": ". The {system} answers better ({name} {value} beside {after}): look answers up, or mend the tuning.",
        "answers_level": ". Its answers and those of the {system} are within chance of each other ({name} {after} and "
        "{value}).",
        "noise": " With the seed alone it moves: {runs} runs of this recipe score {low} to {high} (standard deviation {sd}).",
        "drowned": " The gain over the untuned model is more than chance among rows, but no more than that: another seed may take it "
        "back.",
        "cut": "The models read at most {limit} tokens of a row: {cut} of {rows} test rows were cut.",
        "whole": " The baseline read whole texts.",
        "answered": "{answered} of {rows} test rows, drawn by the seed, were answered; what goes by answers is of these "
        "(evaluate.answers: null answers all).",
        "unended": "{unended} of {answered} answers of the tuned model were still going on at {most} tokens, where they "
        "were ended (evaluate.max_new_tokens).",
        "full": "{full} of {answered} prompts left the answer no room, or too little, among the model's positions.",
        "general": "On {texts} general texts perplexity is {value:.2f} times what it was before tuning ({low:.2f} to {high:.2f}).",
        "finding": "{why}. What helps: {advice}.",
        "apart": " ",
        "missing": "Missing: {what} ({why}). `weitiao evaluate RUN` tries again.",
        "not_repeated": "Missing: {what} ({why}). `weitiao train RECIPE --resume` trains them.",
    },
    "zh": {
        "learned": "学到了：在 {rows} 行未见过的数据上，{name} 由 {before} 变为 {after}",
        "worse": "变差了：在 {rows} 行未见过的数据上，{name} 由 {before} 变为 {after}",
        "blind": "没有从数据中学到什么：在 {rows} 行未见过的数据上，{name} 由 {before} 变为 {after}，"
        "并未胜过不看数据的回答（{system}：{blind}）",
        "behind": "有提升，但不超过基线：在 {rows} 行未见过的数据上，{name} 由 {before} 变为 {after}",
        "not": "未证明有提升：在 {rows} 行未见过的数据上，微调后 {name} 为 {after}，之前为 {before}",
        "alone": "在 {rows} 行未见过的数据上 {name} 为 {after}；未评估微调前的模型",
        "undefined": "在这 {rows} 行未见过的数据上 {name} 没有定义：{why}。",
        "above": "，明显优于基线的 {value}。",
        "level": "；与基线 {value} 的差异在偶然范围内。",
        "nominal": "；基线（{system}）为 {value}，略好，但差异在偶然范围内。",
        "below": "；基线（{system}）更好（{value}）：可直接使用基线，或改进训练。",
        "end": "。",
        "wins": "；对微调前回答的胜率为 {value:.2f}（{low:.2f} 至 {high:.2f}）。",
        "wins_alone": "；对微调前回答的胜率为 {value:.2f}。",
        "answers_above": "。其回答优于{system}（{name} {after}，后者 {value}）。",
        "answers_below": "。{system}的回答更好（{name} {value}，微调后为 {after}）：可直接查找回答，或改进训练。",
        "answers_level": "。其回答与{system}的差异在偶然范围内（{name} {after} 与 {value}）。",
        "noise": "仅随机种子不同，分数就会变动：同一配方的 {runs} 次运行得分为 {low} 至 {high}（标准差 {sd}）。",
        "drowned": "与微调前的差异超出数据行的偶然范围，但未超出此变动：换一个种子可能就没有了。",
        "cut": "模型每行最多读取 {limit} 个词元：{rows} 行测试数据中有 {cut} 行被截断。",
        "whole": "基线读取全文。",
        "answered": "按种子从 {rows} 行测试数据中抽取 {answered} 行生成了回答；凭回答计算的指标只涉及这些行"
        "（evaluate.answers: null 则全部回答）。",
        "unended": "微调后模型的 {answered} 条回答中有 {unended} 条到 {most} 个词元时仍未结束，被截止"
        "（evaluate.max_new_tokens）。",
        "full": "{answered} 条提示中有 {full} 条没有给回答留下（足够的）位置。",
        "general": "在 {texts} 段通用文本上，困惑度为微调前的 {value:.2f} 倍（{low:.2f} 至 {high:.2f}）。",
        "finding": "{why}。建议：{advice}。",
        "apart": "",
        "missing": "缺少：{what}（{why}）。可用 `weitiao evaluate RUN` 重试。",
        "not_repeated": "缺少：{what}（{why}）。可用 `weitiao train 配方 --resume` 补齐。",
    },
}


def verdict(results: Mapping[str, Any], *, confidence: float, lang: str = "") -> dict[str, Any]:
    """`learned` is true when tuned beats untuned on the same rows beyond chance (p below 1 - confidence, and farther than the
    seed alone moves it, where that was measured), and so does it every baseline that reads no row: shares of labels alone are
    no knowledge of texts.  Where a baseline that reads is proven better, it is not said either: that is to be had for less.

    Of several baselines the best is named.

    Args:
        results: as `results.json` has them, but for this.
        confidence: of intervals.
        lang: of the sentence; default: the reader's.
    """
    lang = lang or language()
    says, name, named = SAYS[lang], results["primary"], words(lang)
    found = {system: metrics[name] for system, metrics in results["metrics"].items()}
    name = metric_word(name, lang)
    rows = found["tuned"].get("rows", results["rows"])  # what goes by answers is of those that were answered
    if found["tuned"]["value"] is None:
        said = says["undefined"].format(name=name, why=found["tuned"].get("why"), rows=rows)
        return {"learned": None, "sentence": said}
    # What has no value cannot be set beside it.
    values = {system: one["value"] for system, one in found.items() if one["value"] is not None}
    sign = 1 if results["higher_is_better"] else -1
    against = {one: standing(results, one, confidence=confidence) for one in values if one != "tuned"}
    kind = {None: "alone", "above": "learned", "below": "worse"}.get(against.get("untuned"), "not")
    shown = {system: f"{value:.3f}" for system, value in values.items()}
    baselines = sorted(
        (system for system in against if system != "untuned"), key=lambda one: -sign * values[one]
    )
    facts = {"name": name, "before": shown.get("untuned"), "after": shown["tuned"], "rows": rows}
    if kind == "learned" and (blind := [one for one in baselines if _blind(one) and against[one] != "above"]):
        kind = "blind"
        facts |= {"system": named.get(blind[0], blind[0]), "blind": shown[blind[0]]}
        baselines = [one for one in baselines if not _blind(one)]
    elif kind == "learned" and baselines and against[baselines[0]] == "below":
        kind = "behind"
    sentence = says[kind].format(**facts)
    if baselines:
        best = baselines[0]
        # What reads the same in three digits is not called better.
        stands = "level" if against[best] == "nominal" and shown[best] == shown["tuned"] else against[best]
        sentence += says[stands].format(value=shown[best], system=named.get(best, best))
    else:
        sentence += _by_wins(results, lang) or _by_answers(results, confidence, lang) or says["end"]
    learned = None if kind == "alone" else kind == "learned"
    return {"learned": learned, "sentence": sentence + _by_seed(results, confidence, lang)}


def retold(results: Mapping[str, Any], *, confidence: float) -> str:
    """The sentence that lies in the results, in the reader's language; as it is where it is none of those of this version."""
    said = str(results["verdict"]["sentence"])
    primary = [own.get(results["primary"]) for own in results["metrics"].values()]
    if not all(isinstance(one, Mapping) for one in primary):
        return said
    others = (verdict(results, confidence=confidence, lang=lang)["sentence"] for lang in LANGUAGES)
    return str(verdict(results, confidence=confidence)["sentence"]) if said in others else said


def _by_seed(results: Mapping[str, Any], confidence: float, lang: str) -> str:
    """How far the score moves with the seed alone, where that was measured, and whether a gain is no more than that."""
    noise, says = results.get("noise"), SAYS[lang]
    if not noise:
        return ""
    shown = {key: f"{noise[key]:.3f}" for key in ("low", "high", "sd")}
    said = says["noise"].format(runs=noise["runs"], **shown)
    rows_alone = standing({**results, "noise": None}, "untuned", confidence=confidence)
    drowned = rows_alone != standing(results, "untuned", confidence=confidence)
    return said + says["drowned"] * drowned


def _blind(system: str) -> bool:
    """Is it a baseline that says the same whatever a row holds?"""
    return system in registry.names("baseline") and registry.entry("baseline", system).kind.blind


def _by_wins(results: Mapping[str, Any], lang: str) -> str:
    """How often its answers are worth more than the untuned ones; empty where nobody rated them."""
    found = results["metrics"]["tuned"].get("win_rate") or {}
    if results["primary"] == "win_rate" or found.get("value") is None:
        return ""
    return SAYS[lang]["wins" if found["low"] is not None else "wins_alone"].format(**found)


BY_ANSWERS = ("token_f1", "rouge_l", "exact_match", "chrf")
"""By which of them answers are set beside a baseline's that knows no likelihood; the first that is judged by."""


def _by_answers(results: Mapping[str, Any], confidence: float, lang: str) -> str:
    """How the tuned model's answers stand beside those of the best baseline that answers; empty where none does."""
    says, named, metrics = SAYS[lang], words(lang), results["metrics"]
    for name in BY_ANSWERS:
        found = {system: own.get(name, {}).get("value") for system, own in metrics.items()}
        others = [s for s, value in found.items() if s not in ("tuned", "untuned") and value is not None]
        if found["tuned"] is None or not others:
            continue
        best = max(others, key=lambda system: found[system])
        beside = results["comparisons"][best]["metrics"][name]
        proven = beside["p_value"] is not None and beside["p_value"] < 1 - confidence
        kind = "level" if not proven else "above" if beside["difference"] > 0 else "below"
        return says[f"answers_{kind}"].format(
            system=named.get(best, best),
            name=named.get(name, name),
            after=f"{found['tuned']:.3f}",
            value=f"{found[best]:.3f}",
        )
    return ""


def remarks(results: Mapping[str, Any]) -> list[str]:
    """What a reader of the numbers must know besides: findings with their advice, what was cut, what is missing and why."""
    says, named = SAYS[language()], words(language())
    found = [
        *told(results),
        *(says["finding"].format(**_finding(each)) for each in results.get("findings", ())),
    ]
    if (rise := (results.get("general") or {}).get("rise")) and not any(
        each["name"] == "forgot" for each in results["findings"]
    ):
        counted = sum(text["known"] for text in results["general"]["texts"])
        found.append(says["general"].format(texts=counted, **rise))
    if cut := results.get("cut"):
        line = says["cut"].format(limit=cut["limit"], cut=cut["rows"], rows=results["rows"])
        line += says["whole"] * ("tfidf" in results["metrics"])
        more = advised(results["advice"]) if results.get("advice") else ""
        found.append(f"{line}{says['apart'] * bool(more)}{more}")
    if said := results.get("answers"):
        numbers = {**said, "rows": results["rows"], "answered": said["rows"], "most": said["max_new_tokens"]}
        asked = {"answered": said["rows"] < results["rows"], "unended": said["unended"], "full": said["full"]}
        found += [says[kind].format(**numbers) for kind, there in asked.items() if there]
    for each in results.get("missing", ()):
        kind = "not_repeated" if each["what"] == "noise" else "missing"
        found.append(says[kind].format(what=named.get(each["what"], each["what"]), why=each["why"]))
    return found


def _finding(told: Mapping[str, Any]) -> dict[str, Any]:
    """A finding in the reader's language, filled from its numbers; as it is where it is none of those of this version."""
    known, numbers = reasons().get(told["name"], {}), told.get("numbers", {})
    try:
        filled = {
            lang: {part: text.format(**spelt(numbers, lang)) for part, text in known[lang].items()}
            for lang in LANGUAGES
        }
    except (AttributeError, IndexError, KeyError, ValueError):  # other words, or other numbers
        return dict(told)
    if {"why": told["why"], "way": told["advice"]} not in filled.values():
        return dict(told)
    return {**told, "why": filled[language()]["why"], "advice": filled[language()]["way"]}
