"""What a model does with rows beside each other: measured when it is opened, not believed of its family.

    examine(model, task, processor)  ->  Examined(layout=PACKED, attention="weitiao_rows")

    [a] [b]        each alone, by the model's own attention     the truth
    [a b]          end to end                                   must give the same
    [a], [b . .]   filled up on the right                       must give the same
    [z b]          another last word in a                       may change nothing in b, and nothing before it in a

The first layout that gives the same is taken, with the first attention function that does: rows end to end with ours
(`models.attention`), else filled up with Transformers' fused one, else with the plain one.  A language model in which
an early word hears a later one is none, whatever its name: it is refused.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

from weitiao.core.contracts import Task
from weitiao.core.errors import WeitiaoError, fault
from weitiao.core.why import reason
from weitiao.data.layout import Layout
from weitiao.data.pack import pad
from weitiao.models import attention, end_to_end, inputs, positions, reach, seeing, two_sides
from weitiao.models.memory_ran_out import ran_out

Made = TypeVar("Made")
LONG, SHORT = 7, 4
"""Words of the two rows."""
SAME, HEARD = 1e-4, 1e-5
"""How far a token's scores may be from the truth, as a share of their norm; and how far two passes of one shape that
differ in a word that must not be heard.  In float32 another order of sums gives 1e-7 to 1e-5 (experts get other words
then, all else is the same bit for bit); a leak, a lost mask or position gave 2e-3 to 1 in every family looked at."""
HALVES = (torch.float16, torch.bfloat16)
_BESIDE = {Layout.ALIKE: [0, 2], Layout.ALONE: [0]}
"""Which of the rows are laid beside each other, where it is not the long one and the short one."""
OTHERS = (AttributeError, KeyError, TypeError, ValueError)
"""What a model's own code says to an attention that it was not made for."""
UNSUITED = ("not_causal", "model_fails", "no_numbers")
"""What another attention function may mend."""


@dataclass(frozen=True)
class Examined:
    """What was found."""

    layout: Layout
    attention: str
    """The attention function that the model has now."""
    apart: float | None = None
    """How far rows laid as the task would have them were from rows alone; None where they could not be laid so."""
    bend: int | None = None
    """Rows of up to so many tokens are all read alike, longer ones otherwise; None where none is longer."""

    shares: bool = True
    """May what rows begin with stand once (`models.sharing`)?  Asked of small models alone; of others when rows are stacked."""
    small: bool = False
    """Was it a small model of its kind that was looked at (`models.miniature`)?"""

    def notices(self, ref: str, *, packs: bool) -> list[str]:
        """What a user should know, in their language; nothing where rows lie as the task has them."""
        if self.layout is (Layout.PACKED if packs else Layout.PADDED):
            return []
        if self.apart is None:
            why = reason("rows_unread")
        else:
            why = reason("rows_off_small" if self.small else "rows_off", apart=f"{self.apart:.2%}")
        now = reason(f"lie_{self.layout}") + (reason("rows_bend", bend=self.bend) if self.bend else "")
        return [reason("layout_changed", ref=ref, beside=_beside(packs=packs), why=why, now=now)]


def _beside(*, packs: bool) -> str:
    """How rows lie beside each other, where the task has it so."""
    return reason("lie_packed" if packs else "lie_padded")


def attentions(task: Task, device: Any, config: Any = None) -> list[str]:
    """Names of attention functions, in the order in which a model (of that configuration) is opened with them."""
    packs = task.packs if config is None else seeing.packs(config, task)
    ours = [attention.register()] if packs and str(device).startswith(("cpu", "cuda")) else []
    return [*ours, "sdpa", "eager"]


def first(names: Sequence[str], make: Callable[[str], Made]) -> Made:
    """What can be made with the first of these attention functions that the model's code takes, and is itself with."""
    *others, last = names
    for name in others:
        try:
            return make(name)
        except WeitiaoError as error:
            # Opening says what Transformers said.
            if error.code not in UNSUITED and not isinstance(error.__cause__, OTHERS):
                raise
        except OTHERS:
            pass  # a model's own code, with an attention that it was not made for
    return make(last)


