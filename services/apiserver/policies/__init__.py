"""Validating admission policies: rules in CEL, bound to what they are about and to their parameters (KEP-3488)."""
