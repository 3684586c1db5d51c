"""How results look in a terminal: tables, a conversation.  Rich draws; nothing is computed here."""

from __future__ import annotations

import json as json_module
import math
import shlex
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from weitiao.cli.show_sections import drawn
from weitiao.core.contracts import Record, Sampling, Task, place
from weitiao.core.display import either
from weitiao.core.errors import WeitiaoError, did_you_mean, fault
from weitiao.core.figures import around, figure
from weitiao.core.why import reason
from weitiao.evaluate.report.numbers import say
from weitiao.evaluate.words import named
from weitiao.terminal.screen import err

if TYPE_CHECKING:
    from weitiao.api import Run
    from weitiao.stages.run import Speaker

# No emoji codes: a text with ":smile:" in it is shown as it is.
out = Console(highlight=False, soft_wrap=True, emoji=False)
SHOWN = 20
COLUMNS = 5  # so many metrics stand side by side
SHOWN_WHERE = 6
UNANSWERED = 8  # rows that are named
NOTHING = {"value": None, "low": None, "high": None}


def judged(run: Run) -> None:
    """The table of systems by metrics, the verdict, and what a reader must know besides."""
    results = run.results
    if not results:
        out.print(reason("not_judged_rows", path=f"{run.path}/model"))
        return
    out.print(results_table(results, width=out.width))
    for line in not_there(results):
        out.print(f"[dim]{escape(line)}[/dim]")
    out.print(results["verdict"]["sentence"])
    for remark in run.remarks:
        out.print(escape(remark))
    for section in results.get("sections", {}).values():
        if section["brief"]:
            out.print(*drawn(section), sep="\n")
    if run.report.is_file():
        out.print("\n" + reason("report_at", path=run.report.resolve()))


def stepped(name: str, *, nth: int, of: int) -> None:
    """Which of several steps begins."""
    out.print("\n" * (nth > 1) + f"[bold]{escape(reason('step_of', nth=nth, of=of, name=name))}[/bold]")


def road_at(page: Any) -> None:
    """Where the page of all steps lies."""
    out.print("\n" + reason("page_at", path=page.resolve()))


def analysed(found: Mapping[str, Any]) -> None:
    """What an analysis says in a sentence each, on standard error: scripts read where the page lies."""
    for section in found.get("sections", {}).values():
        if section["foot"]:
            err.print(escape(f"{say(section['title'])}{either(': ', '：')}{say(section['foot'])}"))


def next_steps(run: Run) -> None:
    """Three commands that work when pasted."""
    from weitiao import api

    me, path = program(), run.path
    if run.task.chats:
        steps = [
            (reason("talk_to_it"), f"{me} chat {path}"),
            (reason("talk_as_it_was"), f"{me} chat {run.recipe.model}"),
        ]
    else:
        retrieves, seen = run.task.retrieves, bool(run.task.shape.pictures)
        verb, what = ("retrieve", "search_your_own") if retrieves else ("predict", "ask_your_own")
        what = "ask_a_picture" if seen else what
        steps = [(reason(what), f"{me} {verb} {path} {shlex.quote(api.example_text(run))}")]
        steps += [(reason("chat_with_small"), f"{me} chat smollm2-135m")]
        if run.task.shape.draws:
            steps[0] = (steps[0][0], f"{steps[0][1]} --drawn {path}-seen")
        if seen:  # a table beside the run would name pictures that lie elsewhere
            steps += [(reason("look_at_rows"), f"{me} data show {path}/recipe.yaml --html {path}-rows.html")]
            return _offered(steps)
    table = api.example_table(run)
    own = table.with_suffix("")
    again = f"{me} init {table} -o {own}.yaml && {me} train {own}.yaml"
    if isinstance(run.task, Sampling):  # no columns say what answers are worth: the run's own rewards do
        again = f"{me} train {path}/recipe.yaml data.train={table} output_dir={own}"
    steps += [(reason("tune_your_own", table=table), again)]
    return _offered(steps)