def unknown(ref: str, *, packs: bool) -> str:
    """What a user should know where nothing could be measured yet."""
    return reason("layout_unknown", ref=ref, beside=_beside(packs=packs))


def expected(task: Task, config: Any, name: str) -> Layout:
    """How rows would lie in a model of which only the shape is known."""
    return Layout.PACKED if seeing.packs(config, task) and name != "eager" else Layout.PADDED


def examine(model: Any, task: Task, processor: Any, *, ref: str, longest: int | None = None) -> Examined:
    """Find the best layout of rows and the attention function for it, and give the model that function.

    Args:
        model: as it was opened, with its weights.
        task: what it is for.
        processor: its tokenizer.
        ref: the model's name in errors.
        longest: tokens of the longest row that it will read; default: as many as it has positions for.

    Raises:
        WeitiaoError: `not_causal`; `no_numbers`; `model_fails` when it cannot read a row, or answers differently each time.
    """
    device = next(model.parameters()).device
    looks = _Looks(model, processor, reads_on=task.auto_class == "AutoModelForCausalLM")
    packs = seeing.packs(model.config, task)
    names = [name for name in attentions(task, device.type, model.config) if attend(model, name)]
    names = names or [model.config._attn_implementation]
    most = positions.limit(model.config, processor) if processor is not None else positions.UNLIMITED
    most = min(longest or most, most)
    with examined(model), reach.shortened(model, to=len(looks.rows[1]), longest=most) as bend:
        try:
            attend(model, "eager")
            truth = [looks.alone(place) for place in range(len(looks.rows))]
        except Exception as error:  # a model's own code, on a plain row
            if ran_out(error):
                raise  # no fault of the model's
            raise fault("model_fails", ref=ref, why=first_line(error)) from error
        if not all(bool(each.isfinite().any()) for each in truth):
            raise fault("no_numbers", ref=ref)
        hears, off = False, None
        wished = Layout.PACKED if packs else Layout.PADDED
        for layout, name in _orders(model, names, packs=packs, cpu=device.type == "cpu"):
            attend(model, name)
            apart, heard = looks.try_(layout, truth)
            if layout is wished and off is None and math.isfinite(apart):
                off = max(apart, heard)
            if apart <= SAME and heard <= HEARD:
                return Examined(layout, name, off, bend)
            hears |= apart <= SAME
    if hears:
        raise fault("not_causal", ref=ref, kind=model.config.model_type)
    raise fault("model_fails", ref=ref, why=looks.why)


def attends_alike(model: Any, name: str) -> bool:
    """Does the model give the same with that attention function?  It has it afterwards; without weights, or without words
    to read, nobody knows."""
    if next(model.parameters()).is_meta or not inputs.takes(model, "input_ids"):
        model.set_attn_implementation(name)
        return True
    looks = _Looks(model, None, reads_on=False)
    with examined(model), reach.shortened(model, to=SHORT, longest=positions.UNLIMITED):
        try:
            before = looks.alone(0)
            return attend(model, name) and distance(looks.alone(0), before) <= SAME
        except Exception as error:  # a model's own code, with an attention that it was not made for
            if ran_out(error):
                raise  # no fault of the model's
            return False


def scores(model: Any, task: Task, processor: Any, layout: Layout, *, room: int) -> list[Tensor]:
    """What the model says, as it is now, to a few rows of at most `room` tokens that lie in that layout: (T, V) or (1, L)
    of each."""
    looks = _Looks(model, processor, reads_on=task.auto_class == "AutoModelForCausalLM")
    written = [row[:room] for row in looks.written]
    return looks.laid(layout, [row[:room] for row in looks.beside(layout)], written)


def _orders(model: Any, names: Sequence[str], *, packs: bool, cpu: bool) -> Iterator[tuple[Layout, str]]:
    """Layouts with the functions for them, the cheapest first."""
    if packs:
        # On a CPU Transformers' own would compute all pairs of the whole sequence to mask most of them away.
        able = (attention.ROWS,) if cpu else (attention.ROWS, "sdpa")
        yield from ((Layout.PACKED, name) for name in names if name in able)
    # Rows with two sides are not known by one length.
    alike = () if two_sides.writes(model) else (Layout.ALIKE,)
    for layout in (Layout.PADDED, *alike, Layout.ALONE):
        yield from ((layout, name) for name in names if name != attention.ROWS or len(names) == 1)


