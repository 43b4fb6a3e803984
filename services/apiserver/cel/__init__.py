"""The Common Expression Language, as Kubernetes' policies, match conditions and validation rules use it."""
