"""Raft: pysyncobj 0.3.17 as the kernel; journal, transport, snapshots and driver are ours. Nothing is ever unpickled.

Only this package imports pysyncobj. `kernel` is the subclass; every private name of the library that is overridden or
set is in this table (names without the `_SyncObj__` prefix), with the behaviour that it corrects and the test that
shows it (in tests/store/raft/).

| name | the library's behaviour | here | test |
|---|---|---|---|
| syncobj.createJournal | memory-mapped file: no fsync, no CRC, compaction in place | `journal.WalJournal` | test_journal |
| syncobj.monotonicTime | ctypes clock_gettime(MONOTONIC_RAW) on every call | time.monotonic | test_kernel |
| raftElectionDeadline | a lone member waits 1 to 2 s; every member may campaign | at once alone; after a pre-vote | test_election |
| raftLastApplied, raftCommitIndex | restart applies everything again, a bad dump is swallowed | from the snapshot's index | test_restart |
| tryLogCompaction, serializer | pickle + gzip in a fork, no trailing entries | `snapshot`, entries kept | test_snapshot_transfer |
| doApplyCommand | unpickles, retries a failing entry for ever | hands the bytes over | test_kernel |
| checkCommandsToApply | one entry a command, forwarding that loses commands | one entry for all that waits | test_kernel |
| onBecomeLeader | the no-op is committed before it is on disk | synced first | test_kernel |
| raftNextIndex | rewound by every ack | only moves on, reset on reconnect | test_guard |
| raftLog entries | truncated whenever prevLogIdx is below the end | only where terms conflict | test_guard |
| onMessageReceived | pickled chunks, forwarded commands, unknown types | only the messages of `guard` | test_transport |
| setCurrentTerm | a higher term is ignored in appends and acks | adopted (`guard`), synced | test_election |
"""
