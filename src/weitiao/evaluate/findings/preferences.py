"""What preference learning tells: the answers that people liked fell, too."""

from __future__ import annotations

from weitiao.evaluate.findings.evidence import Evidence, Numbers


def likelihood_displacement(e: Evidence) -> Numbers | None:
    """The chosen answers are less likely than they were, beyond noise (arXiv 2410.08847, 2502.07599)."""
    return _fell(e, "chosen_logp", "rejected_logp")


def liked_answers_fell(e: Evidence) -> Numbers | None:
    """The same of answers that were judged one by one."""
    return _fell(e, "desirable_logp", "undesirable_logp")


def _fell(e: Evidence, liked: str, other: str) -> Numbers | None:
    """Both log-probabilities before and after, where the first fell beyond noise."""
    beside = e.results["comparisons"].get("untuned") or {}
    fell = (beside.get("metrics") or {}).get(liked)
    if not fell or fell["difference"] is None or fell["p_value"] is None:
        return None
    if fell["difference"] >= 0 or fell["p_value"] > 1 - e.confidence:
        return None
    said = {
        (side, metric): e.results["metrics"][side][metric]["value"]
        for side in ("untuned", "tuned")
        for metric in (liked, other)
    }
    return {
        "before": said["untuned", liked],
        "after": said["tuned", liked],
        "rejected_before": said["untuned", other],
        "rejected_after": said["tuned", other],
    }
