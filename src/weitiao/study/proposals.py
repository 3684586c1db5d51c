"""Optuna proposes settings and keeps what became of them; which runs they are, and in which order, is ours.

    book = Proposals.opened(folder, dimensions, how="tpe", maximize=[True], seed=0, trials=20)
    book.ask(own)                ->  (3, {"train.learning_rate": 0.0002})     stored before it comes back
    book.tell(3, [0.87])         ->  stored; later proposals go by it

One process at a time has the folder, so the journal needs no lock of its own; what a process that was killed left half
written at its end is cut off.  Every proposal draws from the seed and its own number: a search that goes on proposes what
it would have proposed.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from weitiao.core.errors import need
from weitiao.study.space import DIGITS, Dimension, grid

FILE = "optuna.journal"
NAME = "search"
BIRTH = "birth"
"""The attribute of a copy that says where it is from."""


NEAR = ("tpe", "gp", "asha", "hyperband")
"""Ways whose first proposals lie around the recipe's own values, where a model of the trials then looks for better ones."""


def _first(trials: int) -> int:
    """Trials before a model is made of them: half of few, and never more than Optuna's own ten."""
    return min(10, max(3, trials // 2))


def _random(optuna: Any, seed: int, trials: int) -> Any:
    return optuna.samplers.RandomSampler(seed=seed)


def _tpe(optuna: Any, seed: int, trials: int) -> Any:
    # Settings that a trial has together are modelled together; those of other methods apart.
    return optuna.samplers.TPESampler(
        seed=seed, n_startup_trials=_first(trials), multivariate=True, group=True, constant_liar=True
    )


def _gp(optuna: Any, seed: int, trials: int) -> Any:
    # Scores of trainings have noise of their own.
    return optuna.samplers.GPSampler(
        seed=seed, n_startup_trials=_first(trials), deterministic_objective=False
    )


def _cmaes(optuna: Any, seed: int, trials: int) -> Any:
    need("cmaes", extra="study")
    return optuna.samplers.CmaEsSampler(
        seed=seed, n_startup_trials=_first(trials), warn_independent_sampling=False
    )


def _evolution(optuna: Any, seed: int, trials: int) -> Any:
    # Optuna's fifty parents are more than most searches have trials: five generations at least.
    return optuna.samplers.NSGAIISampler(seed=seed, population_size=min(50, max(4, trials // 5)))


SAMPLERS: dict[str, Callable[[Any, int, int], Any]] = {
    "grid": _random,  # which is asked nothing: every value is given
    "random": _random,
    "tpe": _tpe,
    "gp": _gp,
    "cmaes": _cmaes,
    "evolution": _evolution,
    "asha": _tpe,
    "hyperband": _tpe,
    "pbt": _random,  # the first members; then copies are changed
}


@dataclass
class Proposals:
    """The study that Optuna keeps."""

    study: Any
    storage: Any
    dimensions: Sequence[Dimension]
    how: str
    seed: int
    trials: int

    @classmethod
    def opened(
        cls,
        folder: Path,
        dimensions: Sequence[Dimension],
        *,
        how: str,
        maximize: Sequence[bool],
        seed: int,
        trials: int,
    ) -> Proposals:
        """The study in a folder, begun there if need be.

        Args:
            folder: held by this process alone.
            dimensions: what is proposed.
            how: a name of `SAMPLERS`.
            maximize: of each goal, whether more is better.
            seed: of all proposals.
            trials: how many there will be.

        Raises:
            WeitiaoError: `missing_extra`.
        """
        optuna = need("optuna", extra="study")
        path = folder / FILE
        _mend(path)
        with _quiet(optuna):
            storage = optuna.storages.JournalStorage(
                optuna.storages.journal.JournalFileBackend(str(path), lock_obj=_Alone())
            )
            study = optuna.create_study(
                storage=storage,
                study_name=NAME,
                directions=["maximize" if more else "minimize" for more in maximize],
                load_if_exists=True,
            )
        return cls(study, storage, dimensions, how, seed, trials)

    def ask(self, own: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
        """The next trial and what is proposed for it.

        Args:
            own: key -> the recipe's own value; trial 0 has these, whether the space holds them or not.
        """
        optuna = need("optuna", extra="study")
        waiting = optuna.trial.TrialState.WAITING
        with _quiet(optuna):
            known = self.study.get_trials(deepcopy=False)
            number = next((one.number for one in known if one.state == waiting), len(known))
            self.study.sampler = SAMPLERS[self.how](optuna, self.seed * 1_000_003 + number, self.trials)
            if number == len(known) and (given := self._given(number, own)) is not None:
                self.study.enqueue_trial(given)
            return number, self._values(self.study.ask(), own)

    def bear(self, values: Mapping[str, Any], *, birth: Sequence[int]) -> int:
        """The number of a copy with these values; the same one, however often it is asked for.

        Args:
            values: key -> value.
            birth: number of its parent, rung, and which of the copies that are made there it is.
        """
        optuna = need("optuna", extra="study")
        states = optuna.trial.TrialState
        named = {one.name: self._called(one.name, values[one.key]) for one in self._there(values)}
        with _quiet(optuna):
            known = self.study.get_trials(deepcopy=False)
            own = next((one for one in known if one.user_attrs.get(BIRTH) == list(birth)), None)
            if own is None:
                self.study.enqueue_trial(named, user_attrs={BIRTH: list(birth)})
            if own is None or own.state == states.WAITING:
                trial = self.study.ask()
                self._values(trial, {})
                return int(trial.number)
            return int(own.number)

    def begun(self, own: Mapping[str, Any], known: Collection[int] = ()) -> dict[int, dict[str, Any]]:
        """Number -> what is proposed, of trials that are not known: what a process that was killed has asked.

        Copies are not among them: whoever makes them asks again (`bear`).
        """
        optuna = need("optuna", extra="study")
        found = {}
        with _quiet(optuna):
            for one in self.study.get_trials(deepcopy=False):
                if (
                    one.number in known
                    or BIRTH in one.user_attrs
                    or one.state == optuna.trial.TrialState.WAITING
                ):
                    continue
                self.study.sampler = SAMPLERS[self.how](
                    optuna, self.seed * 1_000_003 + one.number, self.trials
                )
                found[one.number] = self._values(optuna.Trial(self.study, self._id(one.number)), own)
        return found

    def report(self, number: int, rung: int, value: float) -> None:
        """How good a trial was at a rung; one whose end is known already was so before its search was killed."""
        trial = self._id(number)
        if not self.storage.get_trial(trial).state.is_finished():
            self.storage.set_trial_intermediate_value(trial, rung, value)

    def tell(self, number: int, values: Sequence[float] | None, *, stopped: bool = False) -> None:
        """The end of a trial: what it was worth by each goal; None where it failed, or was `stopped` early."""
        optuna = need("optuna", extra="study")
        states = optuna.trial.TrialState
        state = states.COMPLETE if values else states.PRUNED if stopped else states.FAIL
        with _quiet(optuna):
            self.study.tell(number, list(values) if values else None, state=state, skip_if_finished=True)

    def _id(self, number: int) -> int:
        """What Optuna's storage calls a trial."""
        of = self.storage.get_study_id_from_name(NAME)
        return int(self.storage.get_trial_id_from_study_id_trial_number(of, number))

    def points(self) -> int:
        """How many settings the grid has."""
        return sum(1 for _ in grid(self.dimensions))

    def _given(self, number: int, own: Mapping[str, Any]) -> dict[str, Any] | None:
        """What is not left to the sampler."""
        if number == 0:
            named = {
                one.name: own[one.key]
                for one in self.dimensions
                if one.there(own) and one.holds(own.get(one.key))
            }
        elif self.how == "grid":
            named = list(grid(self.dimensions))[number - 1]
        elif self.how in NEAR and number < _first(self.trials):
            named = self._near(number, own)
        else:
            return None
        return {name: self._called(name, value) for name, value in named.items()}

    def _near(self, number: int, own: Mapping[str, Any]) -> dict[str, Any]:
        """Values around the recipe's own: whoever wrote it knew more than nothing.  What has none of its own is left out."""
        rng = Random(f"{self.seed}/{number}")
        chosen: dict[str, Any] = {}
        named = {}
        for one in self.dimensions:
            value: Any = own.get(one.key)
            if not one.there(chosen):
                continue
            if one.kind == "categorical":
                named[one.name] = chosen[one.key] = one.dealt(number, str(self.seed))
            elif one.holds(value):
                named[one.name] = chosen[one.key] = one.near(value, rng)
        return named

    def _there(self, values: Mapping[str, Any]) -> list[Dimension]:
        return [one for one in self.dimensions if one.key in values and one.there(values)]

    def _called(self, name: str, value: Any) -> Any:
        one = next(each for each in self.dimensions if each.name == name)
        if one.kind != "categorical":
            return value
        return next(called for called, each in one.choices.items() if each == value)

    def _values(self, trial: Any, own: Mapping[str, Any]) -> dict[str, Any]:
        """Key -> value of all that this trial has."""
        chosen: dict[str, Any] = {}
        for one in self.dimensions:
            if trial.number == 0 and one.there(own) and not one.holds(own.get(one.key)):
                chosen[one.key] = own.get(one.key)  # which Optuna cannot know
            elif one.there(chosen):
                chosen[one.key] = _suggested(trial, one)
        return chosen


def _suggested(trial: Any, one: Dimension) -> Any:
    if one.kind == "categorical":
        return one.choices[trial.suggest_categorical(one.name, list(one.choices))]
    if one.kind == "int":
        low, high = int(one.low), int(one.high)
        return trial.suggest_int(one.name, low, high, step=int(one.step or 1), log=one.log)
    value = trial.suggest_float(one.name, one.low, one.high, step=one.step, log=one.log)
    return min(max(float(f"{value:.{DIGITS}g}"), one.low), one.high)


def importance(proposals: Proposals, goal: int = 0) -> dict[str, float]:
    """How much of the differences between finished trials each parameter accounts for, by PED-ANOVA.

    (Watanabe et al. 2023, arXiv 2304.10255.)  Empty where the trials are too few, or all alike.
    """
    optuna = need("optuna", extra="study")
    evaluator = optuna.importance.PedAnovaImportanceEvaluator()
    many = len(proposals.study.directions) > 1
    with _quiet(optuna):
        try:
            found = optuna.importance.get_param_importances(
                proposals.study,
                evaluator=evaluator,
                target=(lambda trial: trial.values[goal]) if many else None,
            )
        except (ValueError, RuntimeError, ZeroDivisionError):
            return {}  # too few trials, or all alike
    return {name: float(value) for name, value in found.items()}


@contextmanager
def _quiet(optuna: Any) -> Iterator[None]:
    """Optuna's lines are not ours, nor is its warning that a part of it may change."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        optuna.logging.set_verbosity(before)


class _Alone:
    """No lock: a file of one would outlive a process that is killed, and the folder is held already."""

    def acquire(self) -> bool:
        """At once."""
        return True

    def release(self) -> None:
        """Nothing was held."""


def _mend(path: Path) -> None:
    """Cut off the end of a line that was being written when its process was killed."""
    if path.exists() and (text := path.read_bytes()) and not text.endswith(b"\n"):
        with path.open("rb+") as file:
            file.truncate(text.rfind(b"\n") + 1)
            os.fsync(file.fileno())
