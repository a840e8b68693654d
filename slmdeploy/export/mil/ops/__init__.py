"""Operators of ML Programs, one concern a file; ``registry`` has them all by name."""
