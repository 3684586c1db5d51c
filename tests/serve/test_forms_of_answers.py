"""Answers that are JSON of a schema: always, the likeliest one that satisfies it, and nobody beside them notices."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import openai
import pytest
import torch

from tests.conftest import CHATML, dialogues, small_run, write_jsonl
from tests.serve.conftest import QUICK, listening
from weitiao import api
from weitiao.models.decoding import Decoding, Way, decode
from weitiao.models.decoding.grammar import Grammar, tokens_of

pytestmark = pytest.mark.whole  # llguidance's own import, and a toy of its own

VERDICTS, STARS = ("good", "bad", "mixed"), (1, 2, 3)
SCHEMA = {
    "type": "object",
    "properties": {"verdict": {"enum": [*VERDICTS]}, "stars": {"enum": [*STARS]}},
    "required": ["verdict", "stars"],
    "additionalProperties": False,
}
ALL = [json.dumps({"verdict": verdict, "stars": stars}) for verdict in VERDICTS for stars in STARS]
WANTED = {"type": "json_schema", "json_schema": {"name": "review", "schema": SCHEMA, "strict": True}}
ASKED = [{"role": "user", "content": "a good film"}]


@pytest.fixture(scope="module")
def speller(tmp_path_factory) -> api.Run:
    """A run whose words are bytes."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    folder: Path = tmp_path_factory.mktemp("speller")
    marks = ["<|im_end|>", "<|im_start|>"]
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    inner = Tokenizer(models.BPE({word: at for at, word in enumerate([*marks, *letters])}, []))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    inner.add_special_tokens(marks)
    words = {"eos_token": marks[0], "pad_token": marks[0], "additional_special_tokens": marks[1:]}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, model_max_length=512, **words)
    tokenizer.chat_template = CHATML
    tokenizer.save_pretrained(folder / "base")
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    more = {"max_position_embeddings": 512, "eos_token_id": 0, "pad_token_id": 0, "bos_token_id": None}
    # Two scores more than the tokenizer has words, as of models whose tables are filled up.
    config = LlamaConfig(vocab_size=260, num_key_value_heads=2, **sizes, **more)
    LlamaForCausalLM(config).save_pretrained(folder / "base")
    rows = write_jsonl(folder / "talk.jsonl", dialogues(40))
    judge = {"samples": 0, "answers": 0, "untuned": False}
    recipe = small_run(str(folder / "base"), "sft", rows, folder / "talk", batch=8, judge=judge)
    return api.train(recipe(method="lora", **{**QUICK, "max_steps": 1}))


@pytest.fixture(scope="module")
def ai(speller):
    found = listening(speller)
    with openai.OpenAI(base_url=f"{found.address}/v1", api_key="-", max_retries=0) as client:
        yield client
    found.end()


def likeliest(speller: api.Run, ids: list[int]) -> str:
    """The likeliest of all words that go on towards one of the answers, one after the other: without a grammar."""
    said = b""
    while True:
        next_bytes = {
            answer.encode()[len(said)]
            for answer in ALL
            if answer.encode().startswith(said) and len(answer) > len(said)
        }
        if not next_bytes:
            return said.decode()
        tokens = {speller.tuned.processor(chr(byte))["input_ids"][0]: byte for byte in next_bytes}
        with torch.no_grad():
            scores = speller.tuned.model(input_ids=torch.tensor([ids])).logits[0, -1]
        best = max(tokens, key=lambda token: float(scores[token]))
        said += bytes([tokens[best]])
        ids = [*ids, best]


def test_the_likeliest_answer_that_satisfies_a_schema_is_given_and_ends(ai, speller):
    said = ai.chat.completions.create(model="talk", messages=ASKED, response_format=WANTED, max_tokens=99)
    (choice,) = said.choices
    opening = list(speller.task.opening(ASKED, speller.tuned.processor))
    assert choice.message.content == likeliest(speller, opening)
    assert choice.message.content in ALL
    assert choice.finish_reason == "stop"
    parts = ai.chat.completions.create(
        model="talk", messages=ASKED, response_format=WANTED, max_tokens=99, stream=True
    )
    assert "".join(part.choices[0].delta.content or "" for part in parts) == choice.message.content


def test_answers_that_are_drawn_satisfy_it_too_and_those_beside_them_are_as_they_are_alone(ai):
    free = {"model": "talk", "messages": ASKED, "max_tokens": 40}
    alone = ai.chat.completions.create(**free).choices[0].message.content
    assert alone not in ALL, "else nothing is shown here"
    with ThreadPoolExecutor(2) as pool:
        formed = pool.submit(
            ai.chat.completions.create,
            **{**free, "response_format": WANTED, "temperature": 2, "seed": 3, "n": 8},
        )
        beside = [pool.submit(ai.chat.completions.create, **free) for _ in range(2)]
        drawn = [choice.message.content for choice in formed.result().choices]
        assert {one.result().choices[0].message.content for one in beside} == {alone}
    assert set(drawn) <= set(ALL)
    assert len(set(drawn)) > 2


def test_an_object_is_begun_and_what_cannot_be_had_is_said(ai):
    anything = {"type": "json_object"}
    said = ai.chat.completions.create(model="talk", messages=ASKED, response_format=anything, max_tokens=20)
    assert said.choices[0].message.content.startswith("{")
    for schema in ({"type": "nonsense"}, {"allOf": [{"type": "string"}, {"type": "number"}]}):
        wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
        with pytest.raises(openai.BadRequestError, match="response_format"):
            ai.chat.completions.create(model="talk", messages=ASKED, response_format=wanted)
    with pytest.raises(openai.UnprocessableEntityError, match="response_format"):
        ai.chat.completions.create(model="talk", messages=ASKED, response_format={"type": "grammar"})


def test_who_answers_alone_and_who_answers_together_say_the_same(speller):
    processor, model = speller.tuned.processor, speller.tuned.model.eval()
    stops = frozenset({processor.eos_token_id})
    grammar = Grammar.json(tokens_of(processor, stops), SCHEMA)
    prompts = [
        list(speller.task.opening([{"role": "user", "content": text}], processor)) for text in ("a", "film b")
    ]
    asked = Decoding(99, stops, 512, grammar=grammar)
    found = [dict(decode(model, prompts, asked, way=way)) for way in (Way.ALONE, Way.RAGGED)]
    told = [[processor.decode(each[place].ids) for place in (0, 1)] for each in found]
    assert told[0] == told[1]
    assert set(told[0]) <= set(ALL)
    assert {answer.ending for each in found for answer in each.values()} == {"end"}
