"""Ollama's `Modelfile`: which file, how a conversation is written, what ends an answer.

modelfile(run, "model.gguf", ends)  ->  FROM, TEMPLATE, PARAMETER stop ...

Ollama writes prompts by a template of Go.  Of a chat template of Jinja one is made where it is turn after turn: what stands
before and behind each role's words is found by rendering marks, and the parts are put together again and compared.  A template
that is more than that stays with Ollama, which looks for its like by the file's own one.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from weitiao.core.errors import WeitiaoError
from weitiao.data import chat

if TYPE_CHECKING:
    from weitiao.stages.run import Run

NO_TEMPLATE = (
    "# The chat template is more than turn after turn: Ollama takes the one that it knows for the file's own."
)
FIRST, SECOND, THIRD = "Wq7zA", "Wq7zB", "Wq7zC"
"""Words that no template writes."""


@dataclass(frozen=True)
class Turns:
    """A template that is turn after turn: what is written between the words of one and the next."""

    begin: str
    """Before all; where system words are given it is `before_system`."""
    before_system: str
    behind_system: str
    before_user: str
    before_answer: str
    """Behind a question; what an answer is asked with, too."""
    behind_answer: str

    def prompt(self, turns: Sequence[Mapping[str, str]]) -> str:
        """A conversation up to a question, as Ollama will write it."""
        around = {
            "system": ("", self.behind_system),
            "user": (self.before_user, self.before_answer),
            "assistant": ("", self.behind_answer),
        }
        begin = self.before_system if turns[0]["role"] == "system" else self.begin
        return begin + "".join(turn["content"].join(around[turn["role"]]) for turn in turns)

    def go(self) -> str:
        """As a template of Go."""
        begin, before = _plain(self.begin), _plain(self.before_system)
        said = "{{ .Content }}"
        return (
            f"{{{{ if .System }}}}{before}{{{{ else }}}}{begin}{{{{ end }}}}{{{{ range .Messages }}}}"
            f'{{{{ if eq .Role "system" }}}}{said}{_plain(self.behind_system)}'
            f'{{{{ else if eq .Role "user" }}}}{_plain(self.before_user)}{said}{_plain(self.before_answer)}'
            f'{{{{ else if eq .Role "assistant" }}}}{said}{_plain(self.behind_answer)}'
            "{{ end }}{{ end }}"
        )


def _plain(text: str) -> str:
    return text.replace("{{", '{{ "{{" }}')


def turns(processor: Any, *, begins: bool) -> Turns | None:
    """The parts of a tokenizer's chat template; None where it is more than turn after turn.

    Args:
        processor: the tokenizer.
        begins: does whoever reads the file put the begin token there, so that the template must not?
    """
    begin = processor.bos_token if begins else ""

    def write(*said: tuple[str, str]) -> str:
        asked = [{"role": role, "content": words} for role, words in said]
        return chat.prompt_text(asked, processor).removeprefix(begin)

    question, answer = ("user", FIRST), ("assistant", SECOND)
    system, again = ("system", SECOND), ("user", THIRD)
    try:
        head, _, tail = write(question).partition(FIRST)
        behind_answer = write(question, answer, again).partition(SECOND)[2].partition(THIRD)[0]
        before_system, _, rest = write(system, question).partition(SECOND)
        behind_system = rest.partition(FIRST)[0]
        before_user = _common_end(head, behind_answer, behind_system)
        found = Turns(
            head.removesuffix(before_user),
            before_system,
            behind_system.removesuffix(before_user),
            before_user,
            tail,
            behind_answer.removesuffix(before_user),
        )
        tried = (
            (question,),
            (system, question),
            (question, answer, again),
            (system, question, answer, again),
        )
        for said in tried:
            if found.prompt([{"role": role, "content": words} for role, words in said]) != write(*said):
                return None
    except WeitiaoError:  # it refuses a role, or an order of them
        return None
    return found


def _common_end(*texts: str) -> str:
    return os.path.commonprefix([text[::-1] for text in texts])[::-1]


def modelfile(run: Run, file: str, *, ends: Sequence[int], begins: bool) -> str:
    """What `ollama create NAME -f Modelfile` reads.

    Args:
        run: whose model.
        file: beside it.
        ends: tokens that end an answer.
        begins: as `turns`.
    """
    processor = run.tuned.processor
    lines = [f"# ollama create {run.path.resolve().name} -f Modelfile", f"FROM ./{file}"]
    if not run.task.generates:  # of vectors it takes all out of the file
        return "\n".join([*lines, ""])
    if run.task.chats:
        found = turns(processor, begins=begins)
        lines.append(f'TEMPLATE """{found.go()}"""' if found else NO_TEMPLATE)
    else:
        lines.append('TEMPLATE """{{ .Prompt }}"""')
    stops = [processor.convert_ids_to_tokens(end) for end in ends]
    lines += [f"PARAMETER stop {json.dumps(stop, ensure_ascii=False)}" for stop in stops]
    lines.append(f"PARAMETER num_ctx {run.most}")
    return "\n".join(lines) + "\n"
