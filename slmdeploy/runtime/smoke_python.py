"""Runs on the board, in its own Python: load a TensorFlow Lite model and run it once.

    python3 -c "$(cat smoke_python.py)" PACKAGE INPUT... <model.tflite

Nothing but the standard library, numpy and the runtime is used. Prints one JSON object:
the versions, where numpy came from, and what the model answered.
"""

from __future__ import annotations

import importlib
import json
import platform
import sys

__all__ = ["run"]


def run(package: str, model: bytes, inputs: list[float]) -> dict[str, object]:
    """Run a model with one input and one output, both float32.

    Args:
        package: ``ai_edge_litert`` or ``tflite_runtime``.
        model: The ``.tflite``.
        inputs: One row.
    """
    np = importlib.import_module("numpy")
    interpreter_of = importlib.import_module(package + ".interpreter").Interpreter
    version = getattr(importlib.import_module(package), "__version__", None)
    interpreter = interpreter_of(model_content=model)
    interpreter.allocate_tensors()
    taken, given = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    interpreter.set_tensor(taken["index"], np.array([inputs], np.float32))
    interpreter.invoke()
    return {
        "version": version,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "numpy_path": np.__file__,
        "output": [float(y) for y in interpreter.get_tensor(given["index"])[0]],
    }


if __name__ == "__main__":
    sys.path.pop(0)  # of -c: the current folder, where a file may be called numpy.py
    print(json.dumps(run(sys.argv[1], sys.stdin.buffer.read(), [float(x) for x in sys.argv[2:]])))  # noqa: T201
