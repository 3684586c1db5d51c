"""Lists that are read page by page, as OpenAI's clients do.

page([file, file, ...], after="file-5e", limit=20)  ->  {"object": "list", "data": [...], "has_more": False}
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from weitiao.core.errors import did_you_mean
from weitiao.core.why import reason
from weitiao.serve.guard import Refused


def page(found: Sequence[dict[str, Any]], *, after: str | None, limit: int) -> dict[str, Any]:
    """Those behind `after`.

    Raises:
        Refused: 404 where that is not among them.
    """
    begin = 0
    if after:
        begin = next((place for place, one in enumerate(found, start=1) if one["id"] == after), 0)
        if not begin:
            raise Refused(404, reason("not_in_list", name=after), code="not_found")
    some = list(found[begin : begin + limit])
    ends = {"first_id": some[0]["id"], "last_id": some[-1]["id"]} if some else {}
    return {"object": "list", "data": some, **ends, "has_more": len(found) > begin + limit}


def refuse_unknown(keys: Collection[str], known: Collection[str]) -> None:
    """What is asked for and would be passed over.

    Raises:
        Refused: 422.
    """
    for key in keys:
        if key not in known:
            hint = did_you_mean(key, known)
            text = reason("unknown_parameter", name=key, known=", ".join(known)) + (
                f" {hint}" if hint else ""
            )
            raise Refused(422, text, code="invalid_request")
