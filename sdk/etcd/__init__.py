"""etcd's v3 messages and services, generated from `protos/raftsman/etcd` by `scripts/gen`.

The store serves them, the API server is their client; the package names on the wire are etcd's own.
"""