def _offered(steps: Sequence[tuple[str, str]]) -> None:
    out.print("\n" + reason("three_things"))
    for what, command in steps:
        out.print(f"  # {escape(what)}\n  {escape(command)}")


def program() -> str:
    """What to type for this program: its name where the shell finds it, else its path."""
    import shutil
    from pathlib import Path

    called = Path(sys.argv[0])
    found = shutil.which("weitiao")
    if called.name != "weitiao" or (found and Path(found).resolve() == called.resolve()):
        return "weitiao"
    return str(called.relative_to(Path.cwd()) if called.is_relative_to(Path.cwd()) else called)


def results_table(results: Mapping[str, Any], *, width: int) -> Table:
    """Metrics with their intervals; tuned first.

    Few metrics are a column each, as long as no number is cut at that `width` of the terminal; else they are a line each.
    """
    given = results.get("given")
    kind = "given_rows" if given else "locked_rows"
    title = reason(kind, rows=f"{results['rows']:,}", files=", ".join(given["files"]) if given else "")
    systems, names = results["metrics"], list(results["metrics"]["tuned"])

    def cell(system: str, name: str) -> tuple[str, str]:
        found = systems[system].get(name, NOTHING)
        return figure(found), around(found) if found["low"] is not None else ""

    across = [[cell(system, name) for name in names] for system in systems]
    heads, firsts, rows = [*map(named, names)], [*map(named, systems)], across
    if len(names) > COLUMNS or _least(heads, firsts, across) > width:
        heads, firsts, rows = firsts, heads, [list(row) for row in zip(*across, strict=True)]
    table = Table(title=title, title_justify="left", title_style="bold")
    table.add_column("", no_wrap=True)
    for head, wide in zip(heads, _widths(heads, rows), strict=True):
        table.add_column(_bold(head), justify="right", min_width=wide)
    for first, row in zip(firsts, rows, strict=True):
        table.add_row(_bold(first), *(f"{value} [dim]{between}[/dim]" for value, between in row))
    return table


def _bold(word: str) -> str:
    return f"[bold]{word}[/bold]" if word == named("tuned") else word


def _widths(heads: Sequence[str], rows: Sequence[Sequence[tuple[str, str]]]) -> list[int]:
    """How narrow each column can be: lines break at spaces, never inside a word or number."""
    columns = [
        [*head.split(), *(word for row in rows for word in row[place])] for place, head in enumerate(heads)
    ]
    return [max(map(cell_len, words)) for words in columns]


def _least(heads: Sequence[str], firsts: Sequence[str], rows: Sequence[Sequence[tuple[str, str]]]) -> int:
    """How narrow such a table can be, lines and room around cells counted."""
    return max(map(cell_len, firsts)) + sum(_widths(heads, rows)) + 3 * len(heads) + 4


def not_there(results: Mapping[str, Any]) -> Iterator[str]:
    """Why some values or intervals of the table are dashes, or not there: a line for each reason."""
    whys: dict[str, list[str]] = {}
    for system, metrics in results["metrics"].items():
        for name, found in metrics.items():
            if "why" in found:
                whys.setdefault(found["why"], []).append(f"{named(system)} {named(name)}")
    for why, where in whys.items():
        more = f" (+{len(where) - SHOWN_WHERE})" if len(where) > SHOWN_WHERE else ""
        comma, colon = either(", ", "、"), either(": ", "：")
        yield f"{comma.join(where[:SHOWN_WHERE])}{more}{colon}{why}"


