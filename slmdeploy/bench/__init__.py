"""Workloads, the measurement protocol and statistics."""
