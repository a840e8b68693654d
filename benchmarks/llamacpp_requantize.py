"""Write a GGUF file again with another type of weights, by llama.cpp's own quantizer.

    python benchmarks/llamacpp_requantize.py Q4_0 IN.gguf OUT.gguf

For speed only: what is quantized already is rounded a second time. Needs the extra
``bench``.
"""

from __future__ import annotations

import argparse
import ctypes
import importlib
import os
import sys

TYPES = ("Q4_0", "Q4_K_M", "Q8_0", "F16")


def main() -> int:
    """Requantize; gives llama.cpp's own exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("type", choices=TYPES)
    parser.add_argument("source")
    parser.add_argument("destination")
    options = parser.parse_args()
    library = importlib.import_module("llama_cpp")
    params = library.llama_model_quantize_default_params()
    params.ftype = getattr(library, f"LLAMA_FTYPE_MOSTLY_{options.type}")
    params.allow_requantize = True
    source, destination = os.fsencode(options.source), os.fsencode(options.destination)
    return int(library.llama_model_quantize(source, destination, ctypes.byref(params)))


if __name__ == "__main__":
    sys.exit(main())
