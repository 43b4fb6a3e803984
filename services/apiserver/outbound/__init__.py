"""HTTPS from the API server to servers inside the cluster: aggregated API servers, webhooks.

backends   a service → the addresses of its ready endpoints; what its certificate has to be
http       one request over a connection of its own, its answer whole or as it comes
"""
