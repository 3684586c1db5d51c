"""A script that was written for OpenAI's fine-tuning API tunes here, by the unchanged client, with another address."""

from __future__ import annotations

import json
import time
from pathlib import Path

import httpx2
import openai
import pytest

from tests.conftest import dialogues
from tests.serve.conftest import Listening, listening
from weitiao import api
from weitiao.api.tuning import advised, apart

pytestmark = pytest.mark.whole

PROMPT = dialogues(1, seed=9)[0]["prompt"]


def user(text: str) -> dict:
    return {"role": "user", "content": text}


def answer(text: str) -> dict:
    return {"role": "assistant", "content": text}


def lines(rows: list[dict]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


CHATS = lines([{"messages": [user(row["prompt"]), answer(row["completion"])]} for row in dialogues(60)])
PAIRS = lines(
    [
        {
            "input": {"messages": [user(row["prompt"])]},
            "preferred_output": [answer(row["completion"])],
            "non_preferred_output": [answer("bad awful")],
        }
        for row in dialogues(60, seed=2)
    ]
)


def begun(talk: api.Run, folder: Path) -> tuple[Listening, openai.OpenAI]:
    served = listening(talk, tuning=(folder, advised, apart))
    return served, openai.OpenAI(base_url=f"{served.address}/v1", api_key="none", max_retries=0)


def until(ai: openai.OpenAI, job: str, *states: str, seconds: float = 400):
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        found = ai.fine_tuning.jobs.retrieve(job)
        if found.status in states:
            return found
        assert found.status in ("queued", "running"), found.error
        time.sleep(0.2)
    raise AssertionError(f"{job} did not come to {states}")


def test_a_model_is_tuned_asked_and_there_again_after_a_restart(talk, tmp_path):
    served, ai = begun(talk, tmp_path)
    try:
        rows = ai.files.create(file=("rows.jsonl", CHATS), purpose="fine-tune")
        pairs = ai.files.create(file=("pairs.jsonl", PAIRS), purpose="fine-tune")
        how = {"n_epochs": 1, "batch_size": 8, "learning_rate_multiplier": 2.0}
        words = {
            "model": "talk",
            "training_file": rows.id,
            "suffix": "mine",
            "seed": 7,
            "metadata": {"a": "b"},
        }
        job = ai.fine_tuning.jobs.create(
            **words, method={"type": "supervised", "supervised": {"hyperparameters": how}}
        )
        assert job.status in ("queued", "running")
        never = ai.fine_tuning.jobs.create(model="talk", training_file=rows.id)
        assert ai.fine_tuning.jobs.cancel(never.id).status == "cancelled"
        preferred = {
            "type": "dpo",
            "dpo": {"hyperparameters": {"n_epochs": 30, "batch_size": 8, "beta": 0.3}},
        }
        after = ai.fine_tuning.jobs.create(model="talk", training_file=pairs.id, method=preferred)
        assert ai.fine_tuning.jobs.retrieve(after.id).status == "queued"  # one at a time
        done = until(ai, job.id, "succeeded")
        _tuned(ai, done, tmp_path, talk)
        _told(ai, done)
        until(ai, after.id, "running")
        while not any(event.type == "metrics" for event in ai.fine_tuning.jobs.list_events(after.id)):
            time.sleep(0.1)
    finally:
        served.end()
        ai.close()
    kept = json.loads((tmp_path / "tuning" / "jobs" / after.id / "job.json").read_text())
    assert kept["status"] == "queued"  # nobody is at it
    served, ai = begun(talk, tmp_path)
    try:
        assert done.fine_tuned_model in [model.id for model in ai.models.list()]
        until(ai, after.id, "succeeded")
        recipe = api.load(tmp_path / after.id).recipe
        assert (recipe.task["name"], recipe.task["beta"], recipe.train.num_train_epochs) == ("dpo", 0.3, 30)
        said = [event.message for event in ai.fine_tuning.jobs.list_events(after.id)]
        numbers = [int(text.split()[1].rstrip(":")) for text in said if "training loss" in text][::-1]
        assert numbers == list(range(1, len(numbers) + 1))  # gone on with, nothing twice
        assert ai.models.delete(done.fine_tuned_model).deleted
        assert done.fine_tuned_model not in [model.id for model in ai.models.list()]
        assert [job.id for job in ai.fine_tuning.jobs.list()] == [after.id, never.id, job.id]
    finally:
        served.end()
        ai.close()


def _tuned(ai: openai.OpenAI, done, folder: Path, talk: api.Run) -> None:
    """It was tuned as it was asked, is an ordinary run, and is asked under its name."""
    assert done.fine_tuned_model.startswith("ft:talk:weitiao:mine:")
    run = api.load(folder / done.id)
    train, own = run.recipe.train, talk.method.learning_rate
    assert (train.num_train_epochs, train.per_device_train_batch_size) == (1, 8)
    assert train.learning_rate == pytest.approx(2 * own)
    assert (run.recipe.seed, Path(run.recipe.start_from)) == (7, talk.path)
    assert run.results
    said = ai.chat.completions.create(model=done.fine_tuned_model, messages=[user(PROMPT)], max_tokens=6)
    assert said.choices[0].message.content == run.answer(PROMPT, max_new_tokens=6)


def _told(ai: openai.OpenAI, done) -> None:
    """Events, checkpoints and results are those of the log."""
    assert (done.metadata, done.seed, done.method.type) == ({"a": "b"}, 7, "supervised")
    assert done.trained_tokens > 0
    events = list(ai.fine_tuning.jobs.list_events(done.id, limit=3))  # page after page
    assert len({event.id for event in events}) == len(events) > 6
    assert done.fine_tuned_model in events[0].message
    table = ai.files.content(done.result_files[0]).text.splitlines()
    steps = [line.split(",") for line in table[1:]]
    losses = {
        int(event.data["step"]): event.data["train_loss"]
        for event in events
        if "train_loss" in (event.data or {})
    }
    assert {int(step): float(loss) for step, loss, _ in steps} == losses
    for checkpoint in ai.fine_tuning.jobs.checkpoints.list(done.id):
        assert checkpoint.step_number in losses
    assert [job.id for job in ai.fine_tuning.jobs.list(extra_query={"metadata[a]": "b"})] == [done.id]


@pytest.fixture(scope="module")
def idle(talk, tmp_path_factory):
    served, ai = begun(talk, tmp_path_factory.mktemp("idle"))
    yield ai
    served.end()
    ai.close()


BAD = [
    (b"", "no row"),
    (b"\n\n", "no row"),
    (b'{"messages": [{"role": "user"', "line 1"),
    (CHATS + b"[1]\n", "line 61"),
    (CHATS + b'\n{"messages": []}\n', "line 62"),
    (CHATS + b'{"messages": [{"role": "nobody", "content": "a"}]}\n', "nobody"),
    (CHATS + b'{"messages": [{"role": "user", "content": "a"}]}\n', "line 61"),
    (CHATS + '{"messages": "好"}\n'.encode("gb18030"), "line 61: it is not UTF-8"),
    (CHATS + PAIRS, "one method"),
    (CHATS + b'{"messages": [], "weights": 1}\n', "weights"),
    (PAIRS + b'{"input": {"messages": []}, "preferred_output": [], "non_preferred_output": []}\n', "line 61"),
    (
        lines([{"messages": [user([{"type": "image_url", "image_url": {"url": "/etc/hostname"}}]), answer("a")]}]),
        "line 1: turns hold texts alone",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("raw", "says"), BAD)
def test_rows_that_cannot_be_learnt_are_named_by_line(idle, raw, says):
    with pytest.raises(openai.BadRequestError, match=says):
        idle.files.create(file=("rows.jsonl", raw), purpose="fine-tune")
    assert not list(idle.files.list())


def test_files_are_kept_and_deleted(idle):
    file = idle.files.create(file=("rows.jsonl", CHATS), purpose="fine-tune")
    assert (file.filename, file.bytes, file.status) == ("rows.jsonl", len(CHATS), "processed")
    assert idle.files.content(file.id).content == CHATS
    assert [one.id for one in idle.files.list(purpose="fine-tune")] == [file.id]
    assert idle.files.retrieve(file.id) == file
    assert idle.files.delete(file.id).deleted
    with pytest.raises(openai.NotFoundError):
        idle.files.retrieve(file.id)
    with pytest.raises(openai.NotFoundError):
        idle.files.content("../jobs")
    with pytest.raises(openai.BadRequestError, match="batch"):
        idle.files.create(file=("rows.jsonl", CHATS), purpose="batch")
    words = {"expires_after": {"anchor": "created_at", "seconds": 3600}}
    with pytest.raises(openai.UnprocessableEntityError, match="expires_after"):
        idle.files.create(file=("rows.jsonl", CHATS), purpose="fine-tune", **words)


def test_jobs_that_cannot_be_done_are_refused(idle):
    file = idle.files.create(file=("rows.jsonl", CHATS), purpose="fine-tune")
    words = {"model": "talk", "training_file": file.id}
    for more, error, says in [
        ({"model": "tlak"}, openai.NotFoundError, "talk"),
        ({"model": "/etc"}, openai.NotFoundError, "model"),
        ({"training_file": "file-0"}, openai.NotFoundError, "file-0"),
        ({"method": {"type": "dpo"}}, openai.BadRequestError, "supervised"),
        ({"method": {"type": "reinforcement"}}, openai.UnprocessableEntityError, "type"),
        ({"suffix": "a b"}, openai.UnprocessableEntityError, "suffix"),
        ({"integrations": [{"type": "wandb"}]}, openai.UnprocessableEntityError, "integrations"),
        ({"hyperparameters": {"n_epochs": 0}}, openai.UnprocessableEntityError, "n_epochs"),
        (
            {"method": {"type": "supervised"}, "hyperparameters": {}},
            openai.UnprocessableEntityError,
            "method",
        ),
        ({"method": {"type": "supervised", "dpo": {}}}, openai.UnprocessableEntityError, "dpo"),
    ]:
        with pytest.raises(error, match=says):
            idle.fine_tuning.jobs.create(**words | more)
    with pytest.raises(openai.NotFoundError):
        idle.fine_tuning.jobs.retrieve("ftjob-0")
    with pytest.raises(openai.PermissionDeniedError):
        idle.models.delete("talk")
    assert not list(idle.fine_tuning.jobs.list())
    told = httpx2.get(f"{idle.base_url}fine_tuning/jobs", params={"oder": "asc"})
    assert told.status_code == 422
    assert "oder" in told.text


def test_a_job_that_fails_says_why(talk, tmp_path):
    few = lines([{"messages": [user("good film"), answer("good")]}])
    served, ai = begun(talk, tmp_path)
    try:
        file = ai.files.create(file=("few.jsonl", few), purpose="fine-tune")
        job = ai.fine_tuning.jobs.create(model="talk", training_file=file.id)
        ends = time.monotonic() + 300
        while (found := ai.fine_tuning.jobs.retrieve(job.id)).status in ("queued", "running"):
            assert time.monotonic() < ends
            time.sleep(0.2)
        assert found.status == "failed"
        assert found.error.code
        assert next(iter(ai.fine_tuning.jobs.list_events(job.id))).level == "error"
    finally:
        served.end()
        ai.close()
