"""Custom resources: from a CustomResourceDefinition to kinds that the generic verbs serve.

definition   what a definition must be like
names        who gets which name, and the conditions that say so
kinds        a definition's versions as kinds
document     their objects: typed metadata, and JSON
schema       a structural schema, compiled
pruning      what it does not know goes
defaulting   what it has defaults for comes
values       what it demands
rules        its rules in CEL
served       keeps the registry at the definitions' heels
"""
