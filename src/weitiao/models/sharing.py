"""May what several rows begin with stand once in a pass?  Measured with the method's modules in the model, not believed.

    fits(model, processor)  ->  True

    [b x], [b y u], [b y v], [w]    each alone                           the truth
    b | x | y | u | v | w           as a tree (`data.shared`)            must give the same
    another last word in one row                                         may change nothing else

A window that slides, states that run through a sequence, vectors that a method puts before every row: such models say something
else, and their rows lie end to end whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from weitiao.core.contracts import BOUNDS, PARENTS
from weitiao.data.shared import grown
from weitiao.models import positions, reach
from weitiao.models.examine import HEARD, SAME, distance, examined, plain_words, scored
from weitiao.models.memory_ran_out import ran_out

ROWS = (
    (0, 1, 2, 3, 4, 5, 6, 7),
    (0, 1, 2, 3, 4, 8, 9, 10, 11),
    (0, 1, 2, 3, 4, 8, 9, 12, 13, 14),
    (15, 16, 17, 18),
)
"""Which words stand in each of the rows."""
OTHER = 19


def fits(model: Any, processor: Any) -> bool:
    """Do rows that share beginnings say what they say alone?

    Args:
        model: a causal language model, as it is when it is asked.
        processor: its tokenizer; None where no text is looked at.
    """
    words = plain_words(model.config, processor)
    words = (words * (OTHER + 1))[: OTHER + 1]
    rows = [np.array([words[place] for place in row]) for row in ROWS]
    with examined(model), reach.shortened(model, to=len(rows[-1]), longest=positions.UNLIMITED):
        try:
            truth = [_alone(model, row) for row in rows]
            found = _shared(model, rows)
            if max(map(distance, found, truth)) > SAME:
                return False
            for changed in range(len(rows)):
                others = [row.copy() for row in rows]
                others[changed][-1] = words[OTHER]
                again = _shared(model, others)
                again[changed], here = again[changed][:-1], [*found]
                here[changed] = here[changed][:-1]
                if max(map(distance, again, here)) > HEARD:
                    return False
        except Exception as error:  # a model's own code, on rows as it does not know them
            if ran_out(error):
                raise  # rows would be computed apart for ever after
            return False
    return True


def _alone(model: Any, row: np.ndarray) -> Tensor:
    """Scores of one row (T, V)."""
    ids = torch.from_numpy(row)[None].to(next(model.parameters()).device)
    return scored(model(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False))[0].float()


def _shared(model: Any, rows: Sequence[np.ndarray]) -> list[Tensor]:
    """Scores of all rows, each (T, V), of one pass."""
    tree, device = grown(rows, worth=1), next(model.parameters()).device
    ids, places = np.concatenate(tree.ids), tree.positions()
    words: dict[str, Any] = {
        "input_ids": torch.from_numpy(ids)[None].to(device),
        "position_ids": torch.from_numpy(places)[None].to(device),
        BOUNDS: torch.from_numpy(tree.bounds),
        PARENTS: torch.tensor(tree.parents),
    }
    (said,) = scored(model(**words, use_cache=False)).float()
    of_rows = said[torch.from_numpy(tree.places(len(rows))).to(device)]
    return list(of_rows.split([len(row) for row in rows]))
