"""The contracts, and the things that pass between rooms.

    Record --task.encode--> Example --collate--> Batch --task.loss--> a sum --engine--> a step
                                                 Batch --task.predict--> one dict a row --metrics--> numbers

A `Method` says which parameters train, and how; a `Task` says what is learnt; a `Metric` says what an answer is worth;
an `Analysis` makes a section of the page.
The training loop knows the first two only by what is written here.  Torch is named in annotations alone, so that this room stays light.
"""

from weitiao.core.contracts.baseline import SEEN, Answers, Baseline
from weitiao.core.contracts.categorical import Categorical
from weitiao.core.contracts.library import Learnt, Library
from weitiao.core.contracts.method import OURS, Inserted, Method, Moment, Tokenize, fill_weights
from weitiao.core.contracts.metric import Metric, Summed, Told
from weitiao.core.contracts.reward import Answered, AskedModel, Rate, Reward
from weitiao.core.contracts.rows import (
    BOUNDS,
    PARENTS,
    SEEN_BOUNDS,
    WRITTEN_BOUNDS,
    Batch,
    Example,
    Processor,
    Record,
    Shape,
    place,
    places,
)
from weitiao.core.contracts.sampling import Drawn, Heard, Judge, Rollout, Sampling, Voice
from weitiao.core.contracts.section import Analysis, Judged, Section, both
from weitiao.core.contracts.target import Target, chosen_targets, no_such_target
from weitiao.core.contracts.task import Task

__all__ = [
    "BOUNDS",
    "PARENTS",
    "SEEN",
    "OURS",
    "SEEN_BOUNDS",
    "WRITTEN_BOUNDS",
    "Analysis",
    "Answered",
    "Answers",
    "AskedModel",
    "Baseline",
    "Batch",
    "Categorical",
    "Drawn",
    "Example",
    "Heard",
    "Inserted",
    "Judge",
    "Judged",
    "Learnt",
    "Library",
    "Method",
    "Metric",
    "Moment",
    "Processor",
    "Rate",
    "Record",
    "Reward",
    "Rollout",
    "Sampling",
    "Section",
    "Shape",
    "Summed",
    "Target",
    "Task",
    "Tokenize",
    "Told",
    "Voice",
    "both",
    "chosen_targets",
    "fill_weights",
    "no_such_target",
    "place",
    "places",
]
