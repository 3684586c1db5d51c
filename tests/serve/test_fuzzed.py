"""Requests that are made of the OpenAPI page: whatever they hold, an answer that the page tells, and no fault of ours."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings

from tests.serve.conftest import Listening, listening
from weitiao.serve.guard import Limits

pytestmark = pytest.mark.whole

FEW = settings(
    max_examples=5,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def fuzzed(labels, talk, tmp_path_factory) -> Iterator[Listening]:
    """All routes, those that tune and those that load too."""
    tuning = (
        tmp_path_factory.mktemp("tuned"),
        None,
        None,
    )  # nobody guesses the name of a file that was uploaded
    words: dict[str, Any] = {"timeout_s": 20.0, "longest": 4, "limits": Limits(body_mb=0.2)}
    found = listening(labels["first"], talk, adapters=labels["first"].path.parent, tuning=tuning, **words)
    yield found
    found.end()


def asking(operation: Any, address: str, heard: Callable[[Any, Any], None]) -> Callable[[], None]:
    """Asks one route some times."""

    @FEW
    @given(case=operation.as_strategy())
    def ask(case) -> None:
        heard(case, case.call(base_url=address))

    return ask


def test_no_request_that_can_be_made_of_the_page_meets_a_fault(fuzzed):
    schema = schemathesis.openapi.from_dict(httpx2.get(f"{fuzzed.address}/openapi.json").json())
    asked: Counter[str] = Counter()
    wrong: list[str] = []

    def heard(case, answer) -> None:
        name, known = case.operation.label, {str(each) for each in case.operation.definition.raw["responses"]}
        asked[name] += 1
        if answer.status_code >= 500 or str(answer.status_code) not in known:
            wrong.append(f"{name} {answer.status_code} {case.body!r:.300} {answer.text:.300}")

    for operation in schema.get_all_operations():
        asking(operation.ok(), fuzzed.address, heard)()
    assert not wrong, "\n".join(wrong)
    assert len(asked) > 25
