"""Core ML's ML Programs: a reader of saved packages, and an evaluator of what they compute."""
