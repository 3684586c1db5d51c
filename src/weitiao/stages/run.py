"""A run folder and what can be done with it: predict, answer, explain; looking is `recorded.py`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from weitiao.core import registry
from weitiao.core.contracts import Example, Method, Record, Task
from weitiao.core.errors import WeitiaoError, fault
from weitiao.core.why import because
from weitiao.data.overlong import as_read
from weitiao.stages import asking, judging, pictures, prompts
from weitiao.stages.asking import Questions
from weitiao.stages.beginning import began
from weitiao.stages.events import Tell, labelling
from weitiao.stages.for_use import for_use
from weitiao.stages.leaving import Leaving

if TYPE_CHECKING:
    from weitiao.evaluate.explain.explanation import Explanation
    from weitiao.models.load import Loaded
    from weitiao.stages.speaker import Speaker
    from weitiao.stages.stress import Stress

LOADED = ("task", "method", "tuned", "columns")
AT_ONCE = 4096
"""Rows that are encoded and asked before their answers are handed on."""


@dataclass(repr=False)
class Run(Leaving):
    """A run folder and what can be done with it."""

    device: str = field(default="")
    positions: int | None = None
    """Positions that all adapters in use take from a row; default: those of the run's own method."""
    before_tuning: bool = False
    """Is its model the one before tuning (`untuned`)?"""

    def judged(self, where: str) -> Run:
        """The same run with its results looked for elsewhere in its folder; a model that is loaded stays loaded."""
        same = replace(self, judged_in=where)
        same.__dict__ |= {name: self.__dict__[name] for name in LOADED if name in self.__dict__}
        return same

    @cached_property
    def task(self) -> Task:
        """The task with what the data taught it (its labels)."""
        from weitiao.models.cards import read_card

        return registry.build("task", read_card(self.folder.model)["task"])

    @cached_property
    def tuned(self) -> Loaded:
        """The tuned model, loaded from the folder once."""
        from weitiao.models.load import pick_device
        from weitiao.models.store import load_tuned, open_base

        self.device = self.device or pick_device()
        recipe = self.recipe
        if self.variant:
            words: dict[str, Any] = {"device": self.device, "longest": recipe.data.max_length}
            plain = open_base(str(self.path / self.variant), self.task, half=recipe.train.half, **words)
            return for_use(plain, half=recipe.train.half)
        loaded = load_tuned(
            self.folder.model,
            ref=recipe.model,
            task=self.task,
            method=self.method,
            base=self.base,
            half=recipe.train.half,
            seed=recipe.seed,
            device=self.device,
            longest=recipe.data.max_length,
        )
        return for_use(loaded, half=recipe.train.half)

    @cached_property
    def method(self) -> Method:
        """How it was tuned: as the model's card says, whatever has become of the recipe since."""
        from weitiao.models.cards import read_card

        return registry.build("method", read_card(self.folder.model)["method"])

    def where_base_lies(self) -> str:
        """The folder, name or hub id of the model that was tuned, as it is found now.

        Raises:
            WeitiaoError: `base_gone`, `wrong_base`.
        """
        from weitiao.models import bases
        from weitiao.models.cards import read_card

        known = read_card(self.folder.model)["base"]
        return bases.found(self.path, known, ref=self.recipe.model, said=self.base)

    @contextmanager
    def untuned(self) -> Iterator[Run]:
        """The same run with the model as it was before: the base, and a head as it was drawn, or what it began with (`start_from`).

        Where a method has put modules into the base its model is that of this run, with all of it turned off while this
        lasts.
        """
        from weitiao.models.store import open_base

        loaded, recipe = self.tuned, self.recipe
        if loaded.before is not None and not self.began_with:
            same = replace(self, before_tuning=True)
            same.__dict__ |= {"task": self.task.unsettled(), "tuned": loaded}
            with self.method.off(loaded.model, loaded.before):
                yield same
            return
        before = Run(self.folder, device=self.device, before_tuning=True)
        half, longest = recipe.train.half, recipe.data.max_length
        words: dict[str, Any] = {"half": half, "seed": recipe.seed, "device": self.device, "longest": longest}
        base = began(self) if self.began_with else open_base(self.where_base_lies(), self.task, **words)
        before.__dict__ |= {"task": self.task.unsettled(), "tuned": for_use(base, half=half)}
        yield before

    @cached_property
    def columns(self) -> frozenset[str]:
        """The columns of its task that its rows had: one text, or two."""
        from weitiao.models.cards import read_card

        # Runs of older versions do not say it; their texts stood alone unless the recipe names a second column.
        unsaid = {*self.task.record(""), *self.recipe.data.columns}
        return frozenset(read_card(self.folder.model).get("columns", unsaid))

    def predict(
        self,
        texts: Any,
        *,
        columns: Mapping[str, str] | None = None,
        progress: Callable[[int, int], None] | None = None,
        max_new_tokens: int = 200,
        skip_unusable: bool = False,
    ) -> list[dict[str, Any]]:
        """One prediction a row: {"label", "score", "scores"}, or {"answer", "ending"} where the task generates.

        Args:
            texts: a text, texts, rows (dicts), a pandas table or Series, a `datasets.Dataset`, a `pyarrow.Table`, or
                the path of a file.  Where the task generates, rows of its data less the answer, too: turns, lists of
                turns, columns such as `prompt`, `messages` or `instruction`; an answer that is there is not read.
                Where answers are judged, rows with `prompt` and `completion` (or turns that end with the answer), or with
                `chosen` and `rejected`.
            columns: which of their columns to read, as the recipe's `data.columns`: `{"text": "body"}`.  Without it,
                the one that the recipe names, or else the one called as the task calls it.
            progress: hears (texts done, texts); without it a bar says how it goes, if that takes long.
            max_new_tokens: longest answer.
            skip_unusable: of a row that cannot be asked, such as an empty text, say {"unusable": why} instead of refusing
                them all.

        Raises:
            WeitiaoError: `not_texts`, `bad_given`, `no_asked_column`; what reading a file raises; `unfinished_run`,
                `broken_model`.
        """
        questions = replace(self.asked(texts, columns), skips=skip_unusable)
        with nullcontext(progress) if progress else labelling(self.recipe) as heard:
            found = self.answers(questions, progress=heard, max_new_tokens=max_new_tokens)
            return [answer for _, answer in found]

    def asked(self, texts: Any, columns: Mapping[str, str] | None = None) -> Questions:
        """What is to be labelled or answered, as this run's task reads it; the arguments are those of `predict`.

        Raises:
            WeitiaoError: as `predict`.
        """
        room = prompts if self.task.generates else judging if self.task.shape.turns else asking
        shows = bool({*self.task.shape.pictures} - {self.task.shape.target})
        return (pictures if shows else room).asked(texts, self, columns)

    def answers(
        self,
        questions: Questions,
        *,
        progress: Callable[[int, int], None] | None = None,
        max_new_tokens: int = 200,
    ) -> Iterator[tuple[Record, dict[str, Any]]]:
        """Every row as it came and its prediction, some thousands at a time: a file may be larger than memory.  Where
        `questions.skips`, one that cannot be asked says {"unusable": why}.

        Raises:
            WeitiaoError: as `predict`, before the first prediction.
        """
        total, done = questions.count(), 0

        def heard(part: int, _: int) -> None:
            if progress:
                progress(done + part, total)

        rows = questions.rows()
        while came := list(islice(rows, AT_ONCE)):
            unusable = [questions.why_not(row) for row in came]
            part = [
                (row, questions.convert(row))
                for row, why in zip(came, unusable, strict=True)
                if isinstance(row, Record) and not why
            ]
            if self.task.generates and part:
                told = self.speaker.answers(
                    [record.values["messages"] for _, record in part],
                    tools=[record.values.get("tools") for _, record in part],
                    max_new_tokens=max_new_tokens,
                    progress=heard,
                )
            else:
                told = self._predict(self._encoded(part, total), heard) if part else []
            shown = (
                self.task.sure(self.task.shown(row, answer))
                for (_, row), answer in zip(part, told, strict=True)
            )
            for row, why in zip(came, unusable, strict=True):
                if isinstance(row, Record):
                    yield row, {"unusable": why} if why else next(shown)
            done += len(came)

    def _encoded(self, part: Sequence[tuple[Record, Record]], total: int) -> list[Example]:
        examples = [example for _, example in self.read([record for _, record in part])]
        for (came, _), example in zip(part, examples, strict=True):
            if example.refused:
                place = came.place if came.file else str(came.line)
                raise fault("bad_given", count=1, total=total, rows=f"  {place}: {example.refused}")
        return examples

    def explain(
        self,
        texts: Any,
        *,
        asked: Sequence[str] = (),
        similar: int = 0,
        steps: int | None = None,
        attention: bool = False,
        columns: Mapping[str, str] | None = None,
        max_new_tokens: int = 200,
    ) -> list[Explanation]:
        """Of each row what its words add to what is predicted (integrated gradients), with a check.

        Args:
            texts: as `predict` takes them.
            asked: what is explained: labels; spans by their type or words; words of an answer.  Default: what is predicted.
            similar: so many training rows that the model sees as most alike stand beside each; what it sees in the training
                rows is computed once and kept in the run folder.
            steps: of the integral, at most: more make the gap smaller.  Default: 256, and fewer where model and row are
                large.
            attention: show where the model looks, too: a picture, with its warning.
            columns: as `predict`.
            max_new_tokens: longest answer, where the task generates.

        Raises:
            WeitiaoError: `missing_extra` without captum; `no_such_target`, `nothing_to_explain`, `not_followed`; as `predict`.
        """
        from weitiao.stages.explain import explain

        words: dict[str, Any] = {"columns": columns, "max_new_tokens": max_new_tokens}
        return explain(self, texts, asked=asked, similar=similar, steps=steps, attention=attention, **words)

    def stress(
        self,
        *,
        rows: int = 1000,
        rate: float | None = None,
        untuned: bool = True,
        group_column: str = "",
        groups: str | Path = "",
        tell: Tell | None = None,
    ) -> Stress:
        """Ask the model its locked test rows again, written otherwise and with gender, names and origin swapped.

        Args:
            rows: at most so many test rows are asked, drawn by the run's seed.
            rate: share of the letters (or words) that typing errors, homophones and synonyms change; default: 0.05, and
                0.1 of synonyms.
            untuned: ask the model as it was before tuning, too.
            group_column: a column of the rows' files: gaps between its groups are looked at, too.
            groups: a file that has this column beside the texts of the rows, instead of theirs.
            tell: hears how it goes; without it a bar or lines on standard error say so.

        Returns:
            What was found, whose `results` lie in `stress.json` beside the run's results.

        Raises:
            WeitiaoError: `unfinished_run`, `stress_without_test`, `wrong_usage`, `no_such_by`; what loading and reading raise.
        """
        from weitiao.stages.stress import stress

        words: dict[str, Any] = {"group_column": group_column, "groups": groups, "tell": tell}
        return stress(self, rows=rows, rate=rate, untuned=untuned, **words)

    def read(self, records: Sequence[Record]) -> list[tuple[int, Example]]:
        """Rows as its model reads them, and how many tokens each would have if nothing were cut."""
        return list(as_read(self.task, records, self.tuned.processor, self.recipe.data, limit=self.limit))

    def _predict(
        self, examples: Sequence[Example], progress: Callable[[int, int], None] | None
    ) -> list[dict[str, Any]]:
        return self.task.together(self.alone(examples, progress), examples)

    def alone(
        self, examples: Sequence[Example], progress: Callable[[int, int], None] | None
    ) -> list[dict[str, Any]]:
        """What is said of each row, before rows are each other's candidates (`Task.together`)."""
        from weitiao.evaluate.predict import numberless, predict
        from weitiao.stages import reference
        from weitiao.train import memory

        train = self.recipe.train
        found = predict(
            self.tuned,
            self.task,
            examples,
            batch_size=train.per_device_eval_batch_size,
            longest=self.limit,
            device=self.device,
            half=train.half,
            progress=progress,
            reference=reference.of(self, examples),
            teacher=reference.teacher(self.recipe, self.task, self.device),
        )
        memory.trim()  # what the batches took: whoever comes next, a baseline or a page, takes its own
        if any(map(numberless, found)):
            raise fault("no_numbers", ref=self.path)
        return found

    @property
    def limit(self) -> int:
        """Tokens of a row that its model reads at once; the untuned model is asked the same rows, cut at the same place."""
        return min(self.recipe.data.max_length or self.most, self.most)

    @property
    def most(self) -> int:
        """Tokens that its model could read at once."""
        return self.tuned.limit - (self.method.positions if self.positions is None else self.positions)

    def answer(
        self, messages: str | Sequence[Mapping[str, Any]], *, max_new_tokens: int = 200, **options: Any
    ) -> str:
        """The tuned model's next turn (generative tasks), rendered by the template that training used.

        Args:
            messages: turns, or the user's words alone.
            max_new_tokens: longest answer.
            options: those of `Speaker.answer`: `sample`, `temperature`, `top_k`, `top_p`, `seed`, `tools`, `streamer`.

        Raises:
            WeitiaoError: `wrong_usage` for a task that labels, or a number out of its range; `chat_template`.
        """
        if not self.task.generates:
            raise labels_alone(self.path)
        return self.speaker.answer(messages, max_new_tokens=max_new_tokens, **options)

    @property
    def speaker(self) -> Speaker:
        """The model as one that answers, with no more in memory than a pass of training held."""
        from weitiao.models import two_sides
        from weitiao.stages.speaker import KEPT_PER_TRAINED, Speaker

        train, known = self.recipe.train, self.folder.json("data/ledger.json").get("tokens") or {}
        longest = min(known.get("max", self.limit), known.get("limit", self.limit))
        kept = 1 if train.activation_checkpointing else KEPT_PER_TRAINED
        return Speaker(
            self.tuned,
            self.task,
            self.device,  # which loading it decides
            train.half,
            # Who writes on another side reads sources as they were learnt, cut at the same place.
            limit=self.limit if two_sides.writes(self.tuned.model) else self.most,
            rows=train.per_device_eval_batch_size,
            tokens=kept * train.per_device_train_batch_size * longest,
        )


def labels_alone(run: str | Path) -> WeitiaoError:
    """The error for a run that is to answer and labels."""
    return fault("wrong_usage", **because("labels_only", run=run))
