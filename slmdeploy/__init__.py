"""From a compressed PyTorch small language model to a measured artifact on a board."""
