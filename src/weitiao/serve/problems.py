"""An error as every route says it, in the form that OpenAI's clients read; `guard.said` makes one."""

from __future__ import annotations

from pydantic import BaseModel


class What(BaseModel):
    """What is wrong."""

    message: str
    type: str
    param: str | None = None
    code: str


class Problem(BaseModel):
    """The body of an answer that is none."""

    error: What
