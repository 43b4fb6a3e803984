"""Raft: pysyncobj 0.3.17 as the kernel; journal, transport, snapshots and driver are ours. Nothing is ever unpickled.

Only this package imports pysyncobj. `kernel` is the subclass; every private name of the library that is overridden or
set is in this table (names without the `_SyncObj__` prefix), with the behaviour that it corrects and the test that
shows it (in tests/store/raft/).

    name                    the library                              here                              test
    syncobj.createJournal   no fsync, no CRC, compacts in place      journal.WalJournal                test_journal
    syncobj.monotonicTime   ctypes clock_gettime at every call       clock.now                         test_kernel
    generateRaftTimeout     draws from the process's random source   draws from its own                test_kernel
    raftElectionDeadline    1-2 s alone; anyone may campaign         at once alone; after a pre-vote   test_election
    raftLastApplied,
    raftCommitIndex         replays everything, swallows bad dumps   from the snapshot's index; also   test_members,
                                                                     by a member's word                test_contacts
    sendAppendEntries       everything that is lacking at once       a window at a time, `appends`     test_appends
    tryLogCompaction,
    serializer              pickle + gzip in a fork, nothing kept    snapshot, transfer                test_members
    doApplyCommand          unpickles; retries a failure for ever    hands the bytes over              test_kernel
    checkCommandsToApply    an entry a command; loses forwarded      an entry for all that waits       test_kernel
    onBecomeLeader          no-op committed before it is on disk     synced first                      test_kernel
    raftNextIndex           rewound by every ack                     only forward but on reconnect     test_guard
    raftLog's end           cut whenever prevLogIdx is below it      cut only where terms conflict     test_guard
    onMessageReceived       pickled chunks, commands, any type       only what `guard` knows           test_guard
    setCurrentTerm          higher terms in appends are ignored      adopted, on disk                  test_election
    votesCount              counts messages, whoever sends them      one a voter and term              test_guard
    otherNodes,
    readonlyNodes           two changes at once; nobody learns       voters and learners, as of the    test_kernel
                                                                     last committed change
    (import)                breaks socket.inet_ntop everywhere       put back                          test_import

The other private names that `kernel` reads or calls (raftLeader, raftMatchIndex, lastResponseTime, noopIDx,
newAppendEntriesTime, applyLogEntries, transport, setState) keep the library's meaning.
"""

import socket

# Importing the library puts a version for Windows in place of socket.inet_ntop, for the whole process.
_inet_ntop = socket.inet_ntop
import pysyncobj  # noqa: E402, F401

socket.inet_ntop = _inet_ntop
