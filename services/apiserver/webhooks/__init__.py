"""Somebody else's HTTPS server that is asked: to admit a request, to convert an object."""
