"""Names that Kubernetes, Slurm and Docker take."""

from __future__ import annotations

import re

from weitiao.launch.names import plain


def test_names_that_differ_stay_different_and_are_names_to_kubernetes():
    asked = [
        "reviews",
        "影评",
        "影评 2",
        "My Reviews",
        "my-reviews",
        "7",
        "a" * 40,
        "a" * 41,
        "-",
        "x_y",
        "x-y",
    ]
    named = [plain(one) for one in asked]
    assert len(set(named)) == len(asked)
    assert all(re.fullmatch(r"[a-z]([a-z0-9-]{0,18}[a-z0-9])?", one) for one in named)
    assert named[0] == "reviews"
