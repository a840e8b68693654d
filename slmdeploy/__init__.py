"""From a compressed PyTorch small language model to a measured artifact on a board."""

__all__ = ["__version__"]

__version__ = "0.1.0"
