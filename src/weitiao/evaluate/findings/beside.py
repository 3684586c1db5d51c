"""What stands beside the tuned model tells: no gain, a baseline that does better, test rows that were trained on."""

from __future__ import annotations

import math

from weitiao.evaluate.findings.evidence import BEYOND, FEWEST, Evidence, Numbers

SHARE = 0.01
"""Where a larger share of the test rows stands in the training rows, the scores are not those of unseen rows."""


def seen_in_training(e: Evidence) -> Numbers | None:
    """Test rows that stand among the training rows, too."""
    return None if e.results.get("given") else _seen(e)


def near_training(e: Evidence) -> Numbers | None:
    """Rows that were given, no split having dealt them, and are nearly the same as training rows."""
    return _seen(e) if e.results.get("given") else None


def _seen(e: Evidence) -> Numbers | None:
    rows = len(e.references)
    return {"seen": e.seen, "rows": rows, "share": e.seen / rows} if e.seen > SHARE * rows else None


def known_by_heart(e: Evidence) -> Numbers | None:
    """The test rows are to the model what training rows are, and validation rows are not: they were seen in some other way."""
    look, quarter = e.kept, len(e.steps) // 4
    if e.test_loss is None or look is None or quarter < FEWEST or not math.isfinite(e.test_loss[1]):
        return None
    (_, validation, noise), (test, error), steps = look, e.test_loss, e.steps[: look[0]][-quarter:]
    train, spread = float(steps.mean()), float(steps.std(ddof=1)) / math.sqrt(len(steps))
    if validation - test <= BEYOND * math.hypot(noise, error) or test > validation / 2:
        return None
    if validation - train <= BEYOND * math.hypot(noise, spread) or test - train > (validation - train) / 4:
        return None
    return {"test": test, "validation": validation, "train": train}


def baseline_better(e: Evidence) -> Numbers | None:
    """A baseline is ahead of the tuned model, beyond chance."""
    name, sign = e.results["primary"], 1 if e.results["higher_is_better"] else -1
    ahead = {
        system: sign * e.results["metrics"][system][name]["value"]
        for system in e.systems
        if system not in ("tuned", "untuned") and e.against(system) == "below"
    }
    if not ahead:
        return None
    best = max(ahead, key=ahead.__getitem__)
    tuned = e.results["metrics"]["tuned"][name]["value"]
    return {"metric": name, "system": best, "value": sign * ahead[best], "tuned": tuned}


def got_worse(e: Evidence) -> Numbers | None:
    """The untuned model is ahead of the tuned one, beyond chance."""
    return _beside_untuned(e) if e.against("untuned") == "below" else None


def untuned_level(e: Evidence) -> Numbers | None:
    """The tuned model is not ahead of the untuned one."""
    return _beside_untuned(e) if e.against("untuned") in ("level", "nominal") else None


def _beside_untuned(e: Evidence) -> Numbers:
    beside, name = e.results["comparisons"]["untuned"], e.results["primary"]
    values = {system: e.results["metrics"][system][name]["value"] for system in ("untuned", "tuned")}
    return {"metric": name, **values, "p_value": beside["p_value"]}
