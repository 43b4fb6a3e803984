"""What depends on more than the object: its namespace, its service account, the cluster."""
