"""The runner of LiteRT and tflite-runtime: runs on the board, with Python 3.8 and numpy alone."""
