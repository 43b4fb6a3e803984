"""The node agent: keeps the pods that are bound to this node running, and says how they and the node are.

    pods (informer, spec.nodeName) ──> pods.worker ── decide(pod, observed, now) ──> operations on runtime, volumes
                                            │                                             │
    API  <── pods.reports (status) <── status(pod, observed, now) <── exits, probe results ┘

`pods/` the life of a pod; `volumes/` what is mounted into it; `probes/` its health; `registration` the Node and its
lease; `server` logs and exec for the API server; `runtime/` and `network/` the containers beneath. `node.NodeAgent`
puts them together.
"""