def prediction(texts: Iterable[Any], answer: Mapping[str, Any], *, task: Task | None = None) -> str:
    """One line a row, its parts set apart by tabs (which Rich would turn into spaces): label, probability, text; or the
    spans with their types, or the labels of pixels with their shares, or the number and between which it lies, the reward, or the numbers of a vector, and the text; or what was
    answered alone.  Of a row that could not be asked each of these is a dash.  A query has a line, and so has each of its
    passages, the best first."""
    if "answer" in answer:
        # Of an answer that is a part of a text, that there is none is one, too.
        return one_line(answer["answer"]) or ("-" if "start" in answer else "")
    if "unusable" in answer and task and (task.generates or "start" in task.predicts):
        return "-"
    shown = [" ".join(map(_words, text)) if isinstance(text, list) else str(text or "") for text in texts]
    if "unusable" in answer:
        return "\t".join(map(one_line, ("-", *(["-"] if task and "label" in task.predicts else []), *shown)))
    if "spans" in answer:
        return "\t".join(map(one_line, (spans(answer["spans"]) or "-", *shown)))
    if "shares" in answer:
        said = "; ".join(f"{label} {100 * share:.1f} %" for label, share in answer["shares"].items())
        return "\t".join(map(one_line, (said, *shown)))
    if "labels" in answer:
        said = "; ".join(f"{label} ({answer['scores'][label]:.2f})" for label in answer["labels"])
        return "\t".join(map(one_line, (said or "-", *shown)))
    if "ranking" in answer:  # the query, then its passages, best first
        ranked = (f"{one['score']:.3f}  {one['passage']}" for one in answer["ranking"])
        return "\n".join(map(one_line, (shown[0], *(f"  {line}" for line in ranked))))
    if "number" in answer:
        return "\t".join(map(one_line, (number(answer), *shown)))
    if "reward" in answer:
        return "\t".join(map(one_line, (f"{answer['reward']:.4g}", *shown)))
    if "vector" in answer:
        numbers = " ".join(f"{number:.6g}" for number in answer["vector"])
        return "\t".join(map(one_line, (numbers, *shown)))
    if "objects" in answer:
        return "\t".join(map(one_line, (things(answer["objects"]) or "-", *shown)))
    if "label" in answer:
        return "\t".join(map(one_line, (answer["label"], f"{answer['score']:.3f}", *shown)))
    return "\t".join(map(one_line, (json_module.dumps(answer, ensure_ascii=False), *shown)))


def things(found: Sequence[Mapping[str, Any]]) -> str:
    """Things in a picture, each with its score and its box: x, y, width and height."""
    return "; ".join(
        f"{one['label']} {one['score']:.2f} [{', '.join(f'{side:g}' for side in one['box'])}]"
        for one in found
    )


def _words(part: Any) -> str:
    """A word of a list; of a turn what is said in it."""
    return str(part.get("content") or "") if isinstance(part, Mapping) else str(part)


def unanswered(rows: Sequence[tuple[Record, str]]) -> None:
    """Which rows could not be asked, on standard error."""
    if not rows:
        return
    named = ", ".join(
        f"{place(row.file, row.line, row.nth) if row.file else row.line} ({why})"
        for row, why in rows[:UNANSWERED]
    )
    more = len(rows) - UNANSWERED
    named += reason("and_more_rows", count=f"{more:,}") if more > 0 else ""
    print(reason("left_unanswered", count=f"{len(rows):,}", rows=named), file=sys.stderr)


def number(answer: Mapping[str, Any]) -> str:
    """`4.2 [3.1, 5.3]`."""
    between = f" [{answer['low']:.4g}, {answer['high']:.4g}]" if "low" in answer else ""
    return f"{answer['number']:.4g}{between}"


def spans(found: Iterable[Mapping[str, Any]]) -> str:
    """`person: Ada Lovelace (0.98); place: London (0.91)`."""
    return "; ".join(f"{span['type']}: {span['text']} ({span['score']:.2f})" for span in found)


def one_line(text: str) -> str:
    """The text with everything that ends a line, or steers a terminal, written as an escape: `\\n`, `\\t`."""
    return "".join(
        char.encode("unicode_escape").decode() if unicodedata.category(char) in ("Cc", "Zl", "Zp") else char
        for char in text
    )


