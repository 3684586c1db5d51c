"""What the doctor says: findings with places and fixes, and tables of facts.

finding("over_limit", "warning", count=3, limit=512)  ->  Finding(title="Rows longer than the model reads", ...)
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

from weitiao.core.contracts import Record, Shape
from weitiao.core.errors import language

if TYPE_CHECKING:
    from numpy.typing import NDArray

Severity: TypeAlias = Literal["fault", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("fault", "warning", "note")
PLACES = 8  # named in a finding
FIX = "weitiao data check FILE --fix"


@dataclass(frozen=True)
class Finding:
    """One thing that a person should know about the data."""

    code: str
    severity: Severity
    """`fault`: training would fail or teach the wrong thing; `warning`: look at it; `note`: good to know."""
    title: str
    text: str
    count: int
    """Rows concerned; 0 when it concerns all of them."""
    places: list[str] = field(default_factory=list)
    """The first of them, `FILE line N`."""
    fix: str = ""
    """A command, or a setting of the recipe."""


@dataclass
class Diagnosis:
    """All findings, the gravest first, and the tables behind them."""

    shape: str
    rows: int
    findings: list[Finding] = field(default_factory=list)
    tables: dict[str, Any] = field(default_factory=dict)
    mapping: dict[str, str] = field(default_factory=dict)
    """Labels that seem to be spellings of others: what `--fix` rewrites."""
    task: str = ""
    """The task that learns from the rows; empty when none does."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)


@dataclass(slots=True)
class Row:
    """A row on its way past the parts; its texts are taken out once."""

    index: int
    record: Record
    texts: dict[str, str]
    label: str


@dataclass(frozen=True)
class Case:
    """Everything that is known before the rows pass."""

    rows: Sequence[Record]
    shape: Shape
    ledger: Mapping[str, Any]
    splits: Mapping[str, Sequence[int]]
    groups: NDArray[Any] | None
    lengths: Sequence[int] | None
    limit: int | None
    seed: int
    marks: Sequence[str] = ()
    unknown: float | None = None
    written_lost: Sequence[int] = ()
    near_threshold: float = 0.8

    def places(self, indices: Iterable[int]) -> list[str]:
        """Where the first few rows stand."""
        return [self.rows[index].place for index, _ in zip(indices, range(PLACES), strict=False)]


class Part(ABC):
    """Looks for one kind of thing: sees every row once, then tells."""

    shapes: ClassVar[tuple[str, ...]] = ()
    """Names of the shapes it understands; all when empty."""

    def __init__(self, case: Case):
        self.case = case

    @abstractmethod
    def see(self, row: Row) -> None:
        """One row passes."""

    @abstractmethod
    def tell(self, diagnosis: Diagnosis) -> Iterator[Finding]:
        """After the last row: what was found.  Tables are put into the diagnosis."""


class Marked:
    """Rows to which something applies: how many, and the first of them."""

    def __init__(self) -> None:
        self.count = 0
        self.first: list[int] = []

    def add(self, index: int) -> None:
        """This row too."""
        self.count += 1
        if len(self.first) < PLACES:
            self.first.append(index)


def finding(
    code: str, severity: Severity, *, count: int = 0, places: Sequence[str] = (), fix: str = "", **values: Any
) -> Finding:
    """A finding with its title and text in the reader's language; `values` fill the placeholders."""
    words = table()["findings"][code][language()]
    text = words["text"].format(count=f"{count:,}", **values)
    return Finding(code, severity, words["title"], text, count, list(places[:PLACES]), fix)


@cache
def table() -> dict[str, Any]:
    """`words.yaml`: {findings: {code: {en: {title, text}, zh: ...}}, page: {name: [English, Chinese]}}."""
    import yaml

    loaded: dict[str, Any] = yaml.safe_load(
        resources.files(__package__).joinpath("words.yaml").read_text(encoding="utf-8")
    )
    return loaded


def words() -> dict[str, str]:
    """Name -> label in the reader's language."""
    column = ("en", "zh").index(language())
    return {name: pair[column] for name, pair in table()["page"].items()}


def percent(part: float, whole: float = 1.0) -> str:
    """`part` of `whole`, such as `12 %`; small shares get a digit more."""
    share = 100 * part / whole if whole else 0.0
    return f"{share:.1f} %" if 0 < share < 10 else f"{share:.0f} %"
