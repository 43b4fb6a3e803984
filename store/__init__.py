"""`raftsman.store`: a replicated multi-version key-value store that speaks etcd's v3 API.

The files in the order in which a write passes through them: `server/` takes it from gRPC, `replica` gives it a number
and waits, `raft/` gets it onto the disks of a majority (`wal`), `commands` is its form in the log, `mvcc/` is the state
that it changes, `snapshot` is that state on disk. Two threads: gRPC and the state on one event loop, Raft and its disk
on another, so that a slow disk never holds up a reader.
"""
