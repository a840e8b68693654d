"""The parity ladder."""
