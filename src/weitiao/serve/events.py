"""Server-sent events, as OpenAI's clients read them.

streamed(chunks)  ->  b'data: {...}\\n\\n' ... b'data: [DONE]\\n\\n'
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

from weitiao.core.errors import WeitiaoError
from weitiao.serve.guard import Refused, said


async def streamed(chunks: AsyncIterator[dict[str, Any]]) -> AsyncIterator[bytes]:
    """One event for each; what goes wrong on the way is an event, too, for the status was said long ago."""
    try:
        async for chunk in chunks:
            yield _event(chunk)
    except Refused as error:
        yield _event(said(error.why, status=error.status, code=error.code))
    except WeitiaoError as error:
        yield _event(said(error.text(), status=500, code=error.code))
    yield b"data: [DONE]\n\n"


def _event(value: Any) -> bytes:
    return f"data: {json.dumps(value, ensure_ascii=False, separators=(',', ':'))}\n\n".encode()
