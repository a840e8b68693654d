"""The folder that holds an artifact with all that belongs to it."""
