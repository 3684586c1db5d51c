"""LogME: how well a linear model explains targets from frozen features, on average over all linear models.

    logme(features_ND, targets_NK)  ->  nats a row; more is better

The evidence of Bayesian linear regression, y = F w + e, w ~ N(0, 1/alpha), e ~ N(0, 1/beta), at the alpha and beta that
make it largest (You et al. 2021, arXiv 2102.11005, equation 2 and algorithm 1; the fixed point is MacKay's):

    log p = n/2 log beta + d/2 log alpha - n/2 log 2 pi - beta/2 |F m - y|^2 - alpha/2 |m|^2 - 1/2 log |A|
    A = alpha I + beta F'F,  m = beta A^-1 F'y,  gamma = sum beta s^2 / (alpha + beta s^2)
    alpha = gamma / |m|^2,  beta = (n - gamma) / |F m - y|^2

divided by n, and its mean over the columns of the targets (a class each, 1 or 0).  Nothing is held back for a test: the
evidence itself is what a model that could explain anything pays for.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

STEPS, STILL = 200, 1e-6
"""Steps of the fixed point, at most, and the relative change of alpha / beta below which it stands."""
SMALL = 1e-10
"""What nothing is divided by."""


def logme(features_ND: Any, targets_NK: Any) -> float | None:
    """The mean evidence a row; None where every target is constant.

    Args:
        features_ND: what a model sees in each row.
        targets_NK: numbers, or one column a class.
    """
    features_ND = np.asarray(features_ND, dtype=np.float64)
    targets_NK = np.asarray(targets_NK, dtype=np.float64)
    left_NR, sizes_R, _ = np.linalg.svd(features_ND, full_matrices=False)
    squares_R = sizes_R**2
    columns = [column for column in targets_NK.T if np.ptp(column) > 0]
    found = [
        _evidence(left_NR.T @ column, squares_R, float(column @ column), features_ND.shape)
        for column in columns
    ]
    return float(np.mean(found)) if found else None


def _evidence(seen_R: Any, squares_R: Any, whole: float, shape: tuple[int, int]) -> float:
    """Of one column of targets, turned into the axes of the features; divided by the rows.

    Args:
        seen_R: the column along each axis.
        squares_R: how long the features are along each, squared.
        whole: the squared length of the column.
        shape: rows and features.
    """
    rows, width = shape
    outside = max(0.0, whole - float(seen_R @ seen_R))
    alpha = beta = 1.0
    for _ in range(STEPS):
        scale_R = alpha + beta * squares_R
        gamma = float((beta * squares_R / scale_R).sum())
        weights, apart = _fit(seen_R, squares_R, outside, alpha, beta)
        before = alpha / beta
        alpha, beta = gamma / (weights + SMALL), (rows - gamma) / (apart + SMALL)
        if abs(alpha / beta - before) <= STILL * before:
            break
    weights, apart = _fit(seen_R, squares_R, outside, alpha, beta)
    spread = float(np.log(alpha + beta * squares_R).sum()) + (width - len(squares_R)) * math.log(alpha)
    evidence = rows * math.log(beta) + width * math.log(alpha) - rows * math.log(2 * math.pi)
    return (evidence - beta * apart - alpha * weights - spread) / 2 / rows


def _fit(seen_R: Any, squares_R: Any, outside: float, alpha: float, beta: float) -> tuple[float, float]:
    """|m|^2 and |F m - y|^2."""
    scale_R = alpha + beta * squares_R
    weights = float((beta**2 * squares_R * seen_R**2 / scale_R**2).sum())
    return weights, float((alpha**2 * seen_R**2 / scale_R**2).sum()) + outside
