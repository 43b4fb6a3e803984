"""What an object means where it says nothing: Kubernetes' default values."""
