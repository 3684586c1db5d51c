"""How many products torch keeps ready: said in the environment, before torch is loaded.

    settle(os.environ)      ->  ONEDNN_PRIMITIVE_CACHE_CAPACITY

For every shape of a half-precision product oneDNN makes a kernel, which takes about 0.6 MB, and keeps the last 1,024 of
them.  Where hardly two batches are of one size most are never asked again, and 600 MB lie there.  A quarter holds those
that come again and again (attention of rows of like length): a step takes as long (notes/LOG.md, "Memory of many steps").
"""

from __future__ import annotations

from collections.abc import MutableMapping

KEPT = "256"
NAMES = ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "DNNL_PRIMITIVE_CACHE_CAPACITY")


def settle(environ: MutableMapping[str, str]) -> None:
    """Set it, unless the user has."""
    if not set(NAMES) & set(environ):
        environ[NAMES[0]] = KEPT
