"""What comes in: checkpoints, tokenizers and the export-friendly decoder."""
