"""The lab's inventory, and what is done to a board."""
