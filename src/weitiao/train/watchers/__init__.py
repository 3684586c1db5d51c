"""What stands around the loop (docs/watchers.md).  Each is small and knows no other.

They are asked in the order of the list, and the order matters: `Validate` before those that read its metrics,
`Save` after all that change the state which it keeps.
"""

from weitiao.train.watchers.inspect import GradientNorms, Profile
from weitiao.train.watchers.own import own
from weitiao.train.watchers.save import PAUSED, Interrupt, Log, Save
from weitiao.train.watchers.trackers import TRACKERS, Tracker
from weitiao.train.watchers.validate import EarlyStop, Plateau, Validate, due, period

__all__ = [
    "PAUSED",
    "TRACKERS",
    "EarlyStop",
    "GradientNorms",
    "Interrupt",
    "Log",
    "Plateau",
    "Profile",
    "Save",
    "Tracker",
    "Validate",
    "due",
    "own",
    "period",
]
