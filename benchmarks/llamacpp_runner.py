"""llama.cpp as a runner: one process, token ids in, the events of our runner protocol out.

    python benchmarks/llamacpp_runner.py --model FILE.gguf --threads N --context N --max-new N < ids

So both engines are timed by the same definitions: the same events, the same clock
(``CLOCK_MONOTONIC``), a stamp when the next token is known. Needs the extra ``bench``
(llama-cpp-python), which pip compiles for this processor; prebuilt wheels of llama.cpp
leave AVX-512 out and would make a slow yardstick. All settings are llama.cpp's own
defaults, but for threads and the size of the cache.

As llama.cpp's own benchmark does, one pass over the prompt and one token come before
what is timed; here they count as loading.
"""

from __future__ import annotations

import argparse
import ctypes
import importlib
import json
import os
import platform
import resource
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

PROTOCOL = 1
_STATUS = {
    "rss_bytes": "VmRSS",
    "anon_bytes": "RssAnon",
    "file_bytes": "RssFile",
    "shmem_bytes": "RssShmem",
    "peak_rss_bytes": "VmHWM",
}


def main() -> int:
    """Generate greedily; the end of text is ignored."""
    begun = time.monotonic_ns()
    options = _options()
    tokens = [int(word) for word in sys.stdin.read().split()]
    # By name: it has no types, and need not be installed where types are checked.
    library = importlib.import_module("llama_cpp")
    emit(
        "start",
        protocol=PROTOCOL,
        runtime="llama.cpp",
        runtime_version=f"llama-cpp-python {library.__version__}",
        system=library.llama_print_system_info().decode(),
        arch=platform.machine(),
        threads=options.threads,
        pid=os.getpid(),
        t_ns=begun,
    )
    emit_memory("start")
    engine = Engine(library, options)
    emit_memory("methods")
    _warm_up(engine, tokens)
    generated = _answer(engine, tokens, options.max_new)
    emit_memory("end")
    emit("done", reason="length", generated=generated, t_ns=time.monotonic_ns())
    return 0


class Engine:
    """A model and a context of llama.cpp, through its C functions.

    Attributes:
        vocabulary: Tokens in it.
    """

    def __init__(self, library: Any, options: argparse.Namespace) -> None:
        self._library = library
        library.llama_backend_init()
        start = time.monotonic_ns()
        model_params = library.llama_model_default_params()
        model_params.n_gpu_layers = 0
        self._model = library.llama_model_load_from_file(os.fsencode(options.model), model_params)
        if not self._model:
            raise SystemExit(f"llama.cpp cannot load {options.model}.")
        params = library.llama_context_default_params()
        params.n_ctx = options.context
        params.n_threads = params.n_threads_batch = options.threads
        self._batch = int(params.n_batch)
        self._context = library.llama_init_from_model(self._model, params)
        if not self._context:
            raise SystemExit(f"llama.cpp cannot hold {options.context} tokens of {options.model}.")
        emit_load("program", options.model, start)
        self.vocabulary = library.llama_vocab_n_tokens(library.llama_model_get_vocab(self._model))

    def feed(self, tokens: Sequence[int]) -> Any:
        """Take tokens at the next positions; gives the last one's logits, float32 [vocabulary]."""
        for begin in range(0, len(tokens), self._batch):
            part = tokens[begin : begin + self._batch]
            ids = (self._library.llama_token * len(part))(*part)
            code = self._library.llama_decode(
                self._context, self._library.llama_batch_get_one(ids, len(part))
            )
            if code != 0:
                raise SystemExit(f"llama_decode gave {code}.")
        # Waits until the computation is over.
        logits = self._library.llama_get_logits_ith(self._context, -1)
        address = ctypes.cast(logits, ctypes.c_void_p).value
        return np.frombuffer((ctypes.c_float * self.vocabulary).from_address(address), np.float32)

    def forget(self) -> None:
        """Empty the cache."""
        self._library.llama_memory_clear(self._library.llama_get_memory(self._context), True)  # noqa: FBT003 - a C function


def _warm_up(engine: Engine, tokens: Sequence[int]) -> None:
    start = time.monotonic_ns()
    logits = engine.feed(tokens)
    engine.feed([int(logits.argmax())])
    engine.forget()
    emit_load("method", "warm-up", start)


def _answer(engine: Engine, tokens: Sequence[int], max_new: int) -> int:
    start = time.monotonic_ns()
    logits = engine.feed(tokens)
    emit(
        "prefill",
        method="llama_decode",
        position=0,
        tokens=len(tokens),
        rows=len(tokens),
        start_ns=start,
        end_ns=time.monotonic_ns(),
    )
    for index in range(max_new):
        token = int(logits.argmax())
        emit("token", index=index, id=token, start_ns=start, t_ns=time.monotonic_ns())
        if index + 1 < max_new:
            start = time.monotonic_ns()
            logits = engine.feed([token])
    return max_new


def emit(event: str, **data: Any) -> None:
    """Write one event."""
    print(json.dumps({"event": event, **data}), flush=True)


def emit_load(phase: str, name: str, start_ns: int) -> None:
    """Write what was loaded, from ``start_ns`` until now."""
    emit("load", phase=phase, name=name, start_ns=start_ns, end_ns=time.monotonic_ns())


def emit_memory(phase: str) -> None:
    """Write the memory of this process; Python's own is in it."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    found = dict(line.split(":", 1) for line in lines)
    sizes = {key: int(found[name].split()[0]) * 1024 for key, name in _STATUS.items()}
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_majflt
    emit("memory", phase=phase, t_ns=time.monotonic_ns(), **sizes, major_faults=faults)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", required=True, help="a GGUF file")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--context", type=int, required=True, help="tokens that the cache holds")
    parser.add_argument("--max-new", type=int, required=True, help="tokens to generate")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
