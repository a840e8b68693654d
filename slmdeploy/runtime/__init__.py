"""What runs on the board, and what drives it from the host."""
