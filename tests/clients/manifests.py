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

REQUEST = """
apiVersion: certificates.k8s.io/v1
kind: CertificateSigningRequest
metadata: {name: c-jane}
spec:
  request: REQUEST
  signerName: kubernetes.io/kube-apiserver-client
  usages: [client auth]
"""

KUSTOMIZATION = """
resources: [web.yaml]
namePrefix: k-
labels: [{pairs: {via: kustomize}}]
configMapGenerator: [{name: cfg, literals: [a=b]}]
"""

RAFTS = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: rafts.clients.example}
spec:
  group: clients.example
  scope: Namespaced
  names: {kind: Raft, plural: rafts, singular: raft, shortNames: [rf]}
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {status: {}, scale: {specReplicasPath: .spec.logs, statusReplicasPath: .status.logs}}
    additionalPrinterColumns: [{name: Logs, type: integer, jsonPath: .spec.logs}]
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            required: [logs]
            properties: {logs: {type: integer, minimum: 1, description: How many logs it is made of.}}
          status: {type: object, x-kubernetes-preserve-unknown-fields: true}
"""

RAFT = """
apiVersion: clients.example/v1
kind: Raft
metadata: {name: kon-tiki}
spec: {logs: 9}
"""
