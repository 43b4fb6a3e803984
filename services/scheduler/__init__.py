"""The scheduler: gives each new pod a node.

In the order in which a pod passes through: `demand` (what it asks for), `queue` (whose turn it is), `snapshot` (what
the nodes have), `filters` and `scores` (where it can run and where it should), `placement` (the decision),
`scheduler` (the shell that watches, binds and reports) and `conditions` (what it writes on pods that must wait).
"""
