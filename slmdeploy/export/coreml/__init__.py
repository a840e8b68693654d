"""Core ML: a compressed model to an ML Program package, made on any computer."""
