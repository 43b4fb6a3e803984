"""API servers of others behind this one: an APIService says which group version is whose.

registrations   the APIServices there are, and those that stand for what is served here
autoregister    keeps those of custom resources
availability    which of the others answer; written into their status
listing         what they serve: their discovery and OpenAPI, for the catalog
proxy           a request for one of them, there and back
requestheader   who a request is from: told to them by the front proxy's certificate, and taken from one that has it
"""
