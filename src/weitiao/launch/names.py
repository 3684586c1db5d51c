"""Names that Kubernetes, Slurm and Docker take: `评论 (2)` is one of ours and none of theirs.

plain("reviews")  ->  "reviews";  plain("My reviews!")  ->  "my-reviews-1c7d3a"
"""

from __future__ import annotations

import hashlib
import re

LONGEST = 20
"""Letters: what controllers hang behind it (`-node-0-0-x7k2p`) must still be a name of DNS."""


def plain(name: str) -> str:
    """Small letters, digits and dashes, a letter first, at most `LONGEST`; names that differ stay different."""
    kept = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    if kept == name and len(kept) <= LONGEST and kept[0].isalpha():
        return kept
    mark = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:6]
    if not kept[:1].isalpha():
        kept = f"m-{kept}".strip("-")
    return f"{kept[: LONGEST - len(mark) - 1].rstrip('-')}-{mark}"
