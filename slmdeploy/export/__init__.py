"""One exporter a file; each gives an artifact."""
