"""The commands ``slmdeploy devices ...``, one a file."""
