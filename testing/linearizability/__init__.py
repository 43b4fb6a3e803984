"""Whether what clients saw of a store is possible: linearizability of requests, and etcd's promises about watches.

`history` is what clients record, `check` looks for an order of the operations that explains every answer, `watches`
holds what watchers received against that order. `model` is the store in its simplest form; it shares nothing with the
store under test.
"""

from .check import Undecided, Verdict, check
from .history import History, Operation, load, save
from .watches import Breach, Session, Watched, check_watch

__all__ = [
    "Breach",
    "History",
    "Operation",
    "Session",
    "Undecided",
    "Verdict",
    "Watched",
    "check",
    "check_watch",
    "load",
    "save",
]
