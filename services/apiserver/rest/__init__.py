"""Kubernetes' REST API on the secure port: HTTP/1.1 in front of the verbs that gRPC serves.

http          bytes of a connection ⇄ requests and answers
paths         /apis/apps/v1/namespaces/x/deployments/y/scale → what is meant
media         Accept and Content-Type → how objects are written
requests      a request → the verb's own message
documents     the verb's answer → JSON, protobuf, tables
watches       a watch's events in each framing
catalog, builtin    which group versions there are, whoever serves them
discovery, openapi  documents about them; `published` says how documents are sent
handler       ties them together, one function per kind of path
"""
