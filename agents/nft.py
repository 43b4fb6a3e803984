"""Run nftables commands in this process, through libnftables' stable C interface.

Reads and writes the kernel's ruleset of the network namespace in which the `Nft` was opened. Everything
handed to one `run` is one transaction: the kernel takes all of it or none of it. Spawning `nft` costs
about 16 ms a change, this about 0.3 ms.

Threads: libnftables keeps state outside its contexts, so one lock lets one command run at a time in a
process; a call may come from any thread and the interpreter's lock is released while the kernel works.
The netlink socket belongs to the network namespace that the *opening* thread was in, so a thread that
moves to another namespace must open an `Nft` of its own there.

Bounds: a single call blocks for as long as the kernel works on it (milliseconds for hundreds of
elements, about a second for tens of thousands): call it from a thread when the batch is large.
"""

import ctypes
import enum
import json
import threading
from types import TracebackType
from typing import Any, Self

LIBRARY = "libnftables.so.1"
EXCERPT_MAX = 300

_lock = threading.Lock()
_loaded: ctypes.CDLL | None = None


class _Output(enum.IntFlag):
    """Flags of nft_ctx_output_set_flags, libnftables(3)."""

    STATELESS = 1 << 2
    HANDLE = 1 << 3
    JSON = 1 << 4
    ECHO = 1 << 5
    NUMERIC_ALL = (1 << 7) | (1 << 8) | (1 << 9) | (1 << 10)
    TERSE = 1 << 11


class NftUnavailable(RuntimeError):
    """libnftables cannot be loaded, or this process may not talk to nf_tables."""


class NftError(Exception):
    """The kernel or the parser refused a transaction; nothing of it was applied.

    `message` is libnftables' own text, `commands` an excerpt of what was sent (at most EXCERPT_MAX characters).
    """

    def __init__(self, message: str, commands: str) -> None:
        self.message = message.strip() or "nftables refused the transaction without saying why"
        self.commands = commands if len(commands) <= EXCERPT_MAX else commands[:EXCERPT_MAX] + "…"
        super().__init__(f"{self.message} [in: {self.commands.strip()}]")


class Nft:
    """One libnftables context. A context manager; `close` frees it and may be called twice.

    `json_output` makes listings come back as JSON text (see `query`), `handles` adds rule handles to them.
    """

    def __init__(self, *, json_output: bool = False, handles: bool = False, stateless: bool = False) -> None:
        self._library = _library()
        with _lock:
            self._context: int | None = self._library.nft_ctx_new(0)
        if not self._context:
            raise NftUnavailable("libnftables gave no context: nf_tables is missing or out of reach")
        flags = _Output.NUMERIC_ALL
        flags |= _Output.JSON if json_output else _Output(0)
        flags |= _Output.HANDLE if handles else _Output(0)
        flags |= _Output.STATELESS if stateless else _Output(0)
        self._library.nft_ctx_output_set_flags(self._context, int(flags))
        self._library.nft_ctx_buffer_output(self._context)
        self._library.nft_ctx_buffer_error(self._context)

    def run(self, commands: str) -> str:
        """Apply `commands` (nft(8) syntax, or its JSON with `json_output`) as one transaction; returns the output.

        Raises NftError when any command was refused; then none was applied.
        """
        encoded = commands.encode()
        with _lock:
            assert self._context is not None, "Nft was closed"
            status = self._library.nft_run_cmd_from_buffer(self._context, encoded)
            # Both buffers start anew once read, so both are read whether or not they are wanted.
            output: bytes = self._library.nft_ctx_get_output_buffer(self._context) or b""
            errors: bytes = self._library.nft_ctx_get_error_buffer(self._context) or b""
        if status != 0:
            raise NftError(errors.decode(errors="replace"), commands)
        return output.decode(errors="replace")

    def query(self, commands: str) -> list[dict[str, Any]]:
        """Run listing commands on a context with `json_output`; returns the members of its `nftables` array."""
        text = self.run(commands)
        members: list[dict[str, Any]] = json.loads(text)["nftables"] if text.strip() else []
        return members

    def close(self) -> None:
        with _lock:
            if self._context is not None:
                self._library.nft_ctx_free(self._context)
                self._context = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _library() -> ctypes.CDLL:
    global _loaded
    with _lock:
        if _loaded is None:
            try:
                library = ctypes.CDLL(LIBRARY)
            except OSError as error:
                raise NftUnavailable(f"{LIBRARY} cannot be loaded (Debian package libnftables1): {error}") from error
            _declare(library)
            _loaded = library
        return _loaded


def _declare(library: ctypes.CDLL) -> None:
    context = ctypes.c_void_p
    library.nft_ctx_new.argtypes, library.nft_ctx_new.restype = [ctypes.c_uint32], context
    library.nft_ctx_free.argtypes, library.nft_ctx_free.restype = [context], None
    library.nft_ctx_output_set_flags.argtypes = [context, ctypes.c_uint]
    library.nft_ctx_output_set_flags.restype = None
    for name in ("nft_ctx_buffer_output", "nft_ctx_buffer_error"):
        getattr(library, name).argtypes, getattr(library, name).restype = [context], ctypes.c_int
    for name in ("nft_ctx_get_output_buffer", "nft_ctx_get_error_buffer"):
        getattr(library, name).argtypes, getattr(library, name).restype = [context], ctypes.c_char_p
    library.nft_run_cmd_from_buffer.argtypes = [context, ctypes.c_char_p]
    library.nft_run_cmd_from_buffer.restype = ctypes.c_int
