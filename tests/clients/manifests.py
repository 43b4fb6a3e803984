"""What the clients' tests apply."""

from __future__ import annotations

WEB = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: app, image: "localhost/demo:1", ports: [{containerPort: 80}]}
"""

ROLE = """
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader, namespace: NAMESPACE}
rules: [{apiGroups: [""], resources: [pods], verbs: [VERBS]}]
"""

KUSTOMIZATION = """
resources: [web.yaml]
namePrefix: k-
labels: [{pairs: {via: kustomize}}]
configMapGenerator: [{name: cfg, literals: [a=b]}]
"""
