"""The write-ahead log and the disk under it: `log` writes and reads it, `disk` is the only file that syncs."""

from .log import COMPACT, END, ENTRY, META, RESET, SEGMENT_BYTES, TRUNCATE, VERSION, Stored, Wal, WalDamaged

__all__ = [
    "COMPACT",
    "END",
    "ENTRY",
    "META",
    "RESET",
    "SEGMENT_BYTES",
    "TRUNCATE",
    "VERSION",
    "Stored",
    "Wal",
    "WalDamaged",
]
