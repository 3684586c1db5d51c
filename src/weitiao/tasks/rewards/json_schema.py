"""JSON of a kind: 1 where the answer is JSON that keeps to a schema, else 0."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from weitiao.core.contracts import Answered, Rate, Reward
from weitiao.core.errors import fault, need
from weitiao.core.registry import register
from weitiao.core.why import reason

KEY = "task.rewards.schema"


@register("reward", "json_schema")
@dataclass(frozen=True)
class JsonSchema(Reward):
    """The answer is JSON that keeps to a JSON Schema, and nothing else."""

    schema: dict[str, Any] | str
    """The schema, or the path of a JSON file that holds it; its `$schema` says the draft, by default 2020-12."""

    summary: ClassVar[str] = "1 where the answer is JSON that keeps to a schema"

    def ready(self) -> Rate:
        """Raises `missing_extra` without the library `jsonschema`, `wrong_value` for what is no schema."""
        jsonschema = need("jsonschema", extra="rewards")
        schema = self._read()
        kind = jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)
        try:
            kind.check_schema(schema)
        except jsonschema.SchemaError as error:
            raise self._wrong(error.message) from None
        # With a registry of its own nothing is fetched for a `$ref` that leads elsewhere.
        of = kind(schema, registry=need("referencing", extra="rewards").Registry()).is_valid

        def rate(answers: Sequence[Answered]) -> list[float]:
            return [float(_keeps(one.answer, of)) for one in answers]

        return rate

    def _read(self) -> Any:
        if not isinstance(self.schema, str):
            return self.schema
        try:
            found = json.loads(Path(self.schema).read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise self._wrong(str(error)) from None
        if not isinstance(found, dict | bool):
            raise self._wrong(type(found).__name__)
        return found

    def _wrong(self, said: str) -> Exception:
        return fault("wrong_value", key=KEY, value=str(self.schema)[:80], why=reason("no_schema", error=said))


def _keeps(answer: str, valid: Any) -> bool:
    try:
        return bool(valid(json.loads(answer)))
    except (ValueError, RecursionError):  # no JSON, or nested beyond reason
        return False
