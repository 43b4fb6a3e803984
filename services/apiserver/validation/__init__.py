"""What an object may say, by kind: Kubernetes' rules and messages, every cause at once, by field path."""
