"""The same words on the command line, and nothing else.

    weitiao train recipe.yaml train.learning_rate=1e-4

Results go to standard output, everything else to standard error, so that pipes carry results alone.  Exit codes:
0 done, 2 the recipe or the command, 3 the data, 4 the model, 5 the run, 6 the machine, 130 / 138 / 143 interrupted,
70 a fault of weitiao itself (EX_SOFTWARE of sysexits.h).
"""

from __future__ import annotations

import json
import os
import sys
import traceback

from weitiao.core import threads
from weitiao.core.errors import WeitiaoError, fault


def main() -> None:
    """Run the command line and leave with its exit code."""
    threads.settle(os.environ)
    code = run(sys.argv[1:])
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader of a pipe has left (`weitiao runs | head`); do not complain again when Python flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)


def run(words: list[str]) -> int:
    """Run one command; returns its exit code, and shows errors without a traceback unless `--verbose` is given."""
    from weitiao.cli.processes import ended
    from weitiao.cli.verbs import asked

    if code := ended():
        return code
    from typer.main import get_command

    from weitiao.cli.translated import translated
    from weitiao.cli.usage import Stopped, UsageError, understood

    try:
        command = translated(get_command(asked(words)))
        code = command(args=words, prog_name="weitiao", standalone_mode=False)
        if code == 130:  # typer has caught Ctrl-C
            raise Stopped
        return code if isinstance(code, int) else 0
    except SystemExit as leaving:
        # 1 is typer's code for a pipe whose reader has left; no verb uses it.
        return 0 if leaving.code in (None, 1) else int(leaving.code)
    except Stopped:
        return _say(fault("stopped"), words)
    except UsageError as error:
        if type(error).__name__ != "NoArgsIsHelpError":
            return _say(understood(error), words)
        error.show()
        return int(error.exit_code)
    except Exception as error:  # the last one who can say anything: nobody is to meet a traceback
        if "--verbose" in words:
            traceback.print_exc()
        if not isinstance(error, WeitiaoError):
            error = fault("internal", kind=type(error).__name__, why=error)
        return _say(error, words)


def _say(error: WeitiaoError, words: list[str]) -> int:
    from weitiao.cli.processes import may_speak

    # A lost process is started anew; of all other errors one process speaks.
    if error.code not in ("process_lost", "internal") and not may_speak(error.exit_code):
        return error.exit_code
    text = json.dumps(error.to_dict(), ensure_ascii=False) if "--json" in words else error.text()
    print(text, file=sys.stderr)
    return error.exit_code
