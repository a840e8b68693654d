"""One run of the converter's own generative export, for ``litert.py``; prints one JSON object.

    python benchmarks/litert_theirs.py lm FOLDER --prompt 128 --generate 64 --threads 2
    python benchmarks/litert_theirs.py plain FOLDER ...

``lm`` runs ``model.litertlm`` by LiteRT-LM's own benchmark; ``plain`` runs the ``.tflite`` by
the interpreter's ``SignatureRunner``, greedily, as one would without that runtime.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np


def main() -> int:
    """Run and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("way", choices=("lm", "plain"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--prompt", type=int, default=128)
    parser.add_argument("--generate", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    run = by_lm if options.way == "lm" else by_interpreter
    prefill, decode = run(options.folder, options.prompt, options.generate, options.threads)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    found = {
        "prefill_tokens_per_s": prefill,
        "decode_tokens_per_s": decode,
        "peak_rss_bytes": float(peak),
    }
    print(json.dumps(found))
    return 0


def by_lm(folder: Path, prompt: int, generate: int, threads: int) -> tuple[float, float]:
    """Prefill and decode tokens/s, as LiteRT-LM says of itself."""
    import litert_lm

    with tempfile.TemporaryDirectory() as cache:
        info = litert_lm.Benchmark(
            model_path=str(next(folder.rglob("*.litertlm"))),
            backend=litert_lm.Backend.CPU(thread_count=threads),
            prefill_tokens=prompt,
            decode_tokens=generate,
            max_num_tokens=None,
            cache_dir=cache,
        ).run()
    return float(info.last_prefill_tokens_per_second), float(info.last_decode_tokens_per_second)


def by_interpreter(folder: Path, prompt: int, generate: int, threads: int) -> tuple[float, float]:
    """Prefill and decode tokens/s of the plain interpreter, its caches copied in and out."""
    from ai_edge_litert.interpreter import Interpreter

    model = next(folder.rglob("*quantized*.tflite"))
    interpreter = Interpreter(str(model), num_threads=threads)
    names = interpreter.get_signature_list()
    prefill = interpreter.get_signature_runner(next(n for n in names if n.startswith("prefill")))
    decode = interpreter.get_signature_runner("decode")
    inputs = _inputs(prefill, start=0)
    cache = {name: value for name, value in inputs.items() if "kv_cache" in name}
    began = time.monotonic()
    given = prefill(**inputs)
    prefill_s = time.monotonic() - began
    began = time.monotonic()
    for index in range(generate):
        cache = {name: given[name] for name in cache if name in given}
        given = decode(**{**_inputs(decode, start=prompt + index), **cache})
        int(np.argmax(given[next(name for name in given if "logits" in name)]))
    return prompt / prefill_s, generate / (time.monotonic() - began)


def _inputs(signature: Any, start: int) -> dict[str, Any]:
    """Zeros of the right shapes, with positions from ``start`` on."""
    found = {}
    for name, about in signature.get_input_details().items():
        value = np.zeros(about["shape"], about["dtype"])
        if "pos" in name:
            value += np.arange(start, start + value.size, dtype=value.dtype).reshape(value.shape)
        if "token" in name:
            value += 1
        found[name] = value
    return found


if __name__ == "__main__":
    sys.exit(main())
