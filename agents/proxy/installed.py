"""The rules in the kernel, and the steps from one state of them to the next. Blocking: runs on the proxy's own thread.

A difference that the kernel refuses (somebody else touched the table) is answered by writing everything anew, first
into the table as it is, then into a fresh one. The table outlives the process: connections go on while the agent
restarts, and `cleanup` is what takes it away.
"""

from collections.abc import Mapping

from raftsman import logs
from raftsman.agents import nft

from . import conntrack, transaction
from .ruleset import Ruleset, ServiceRules
from .service import Backend, Frontend

TABLE_PREFIX = "raftsman_proxy"

log = logs.get(__name__)


class AnotherCluster(RuntimeError):
    """Another cluster's proxy has its table in this network namespace."""


def table_name(instance: str) -> str:
    """The table of a cluster instance (hexadecimal digits, or empty)."""
    return f"{TABLE_PREFIX}_{instance}" if instance else TABLE_PREFIX


def cleanup(instance: str) -> None:
    """Remove a cluster's table; nothing to remove is fine."""
    with nft.Nft() as rules:
        # Adding first makes deleting one that is not there no error.
        name = f"{transaction.FAMILY} {table_name(instance)}"
        rules.run(f"add table {name}\ndelete table {name}")


class Installed:
    """What this process has put into the kernel. Not thread-safe."""

    def __init__(self, table: transaction.Table) -> None:
        self._table = table
        self._nft = nft.Nft()
        self._chains: frozenset[str] = frozenset()
        self.ruleset = Ruleset()

    def refuse_another_cluster(self) -> None:
        for table in self._tables():
            if table.startswith(TABLE_PREFIX) and table != self._table.name:
                raise AnotherCluster(
                    f"another Raftsman cluster owns service addresses in this network namespace (nftables table "
                    f"{transaction.FAMILY} {table}); stop it with `raftsman down`, or, if it is gone, "
                    f"`nft delete table {transaction.FAMILY} {table}`"
                )

    def is_present(self) -> bool:
        return self._table.name in self._tables()

    def replace(self, ruleset: Ruleset) -> None:
        """Write everything in one transaction, whatever is there."""
        change = transaction.full(ruleset, self._table)
        try:
            self._nft.run(change.commands)
        except nft.NftError as error:
            log.warning("the table is made anew", table=self._table.name, error=error.message)
            change = transaction.full(ruleset, self._table, anew=True)
            self._nft.run(change.commands)
        self._done(ruleset, change)

    def update(self, changes: Mapping[str, ServiceRules | None]) -> None:
        """Apply some services' new rules (None: removed) in one transaction."""
        after = self.ruleset.updated(changes)
        change = transaction.diff(self.ruleset, after, self._table, chains=self._chains)
        if change.commands:
            try:
                self._nft.run(change.commands)
            except nft.NftError as error:
                log.warning("a change was refused; writing all rules", table=self._table.name, error=error.message)
                self.replace(after)
                return
        self._done(after, change)

    def close(self) -> None:
        """Let go of the library; the rules stay."""
        self._nft.close()

    def _done(self, ruleset: Ruleset, change: transaction.Transaction) -> None:
        self.ruleset, self._chains = ruleset, change.chains
        if not change.stale_udp:
            return
        try:
            deleted = conntrack.forget_stale({f: self._backends(f) for f in change.stale_udp})
        except Exception as error:  # the rules stand; only old flows keep their way until they fall silent
            log.warning("stale UDP flows could not be removed", error=error)
            return
        if deleted:
            log.info("stale UDP flows removed", flows=deleted)

    def _backends(self, frontend: Frontend) -> frozenset[Backend]:
        rules = self.ruleset.services.get(self.ruleset.owners.get(frontend, ""))
        places = rules.endpoints.items() if rules else ()
        return frozenset(backend for (owner, _), backend in places if owner == frontend)

    def _tables(self) -> list[str]:
        lines = self._nft.run(f"list tables {transaction.FAMILY}").splitlines()
        return [line.split()[2] for line in lines if line]
