"""The client for code without an event loop: `raftsman.sync.Client`, every method of `raftsman.Client`, blocking.

`client.py` is generated from the async client by scripts/gen; `portal.py` is the thread whose event loop does the work.
"""

from .client import Client

__all__ = ["Client"]
