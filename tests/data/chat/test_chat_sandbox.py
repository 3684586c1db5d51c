"""Templates are somebody's programs: bombs are ended, escapes refused, and the next conversation is rendered."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from tests.conftest import CHATML
from weitiao.core.contracts import Record
from weitiao.core.errors import WeitiaoError
from weitiao.data.chat import encode, render, sandbox
from weitiao.data.formats import Unusable


def refused(*words: str):
    return pytest.raises(WeitiaoError, match=r"(?s)^\[chat_template\].*" + ".*".join(words))


def row(asked: str = "film", line: int = 7) -> Record:
    turns = [{"role": "user", "content": asked}, {"role": "assistant", "content": "plot"}]
    return Record("talk.jsonl", line, {"messages": turns})


@pytest.fixture
def tokenizer(llama):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(llama)


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(sandbox, "SECONDS", 0.4)


LOOPS = "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}"


@pytest.mark.whole
@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    "bomb",
    [
        LOOPS,
        # One instruction, which Jinja runs while it compiles: constants are folded.
        "{{ 9 ** (9 ** 9) }}",
        "{% set ns = namespace(x=7) %}{% for i in range(99) %}{% set ns.x = ns.x * ns.x %}{% endfor %}",
    ],
    ids=["loops", "power", "squares"],
)
def test_a_template_that_takes_forever_is_ended(bomb, tokenizer):
    tokenizer.chat_template = bomb
    started = time.monotonic()
    with refused("talk.jsonl line 7", "longer than 0.4 seconds"):
        render(row(), tokenizer)
    assert time.monotonic() - started < 20


@pytest.mark.whole
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps a limit on address space")
@pytest.mark.parametrize(
    "bomb",
    [
        "{{ 'a' * 10 ** 10 }}",
        "{{ messages[0].content.ljust(10 ** 10) }}",
        "{{ '%9999999999d' | format(1) }}",
        "{{ [0] * 10 ** 9 }}",
        "{% set ns = namespace(s='ab') %}{% for i in range(40) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}{{ ns.s }}",
    ],
    ids=["times", "ljust", "format", "list", "doubling"],
)
def test_a_template_that_takes_all_memory_is_ended(bomb, tokenizer):
    from resource import RUSAGE_SELF, getrusage

    before = getrusage(RUSAGE_SELF).ru_maxrss
    tokenizer.chat_template = bomb
    with refused("talk.jsonl line 7", "(more than 2 GB of memory|ended with code)"):
        render(row(), tokenizer)
    assert getrusage(RUSAGE_SELF).ru_maxrss - before < 100_000  # kilobytes, of the process that asked


def test_a_flood_of_text_is_refused_before_it_is_handed_over(tokenizer):
    tokenizer.chat_template = "{{ 'a' * 10 ** 8 }}"
    with refused("talk.jsonl line 7", "it writes 100,000,000 characters"):
        render(row(), tokenizer)


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ("{% for %}", r"cannot be read: Expected an expression.*\(line 1\)"),
        ("{{ nothing | no_such_filter }}", "cannot be read: No filter named"),
        ("{% for i in range(10 ** 9) %}x{% endfor %}", "Range too big"),
        ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "recursion"),
        ("{{ ''.__class__.__mro__[1].__subclasses__() }}", "must not touch.*unsafe"),
        ("{{ cycler.__init__.__globals__.os.system('touch escaped') }}", "must not touch.*unsafe"),
        ("{{ ''['__class__']['__base__']['__subclasses__']() }}", "must not touch.*unsafe"),
        ("{{ messages.append(1) }}", "must not touch.*unsafe"),
        ("{{ '{0.__class__.__init__.__globals__}'.format(namespace) }}", "must not touch.*unsafe"),
    ],
)
def test_a_template_that_can_serve_no_row_is_a_fault(template, why, tokenizer, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tokenizer.chat_template = template
    with refused("talk.jsonl line 7", why):
        render(row(), tokenizer)
    assert not list(tmp_path.iterdir())


@pytest.mark.whole
@pytest.mark.usefixtures("impatient")
def test_the_row_that_sets_it_off_is_named_and_the_next_template_is_rendered(tokenizer):
    sound = tokenizer.chat_template
    tokenizer.chat_template = "{% if messages[0].content == 'boom' %}" + LOOPS + "{% endif %}" + CHATML
    rows = [
        *(row(line=line) for line in range(90)),
        row("boom", line=90),
        *(row(line=line) for line in range(91, 99)),
    ]
    encoded = encode(rows, tokenizer)
    before = [next(encoded) for _ in range(64)]
    with refused("talk.jsonl line 90"):
        list(encoded)
    tokenizer.chat_template = sound
    assert list(encode(rows[:64], tokenizer)) == before


@pytest.mark.whole
@pytest.mark.usefixtures("impatient")
def test_any_thread_may_ask_and_no_signal_handler_is_touched(tokenizer):
    handlers = [
        signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM, signal.SIGCHLD)
    ]
    tokenizer.chat_template = LOOPS
    heard: list[object] = []

    def ask():
        try:
            render(row(), tokenizer)
        except WeitiaoError as error:
            heard.append(error.code)

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert heard == ["chat_template"] * 2
    assert handlers == [
        signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM, signal.SIGCHLD)
    ]


@pytest.mark.whole
def test_threads_get_their_own_answers(tokenizer):
    found: dict[int, list] = {}

    def ask(number: int):
        found[number] = [render(row(f"film {number}", line=i), tokenizer)[0] for i in range(30)]

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in range(4):
        assert found[number] == [render(row(f"film {number}"), tokenizer)[0]] * 30


@pytest.mark.whole
def test_a_helper_that_was_killed_is_replaced(tokenizer):
    before = render(row(), tokenizer)
    helper = sandbox._helper(os.getpid())
    helper._process.kill()
    helper._process.wait()
    assert render(row(), tokenizer) == before


def test_half_an_exchange_is_not_read_by_the_next(tokenizer, monkeypatch):
    """As after Ctrl-C: the answers to the question that was given up must not come to the next."""
    before = render(row("very"), tokenizer)
    with monkeypatch.context() as patched:
        patched.setattr(sandbox.json, "loads", lambda line: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            render(row("film"), tokenizer)
    assert render(row("very"), tokenizer) == before


def test_a_python_that_cannot_start_another_is_said(monkeypatch):
    for path, why in (("/no/such/python", "No such file"), ("/bin/false", "ended with code 1")):
        monkeypatch.setattr(sys, "executable", path)
        with pytest.raises(WeitiaoError, match=rf"^\[no_helper\].*{why}"):
            sandbox.Helper().ask({"jobs": [0]})


@pytest.mark.whole
def test_the_helper_ends_with_its_parent(llama):
    """Also where the parent had no time to say so."""
    program = (
        "import os, sys; from transformers import AutoTokenizer; from weitiao.data.chat import prompt_text, sandbox\n"
        "tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])\n"
        "prompt_text([{'role': 'user', 'content': 'film'}], tokenizer)\n"
        "print(sandbox._helper(os.getpid())._process.pid, flush=True); os._exit(1)"
    )
    done = subprocess.run([sys.executable, "-c", program, llama], capture_output=True, text=True, check=False)
    pid = int(done.stdout)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    raise AssertionError(f"the helper {pid} lives on")


def test_values_that_json_has_not_are_harmless(tokenizer):
    class Odd:
        pass

    turns = [{"role": "user", "content": "film", "extra": Odd()}, {"role": "assistant", "content": "plot"}]
    tokenizer.chat_template = "{{ messages[0].extra }}" + CHATML
    assert render(Record("talk.jsonl", 7, {"messages": turns}), tokenizer)[0].startswith("<Odd>")


def test_half_a_character_goes_there_and_back(tokenizer):
    tokenizer.chat_template = "{{ raise_exception(messages[0].content) }}"
    with pytest.raises(Unusable, match="half \ud83d"):
        render(row("half \ud83d"), tokenizer)


SLOW = "{% for i in range(500) %}{% for j in range(1000) %}{% endfor %}{% endfor %}" + CHATML


@pytest.mark.whole
def test_long_work_is_not_taken_for_a_bomb(tokenizer, monkeypatch):
    """The clock is a rendering's, not a row's or a request's."""
    monkeypatch.setattr(sandbox, "SECONDS", 0.4)
    tokenizer.chat_template = SLOW
    started = time.monotonic()
    assert len(list(encode([row(line=line) for line in range(50)], tokenizer))) == 50
    assert time.monotonic() - started > 2 * 0.4
    started = time.monotonic()
    turns = [turn for _ in range(50) for turn in row().values["messages"]]
    assert len(render(Record("talk.jsonl", 7, {"messages": turns}), tokenizer)[1]) == 50
    assert time.monotonic() - started > 2 * 0.4


def _ask_often(tokenizer, number: int, results) -> None:
    results.put((number, [render(row(f"film {number}"), tokenizer)[0] for _ in range(30)]))


@pytest.mark.whole
def test_a_forked_process_does_not_talk_through_its_parents_pipe(tokenizer):
    import multiprocessing

    expected = {number: [render(row(f"film {number}"), tokenizer)[0]] * 30 for number in range(3)}
    forks = multiprocessing.get_context("fork")
    results = forks.SimpleQueue()
    others = [forks.Process(target=_ask_often, args=(tokenizer, number, results)) for number in (1, 2)]
    for other in others:
        other.start()
    found = {0: [render(row("film 0"), tokenizer)[0] for _ in range(30)]}
    found |= dict(results.get() for _ in others)
    for other in others:
        other.join()
    assert found == expected
