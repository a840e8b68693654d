"""Devices over SSH, by paramiko."""
