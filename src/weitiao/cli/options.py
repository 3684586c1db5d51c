"""What verbs share: their common options, and how results leave as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Any

import typer
import typer.core

from weitiao.cli.usage import unknown_verb
from weitiao.core.display import either
from weitiao.core.errors import fault
from weitiao.core.why import because

LONGEST = 1000
"""Characters of a verb's first sentence; Click cuts at 45."""

Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, only the result.")]
Verbose = Annotated[bool, typer.Option("--verbose", help="Show a traceback when something fails.")]
Base = Annotated[
    str, typer.Option("--base", help="Where the run's base model lies now, if it is found no more.")
]
Overrides = Annotated[
    list[str] | None, typer.Argument(help="key=value words, such as train.learning_rate=1e-4.")
]


class Whole(typer.core.TyperGroup):
    """A group of verbs whose list says of each all of its first sentence, over as many lines as that takes."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """The verbs and what they do."""
        verbs = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl([(name, verb.get_short_help_str(LONGEST)) for name, verb in verbs if verb])

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The verb that the first word names.

        Raises:
            WeitiaoError: `wrong_usage`, with the verb that is meant, or with what to do with a file.
        """
        if not ctx.resilient_parsing and args[0][:1] != "-" and self.get_command(ctx, args[0]) is None:
            raise unknown_verb(args[0], path=ctx.command_path, verbs=self.list_commands(ctx))
        return super().resolve_command(ctx, args)


def emit(value: Any) -> None:
    """JSON to standard output."""
    print(json.dumps(value, ensure_ascii=False, indent=1, default=str))


def pairs(columns: str) -> dict[str, str]:
    """`text=review,label=stars`, as a mapping."""
    found: dict[str, str] = {}
    for pair in filter(None, columns.split(",")):
        ours, _, theirs = (part.strip() for part in pair.partition("="))
        if not ours or not theirs or ours in found:
            raise fault("bad_columns", word=pair.strip())
        found[ours] = theirs
    return found


def wishes(words: Sequence[str]) -> list[tuple[str, float]]:
    """`precision=0.95`, as a pair."""
    found = []
    for word in words:
        kind, _, wish = word.partition("=")
        try:
            found.append((kind.strip(), float(wish)))
        except ValueError:
            raise fault("wrong_usage", **because("no_such_wish", asked=word)) from None
    return found


def span(seconds: float) -> str:
    """A time as a forecast says it: `0.6 min`, `3 h 20 min`."""
    hours, minutes = divmod(round(seconds / 60), 60)
    hour, minute = either(" h", " 小时"), either(" min", " 分钟")
    return f"{hours}{hour} {minutes}{minute}" if hours else f"{seconds / 60:.1f}{minute}"
