"""A whole cluster inside a test: network namespaces of its own, real processes, nothing left behind."""

from .cluster import Cluster, CommandError, eventually
from .network import Network

__all__ = ["Cluster", "CommandError", "Network", "eventually"]
