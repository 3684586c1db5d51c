"""What preference learning tells: the chosen answers fell, too."""

from __future__ import annotations

from weitiao.evaluate.findings.evidence import Evidence, Numbers

CHOSEN, REJECTED = "chosen_logp", "rejected_logp"


def likelihood_displacement(e: Evidence) -> Numbers | None:
    """The chosen answers are less likely than they were, beyond noise (arXiv 2410.08847, 2502.07599)."""
    beside = e.results["comparisons"].get("untuned") or {}
    fell = (beside.get("metrics") or {}).get(CHOSEN)
    if not fell or fell["difference"] is None or fell["p_value"] is None:
        return None
    if fell["difference"] >= 0 or fell["p_value"] > 1 - e.confidence:
        return None
    said = {
        (side, metric): e.results["metrics"][side][metric]["value"]
        for side in ("untuned", "tuned")
        for metric in (CHOSEN, REJECTED)
    }
    return {
        "before": said["untuned", CHOSEN],
        "after": said["tuned", CHOSEN],
        "rejected_before": said["untuned", REJECTED],
        "rejected_after": said["tuned", REJECTED],
    }
