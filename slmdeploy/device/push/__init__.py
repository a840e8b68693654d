"""How content comes to a board, and how it leaves it."""
