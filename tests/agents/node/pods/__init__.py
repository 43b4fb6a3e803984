"""Pods' lives: decisions, statuses, and the writing of them."""