def run_table(runs: Sequence[Run], *, sort: str = "", json: bool) -> None:
    """Run folders with their scores.

    Args:
        runs: in their order.
        sort: a metric by which the best stands first, and whose values are shown; default: each run's primary one.
        json: as JSON.

    Raises:
        WeitiaoError: `unknown_name` for a metric that no run was judged by.
    """
    rows, ranks, known = list[dict[str, Any]](), [], list[str]()
    for run in runs:
        try:
            recipe, results = run.recipe, run.results
        except (WeitiaoError, ValueError):  # of another version, or cut short: it must not hide the others
            rows.append(
                {"run": str(run.path), "state": "unreadable", "model": "-", "task": "-", "method": "-"}
            )
            ranks.append(-math.inf)
            continue
        metrics = results["metrics"]["tuned"] if results else {}
        known += [name for name in metrics if name not in known]
        shown = sort or results.get("primary", "")
        value = metrics[shown]["value"] if shown in metrics else None
        # Runs without a value stand last, in their order.
        lower = shown in results.get("lower_is_better", ())
        best = _ideal(shown) if sort else None
        ranks.append(
            -math.inf
            if value is None
            else -abs(value - best)
            if best is not None
            else -value
            if lower
            else value
        )
        rows.append(
            {
                "run": str(run.path),
                "state": run.folder.state,
                "model": recipe.model,
                "task": recipe.task["name"],
                "method": recipe.method["name"],
                **({shown: value} if shown in metrics else {}),
            }
        )
    if sort:
        if known and sort not in known:
            hint = did_you_mean(sort, known)
            raise fault("unknown_name", shelf="metric", name=sort, hint=hint, known=", ".join(known))
        rows = [row for _, row in sorted(zip(ranks, rows, strict=True), key=lambda pair: -pair[0])]
    if json:
        print(json_module.dumps(rows, ensure_ascii=False, indent=1))
    elif not rows:
        out.print(reason("no_runs_yet"))
    else:
        heads = (("run", "运行"), ("state", "状态"), ("model", "模型"), ("task", "任务"), ("method", "方法"))
        table = Table()
        for head in (*heads, ("score", "得分")):
            table.add_column(either(*head), overflow="fold")  # a name that is cut is no name
        for row in rows:
            *words, score = [*row.values()] if len(row) == 6 else [*row.values(), None]
            shown = f"{named(list(row)[-1])} {score:.3f}" if score is not None else "-"
            folder, state, *others = words
            table.add_row(*(escape(str(word)) for word in (folder, named(state), *others)), shown)
        Console(highlight=False).print(table)


def _ideal(metric: str) -> float | None:
    """The value that is best where neither more nor less of it is, as of answers that are as long as their references."""
    from weitiao.core import registry

    return registry.entry("metric", metric).kind.ideal if metric in registry.names("metric") else None


def turn(said: str, processor: Any) -> dict[str, Any]:
    """What a user said as a turn; where the model reads pictures, the path of one among the words is the picture."""
    from weitiao.data.chat import Seeing
    from weitiao.data.formats.turned import IMAGES, MARK
    from weitiao.data.pictures.opening import ENDINGS

    words = said.split(" ")
    shown = [word for word in words if Path(word).suffix.lower() in ENDINGS and Path(word).is_file()]
    if not shown or not isinstance(processor, Seeing):
        return {"role": "user", "content": said}
    content = " ".join(MARK if word in shown else word for word in words)
    return {"role": "user", "content": content, IMAGES: shown}


def conversation(speaker: Speaker, *, system: str, **options: Any) -> None:
    """Read a line, stream the answer, keep the turns; an empty line or the end of the input stops.

    Args:
        speaker: who answers.
        system: a system message, if any.
        options: those of `Speaker.answer`.
    """
    from transformers import TextStreamer

    turns: list[dict[str, Any]] = [{"role": "system", "content": system}] if system else []
    asks = sys.stdin.isatty()
    if asks:
        err.print(f"[dim]{reason('end_of_talk')}[/dim]")
    while True:
        try:
            said = input(reason("you_say")) if asks else next(iter(sys.stdin.readline, ""), "")
        except EOFError:
            break
        if not said.strip():
            break
        turns.append(turn(said.strip(), speaker.loaded.processor))
        streamer = TextStreamer(speaker.loaded.processor, skip_prompt=True, skip_special_tokens=True)
        turns.append({"role": "assistant", "content": speaker.answer(turns, streamer=streamer, **options)})
