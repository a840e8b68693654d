"""Figures that other tools measured: pure parsers of what they write, one a file."""
