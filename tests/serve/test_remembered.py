"""A conversation that goes on is answered as ever, and what was said before is not read again."""

from __future__ import annotations

import httpx2
import pytest
import torch

from tests.conftest import dialogues
from tests.models.families import built
from weitiao.models.decoding import Decoding, Turns, Way
from weitiao.models.decoding.prefixes import LEAST, Prefixes
from weitiao.models.decoding.turns import Row


def layers(size: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    return [(torch.zeros(1, 2, size, 4), torch.zeros(1, 2, size, 4))]


def test_so_much_is_kept_and_what_was_asked_for_longest_ago_goes_first():
    kept = Prefixes(100)
    rows = {name: [name] * 40 for name in (1, 2, 3)}
    for name in (1, 2):
        kept.keep(rows[name], layers(40))
    assert kept.found([*rows[1], 9])[0] == 40
    kept.keep(rows[3], layers(40))
    assert kept.tokens == 80
    assert [kept.found([*rows[name], 9])[0] for name in (1, 2, 3)] == [40, 0, 40]
    # The last token of a prompt is read in any case: its scores say what follows.
    size, found = kept.found(rows[1])
    assert size == 39
    assert found[0][0].shape == (1, 2, 39, 4)
    kept.keep([*rows[1], 5], layers(41))
    assert kept.tokens == 81, "what goes on from a row takes its place"
    assert kept.found([1] * (LEAST - 1) + [7, 8])[0] == 0
    kept.keep([4] * 101, layers(101))
    assert kept.tokens == 81


@torch.inference_mode()
def test_rows_that_begin_alike_say_the_same_with_less_reading():
    model = built("llama", "CausalLM")
    begin, asked = [*range(5, 45)], Decoding(max_new_tokens=6, stops=frozenset(), limit=120)
    rounds = [[[*begin, 50]], [[*begin, 51, 52], [*begin, 53], [7, 8, 9], [*begin, 53]], [[*begin, 50, 60]]]

    def said(remembered: int) -> tuple[dict[int, list[int]], int]:
        read, found, name = 0, {}, 0

        def count(module, args, given) -> None:
            nonlocal read
            read += given["input_ids"].numel()

        hook = model.register_forward_pre_hook(count, with_kwargs=True)
        turns = Turns(
            model, way=Way.RAGGED, padding=0, rows=8, tokens=999, waits=False, remembered=remembered
        )
        for prompts in rounds:
            for prompt in prompts:
                turns.add(Row(name, list(prompt), asked, name))
                name += 1
            while turns.busy:
                found |= {each.row.name: each.answer.ids for each in turns.turn() if each.answer}
        hook.remove()
        return found, read

    expected, all_read = said(0)
    found, read = said(200)
    assert found == expected
    assert read < all_read - 3 * len(begin)


@pytest.mark.whole
def test_a_conversation_that_goes_on_over_http(served, talk):
    model = served.server.service.models.get("talk").run.tuned.model
    read = []
    hook = model.register_forward_pre_hook(
        lambda module, args, given: read.append(given["input_ids"].shape[1]), with_kwargs=True
    )
    turns = [{"role": "user", "content": " ".join([dialogues(1, seed=9)[0]["prompt"]] * 4)}]
    try:
        with httpx2.Client(base_url=served.address, timeout=60) as client:
            for more in ("", "what ?", "and ?"):
                turns += [{"role": "user", "content": more}] if more else []
                body = {"model": "talk", "messages": turns, "max_tokens": 6}
                told = client.post("/v1/chat/completions", json=body).json()
                answer = told["choices"][0]["message"]["content"]
                assert answer == talk.answer(turns, max_new_tokens=6)
                turns.append({"role": "assistant", "content": answer})
    finally:
        hook.remove()
    prompts = [size for size in read if size > 1]
    assert prompts[0] > LEAST
    assert max(prompts[1:]) < prompts[0], "the second and third time only what is new is read"
