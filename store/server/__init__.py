"""etcd's gRPC services on a replica: one RPC group a file. A method checks its request, asks the replica, answers."""
