"""The state machine: keys with their revisions, transactions, the history of changes, leases.

Pure: no disk, no network, no clock, no randomness. Every member that applies the same commands in the same order is in
the same state. Requests and answers are etcd's own messages; answers carry no header, whoever serves them adds it.
"""

from .records import Change, Record
from .state import State, UnknownPart
from .view import View

__all__ = ["Change", "Record", "State", "UnknownPart", "View"]