class _Looks:
    """Rows of a few words, and what the model says to them."""

    def __init__(self, model: Any, processor: Any, *, reads_on: bool):
        self.model, self.reads_on = model, reads_on
        self.writes = two_sides.writes(model)
        """Has it a side that it writes?  To each row there is then another one to be written, of another length."""
        self.device = next(model.parameters()).device
        words = plain_words(model.config, processor)
        marks = [] if processor is None or reads_on else list(processor("")["input_ids"])
        half = len(marks) // 2
        before, behind = marks[:half], marks[half:]
        count = 2 * LONG + SHORT + 1
        some = (words * count)[:count]
        a, b, c, z = some[:LONG], some[LONG:][:SHORT], some[-LONG - 1 : -1], some[-1:]
        self.rows = [before + row + behind for row in (a, b, c)]
        """Two rows of one length with a shorter one between them."""
        self.other = z[0]
        self.changed = [before + a[:-1] + z + behind, *self.rows[1:]]
        """The same with another last word in the first."""
        begins = [getattr(model.config, "decoder_start_token_id", None)]
        begins = [token for token in begins if isinstance(token, int)]
        self.written = [[*begins, *self.rows[row][len(begins) :]] for row in (1, 2, 0)]
        """What the decoder reads of what is written of each."""
        self.why = reason("scores_not_repeated")
        """Why rows cannot be laid as they were last."""
        self.padding = (processor.pad_token_id or 0) if processor is not None else 0

    def alone(self, place: int) -> Tensor:
        """Scores of one row (T, V), or (1, L)."""
        return self._scores([self.rows[place]], [self.written[place]])[0]

    def beside(self, layout: Layout) -> list[list[int]]:
        """Rows that may share a pass."""
        return [self.rows[row] for row in _BESIDE.get(layout, [0, 1])]

    def try_(self, layout: Layout, truth: Sequence[Tensor]) -> tuple[float, float]:
        """How far rows so laid are from the truth, and how far what must not hear a word is changed by it."""
        beside = _BESIDE.get(layout, [0, 1])
        try:
            found = self.laid(layout, self.beside(layout))
            apart = max(distance(x, truth[row]) for x, row in zip(found, beside, strict=True))
            if (
                layout is Layout.PADDED
            ):  # which often holds rows of one length: Transformers leaves the mask out then
                apart = max(apart, distance(self.alone(0), truth[0]))
            again = self.laid(layout, [self.changed[row] for row in beside])
            later = self._later(layout, found)
        except Exception as error:  # a model's own code, on rows as it does not know them
            if ran_out(error):
                raise  # rows would lie otherwise for ever after
            self.why = first_line(error)
            return math.inf, 0.0
        before = slice(0, -1 if self.reads_on else 0)
        heard = max(distance(again[0][before], found[0][before]), *map(distance, again[1:], found[1:]), 0.0)
        return apart, max(heard, later)

    def _later(self, layout: Layout, found: Sequence[Tensor]) -> float:
        """How far another last word that is written changes what is said before it, or of other rows."""
        if not self.writes:
            return 0.0
        first, *others = self.written
        again = self.laid(layout, self.beside(layout), [[*first[:-1], self.other], *others])
        return max(distance(again[0][:-1], found[0][:-1]), *map(distance, again[1:], found[1:]), 0.0)

    def laid(
        self, layout: Layout, rows: list[list[int]], written: list[list[int]] | None = None
    ) -> list[Tensor]:
        """Scores of rows in that layout; `written` is what is written of each, where that is another side."""
        written = (written or self.written)[: len(rows)]
        if layout is not Layout.PACKED:
            return self._scores(rows, written)
        sizes = [len(row) for row in rows]
        ids = torch.tensor([sum(rows, [])], device=self.device)
        places = torch.tensor([[place for size in sizes for place in range(size)]], device=self.device)
        ends = torch.tensor([0, *sizes]).cumsum(0)
        if self.writes:
            sizes = [len(row) for row in written]
            own = torch.tensor([sum(written, [])], device=self.device)
            behind = torch.tensor([0, *sizes]).cumsum(0)
            (logits,) = scored(end_to_end.said(self.model, ids, own, read=ends, written=behind)).float()
        else:
            (logits,) = self._ask(input_ids=ids, position_ids=places, cu_seq_lens_q=ends)
        return list(logits.split(sizes))

    def _scores(self, rows: list[list[int]], written: list[list[int]]) -> list[Tensor]:
        """Of rows filled up to the longest."""
        words = {
            "input_ids": pad(rows, self.padding),
            "attention_mask": pad([[1] * len(row) for row in rows], 0),
        }
        if self.writes:
            words["decoder_input_ids"] = pad(written, self.padding)
        logits = self._ask(**{name: each.to(self.device) for name, each in words.items()})
        if logits.dim() == 2:  # one answer a row
            return list(logits[:, None])
        said = written if self.writes else rows
        return [each[: len(row)] for each, row in zip(logits, said, strict=True)]

    def _ask(self, **words: Any) -> Tensor:
        if self.reads_on or self.writes:
            words["use_cache"] = False
        return scored(self.model(**words)).float()


