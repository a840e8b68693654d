"""What a board's sensors say: one probe a file, each what is read and a pure parser."""
