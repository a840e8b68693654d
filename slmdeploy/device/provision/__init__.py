"""Runtimes for boards."""
