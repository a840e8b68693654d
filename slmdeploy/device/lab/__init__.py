"""The lab's inventory: which boards there are, and how they are known."""
