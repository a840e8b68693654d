"""Records of what was measured."""
