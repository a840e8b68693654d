"""The LiteRT exporter: a ``.tflite`` with a signature for each size of call."""
