"""How a run that was begun is gone on with, as the word `train` is asked.

Resume.asked(True, strict=False, changes=["train.num_train_epochs"])   ->  from the newest sound checkpoint
FRESH                                                                  ->  a run that begins
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from weitiao.core.errors import did_you_mean, fault
from weitiao.core.recipe import SHELVED, Recipe, known_keys
from weitiao.core.run import named
from weitiao.train import distributed


@dataclass(frozen=True)
class Resume:
    """Is a run that was begun gone on with, and from where?"""

    wanted: bool = False
    checkpoint: Path | None = None
    """This one; None: the newest that is sound."""
    strict: bool = False
    """Refuse when the newest is not sound."""
    changes: Collection[str] = ()
    """Keys of the recipe, or sections, that may differ from those it was begun with."""
    pause_after: float | None = None
    """It ends with a checkpoint at the first look at the validation rows after so many epochs, and is gone on with later."""

    @classmethod
    def asked(
        cls,
        resume: bool | str | Path,
        *,
        strict: bool,
        changes: Collection[str],
        pause_after: float | None = None,
    ) -> Resume:
        """As the word `train` is asked.  A process that torchrun started anew goes on from where the one before it was.

        Raises:
            WeitiaoError: `unknown_key` for a change of what is no key.
        """
        for key in changes:
            # What is below a method or task depends on its name.
            if key.partition(".")[0] not in SHELVED and not any(named(each, [key]) for each in known_keys()):
                hint = did_you_mean(key, known_keys())
                raise fault("unknown_key", key=key, hint=hint, known=", ".join(Recipe.model_fields))
        again = distributed.restarted()
        chosen = None if again or resume in (True, False, "last") else Path(str(resume))
        return cls(bool(resume) or strict or again, chosen, strict, changes, pause_after)


FRESH = Resume()
