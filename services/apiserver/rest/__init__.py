"""Kubernetes' REST API on the secure port: HTTP/1.1 in front of the verbs that gRPC serves.

http          bytes of a connection ⇄ requests and answers
paths         /apis/apps/v1/namespaces/x/deployments/y/scale → what is meant
media         Accept and Content-Type → how objects are written
requests      a request → the verb's own message
documents     the verb's answer → JSON, protobuf, tables
watches       a watch's events in each framing
discovery, openapi, about       what the server says of itself
handler       ties them together, one function per kind of path
"""
