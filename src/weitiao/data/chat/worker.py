"""The helper process: requests on standard input, one answer a line on standard output, until the input ends.

    {"template": ..., "tokens": {...}, "marks": [...], "jobs": [[kind, messages, tools], ...]}
        ->  {"text": ..., "spans": [[a, b]]} | {"unusable": why} | {"fault": why}, one line a job,
            and null now and then while work goes on

Templates are programs that came with a model.  Transformers' sandbox keeps them from the file system and from
Python's insides; here the operating system keeps them from time and memory, which no sandbox can: `"a" * 10**10`
is one instruction.  Nothing of this process is shared with the one that asks.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from weitiao.core.gc_pause import paused
from weitiao.core.why import reason
from weitiao.data.chat.spans import Turns, locate, plain, prompt
from weitiao.data.formats import Unusable

MEMORY_BYTES = 2 << 30  # of address space: the interpreter with Transformers' renderer takes 0.2 GB of it
CPU_S = 60  # for one rendering; the asker's clock is stricter, this one holds when the asker is gone
SILENCE_S = 0.1
LONGEST = 1 << 22  # characters of one rendering: about a million tokens


def serve() -> None:
    """Answer until standard input ends."""
    with paused():
        from transformers.utils.chat_template_utils import render_jinja_template

    reason("template_endless")  # the words are read while there is memory
    _limit_memory()
    voice = _Voice()
    voice.say({"ready": True}, now=True)
    for line in sys.stdin.buffer:
        _limit_time()
        request = json.loads(line)
        for number, (kind, messages, tools) in enumerate(request["jobs"], start=1):
            reply = _answer(kind, messages, tools, request, render_jinja_template, voice)
            voice.say(reply, now=number == len(request["jobs"]))


class _Voice:
    """Replies leave together, since each one alone would wake the asker; but never is it left without a sign."""

    def __init__(self) -> None:
        self._out, self._heard = sys.stdout.buffer, 0.0

    def say(self, reply: Mapping[str, Any] | None, *, now: bool) -> None:
        self._out.write(json.dumps(reply).encode() + b"\n")
        if now:
            self._out.flush()
            self._heard = time.monotonic()

    def sign(self) -> None:
        """Say that there is progress, if nothing was heard for a while."""
        if time.monotonic() - self._heard > SILENCE_S:
            self.say(None, now=True)
            _limit_time()


class _Broken(Exception):
    """The template fails whatever the row is."""


def _answer(
    kind: str, messages: Turns, tools: Any, request: Mapping[str, Any], render: Any, voice: _Voice
) -> dict[str, Any]:
    def draw(turns: Turns, *, prompt: bool) -> str:
        text = _draw(turns, tools, request, render, prompt=prompt)
        voice.sign()
        return text

    try:
        if kind == "prompt":
            return {"text": prompt([plain(turn) for turn in messages], draw)}
        text, spans = locate(messages, draw, marks=request["marks"], last_only=kind == "last")
        return {"text": text, "spans": spans}
    except _Broken as error:
        return {"fault": str(error)}
    except Unusable as error:
        return {"unusable": str(error)}


def _draw(turns: Turns, tools: Any, request: Mapping[str, Any], render: Any, *, prompt: bool) -> str:
    from jinja2 import TemplateSyntaxError
    from jinja2.exceptions import SecurityError

    try:
        text = render(
            [turns],
            tools=tools,
            chat_template=request["template"],
            add_generation_prompt=prompt,
            **request["tokens"],
        )[0][0]
    except TemplateSyntaxError as error:
        raise _Broken(reason("template_unreadable", why=error.message, line=error.lineno)) from None
    except SecurityError as error:
        raise _Broken(reason("template_reaches", why=error)) from None
    except MemoryError:
        raise _Broken(reason("template_memory", size=MEMORY_BYTES >> 30)) from None
    except (OverflowError, RecursionError) as error:
        raise _Broken(str(error) or reason("template_endless")) from None
    except Exception as error:  # a template is somebody's program, and may fail in any way
        why = str(error) or type(error).__name__
        raise Unusable(reason("template_refuses", why=why)) from None
    if len(text) > LONGEST:
        raise _Broken(reason("template_long", count=f"{len(text):,}"))
    return text


def _limit_memory() -> None:
    with suppress(ImportError, ValueError, OSError):  # not on Windows, and not every system lets one set it
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, resource.getrlimit(resource.RLIMIT_AS)[1]))


def _limit_time() -> None:
    with suppress(ImportError, ValueError, OSError):
        import resource

        used = resource.getrusage(resource.RUSAGE_SELF)
        seconds = int(used.ru_utime + used.ru_stime) + CPU_S
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, resource.getrlimit(resource.RLIMIT_CPU)[1]))


if __name__ == "__main__":
    serve()
