"""The life of a pod on its node, from the first sight of it to its removal."""