def scored(said: Any) -> Tensor:
    """What a model says of its rows: its `logits`; scores of several names, one a token each (where an answer begins, where
    it ends), side by side (B, T, K); else what it names first."""
    if "logits" in said:
        return said["logits"]
    of_tokens = [scores for name, scores in said.items() if name.endswith("_logits")]
    return torch.stack(of_tokens, -1) if of_tokens else said[0]


def plain_words(config: Any, processor: Any) -> list[int]:
    """Ids that are words, from all over the vocabulary."""
    size = int(getattr(config.get_text_config(), "vocab_size", 0) or 64)
    marks = [value for key, value in config.to_dict().items() if key.endswith(("_token_id", "_token_index"))]
    special = {mark for each in marks for mark in (each if isinstance(each, list) else [each])}
    special |= set(processor.all_special_ids) if processor is not None else set()
    spread = [place * size // 64 for place in range(1, 64)] if size >= 64 else list(range(size))
    found = sorted({word for word in spread if word not in special})
    return found or [0]


def distance(x: Tensor, truth: Tensor) -> float:
    """The largest difference of a token's scores, as a share of their norm."""
    if x.shape != truth.shape:
        return math.inf
    if not len(x):
        return 0.0
    gap = torch.where(x == truth, 0.0, x - truth)  # a score may be minus infinity in both
    share = gap.norm(dim=-1) / truth.where(truth.isfinite(), 0.0).norm(dim=-1).clamp(min=1e-12)
    return share.max().nan_to_num(math.inf).item()


def attend(model: Any, name: str) -> bool:
    """Give the model that attention function, if its code takes one."""
    if model.config._attn_implementation != name:
        try:
            model.set_attn_implementation(name)
        except (ValueError, ImportError):
            return False
    return bool(model.config._attn_implementation == name)


@contextmanager
def examined(model: Any) -> Iterator[None]:
    """In evaluation mode and without gradients; chance stays as it is."""
    training = model.training
    halves = any(weight.dtype in HALVES for weight in model.parameters())
    model.eval()
    try:
        with torch.no_grad(), torch.random.fork_rng(), Exactly() if halves else nullcontext():
            yield
    finally:
        model.train(training)


class Exactly(TorchDispatchMode):
    """Weights that are stored in half precision are computed with in float32, one after the other: deep models round by
    8 % in bfloat16, and a leak may be smaller."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """An operation, on float32 where it would be on halves."""
        kwargs = dict(kwargs or {})
        if func._schema.is_mutable:  # what is written into must stay itself
            return func(*args, **kwargs)
        if kwargs.get("dtype") in HALVES:
            kwargs["dtype"] = torch.float32
        return func(*tree_map(_whole, args), **tree_map(_whole, kwargs))


def _whole(found: Any) -> Any:
    return found.float() if isinstance(found, Tensor) and found.dtype in HALVES else found


def first_line(error: Exception) -> str:
    """What an error says, in one line."""
    lines = [line for line in str(error).strip().splitlines() if line.strip()]
    return lines[0].strip().rstrip(".") if lines else type(error).__name__
