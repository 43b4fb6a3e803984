"""What is served at this moment: built-in kinds, and those of custom resources, which come and go.

Who keeps something that was made of it listens for changes; the generation counts them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from raftsman.resources import Resource

from .kinds import Kind


class Registry:
    """All kinds by what names them."""

    def __init__(self, builtin: Iterable[Kind]) -> None:
        self._builtin = tuple(builtin)
        self._custom: dict[str, tuple[Kind, ...]] = {}
        self.listeners: list[Callable[[], None]] = []
        self.generation = 0
        self._index()

    def _index(self) -> None:
        self._paths: dict[tuple[str, str, str], Kind] = {}
        self._kinds: dict[tuple[str, str], Kind] = {}
        for kind in self.kinds():
            resource = kind.resource
            self._paths.setdefault((resource.group, resource.version, resource.name), kind)
            self._kinds.setdefault((resource.api_version, resource.kind), kind)

    def _changed(self) -> None:
        self.generation += 1
        self._index()
        for listener in self.listeners:
            listener()

    # -- what there is

    def kinds(self) -> tuple[Kind, ...]:
        """Built-in ones first."""
        return (*self._builtin, *self.custom())

    @property
    def builtin(self) -> tuple[Kind, ...]:
        return self._builtin

    def custom(self) -> tuple[Kind, ...]:
        """Those of custom resources, every version that is served."""
        return tuple(kind for kinds in self._custom.values() for kind in kinds)

    def of_path(self, group: str, version: str, name: str) -> Kind | None:
        """The kind whose plural stands in a path."""
        return self._paths.get((group, version, name))

    def of_kind(self, api_version: str, kind: str) -> Kind | None:
        return self._kinds.get((api_version, kind))

    def of(self, resource: Resource) -> Kind:
        return self._paths[resource.group, resource.version, resource.name]

    # -- what comes and goes

    def serve(self, owner: str, kinds: Sequence[Kind]) -> None:
        """From now on the kinds of `owner`, a definition's name, are these."""
        self._custom[owner] = tuple(kinds)
        self._changed()

    def withdraw(self, owner: str) -> None:
        if self._custom.pop(owner, None) is not None:
            self._changed()
