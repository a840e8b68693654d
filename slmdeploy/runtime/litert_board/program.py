"""A ``.tflite`` in whichever runtime is there: its signatures, with their memory in view.

The runtimes' own ``SignatureRunner`` sets every input and copies every output in each
call, the whole KV cache among them. Here a signature's tensors are numpy views of the
interpreter's memory, taken once; a call is the bare ``Invoke``.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from typing import Any

from slmdeploy.runtime.litert_board.args import RUNTIMES
from slmdeploy.runtime.litert_board.saying import UNLOADABLE, Failure, now_ns, say

__all__ = ["Program", "Runtime", "Signature", "find_runtime"]

_IDENTIFIER, _HEAD = b"TFL3", 8
_MISSING = re.compile(
    r"builtin opcode|unresolved custom op|builtin_code out of range|not registered|"
    r"Op builtin|unsupported version",
    re.IGNORECASE,
)
_DAMAGED = re.compile(r"latbuffer|identifier|out of range offset|verif", re.IGNORECASE)


class Runtime:
    """A runtime: its name, version and the class of its interpreters."""

    def __init__(self, name: str, version: str | None, interpreter: Any) -> None:
        self.name = name
        self.version = version
        self.interpreter = interpreter


def find_runtime(name: str | None) -> Runtime:
    """Import the runtime of this name, or the first that is there.

    Raises:
        Failure: ``library_failed``: none is there, or what is there cannot be loaded.
    """
    reasons = []
    for known, package in RUNTIMES.items():
        if name not in (None, known):
            continue
        try:
            module = importlib.import_module(package + ".interpreter")
        except (ImportError, OSError, AttributeError) as error:
            reasons.append(f"{package}: {error}")
            continue
        return Runtime(known, _version(package), module.Interpreter)
    raise Failure(
        UNLOADABLE,
        "library_failed",
        f"Python {sys.version_info[0]}.{sys.version_info[1]} has no runtime that loads ("
        + "; ".join(reasons)
        + ").",
        "The board needs numpy and a wheel of the runtime for this Python: push brings it.",
    )


def _version(package: str) -> str | None:
    with contextlib.suppress(Exception):
        from importlib import metadata

        return metadata.version(package.replace("_", "-"))
    version = getattr(importlib.import_module(package), "__version__", None)
    return None if version is None else str(version)


class Signature:
    """A signature that is ready: its inputs and outputs are views of its memory.

    Args:
        program: What it belongs to.
        name: Its key in the file.
    """

    def __init__(self, program: Program, name: str) -> None:
        self.name = name
        self._program = program
        self._raw = program.interpreter._interpreter  # noqa: SLF001 - see the module
        self._graph = self._raw.GetSubgraphIndexFromSignature(name)
        self._names = program.signatures[name]
        start = now_ns()
        try:
            with program.log.kept():
                if not program.delegated:
                    # Without a number: only so tflite-runtime hands graphs to delegates.
                    self._raw.AllocateTensors()
                    program.delegated = True
                if self._graph != 0:
                    self._raw.AllocateTensors(self._graph)
        except (RuntimeError, ValueError) as error:
            raise program.failure(error, "load") from error
        say("load", phase="method", name=name, start_ns=start, end_ns=now_ns())
        self.inputs = self._views("inputs")
        self.outputs: dict[str, Any] = {}

    def run(self) -> tuple[int, int]:
        """Run once; gives start and end in nanoseconds."""
        start = now_ns()
        try:
            self._raw.Invoke(self._graph)
        except (RuntimeError, ValueError) as error:
            raise self._program.failure(error, "run") from error
        end = now_ns()
        if not self.outputs:  # a kernel may settle on its memory in the first run
            self.outputs = self._views("outputs")
        return start, end

    def fresh_outputs(self) -> dict[str, Any]:
        """The outputs where they are now: those without a fixed size move."""
        return self._views("outputs")

    def _views(self, side: str) -> dict[str, Any]:
        interpreter, graph = self._program.interpreter, self._graph
        return {
            name: self._raw.tensor(interpreter, index, graph)
            for name, index in self._names[side].items()
        }


class Program:
    """A ``.tflite`` that was opened.

    Args:
        path: The file.
        runtime: What shall run it.
        threads: Worker threads.
    """

    def __init__(self, path: str, runtime: Runtime, threads: int) -> None:
        _check_file(path)
        self.path = path
        self.runtime = runtime
        self.log = _Log()
        self.delegated = False
        start = now_ns()
        try:
            with self.log.kept():
                self.interpreter = runtime.interpreter(model_path=path, num_threads=threads)
        except (RuntimeError, ValueError) as error:
            raise self.failure(error, "load") from error
        say("load", phase="program", name=os.path.basename(path), start_ns=start, end_ns=now_ns())
        found = self.interpreter._get_full_signature_list()  # noqa: SLF001 - with indices
        self.signatures: dict[str, dict[str, dict[str, int]]] = found

    def load(self, name: str) -> Signature:
        """Make a signature ready.

        Raises:
            Failure: ``method_missing``, or it cannot be loaded.
        """
        if name not in self.signatures:
            raise Failure(
                UNLOADABLE,
                "method_missing",
                f"The model has no signature '{name}'.",
                "It has: " + (", ".join(sorted(self.signatures)) or "none") + ".",
            )
        return Signature(self, name)

    def tensors(self, name: str, side: str) -> list[dict[str, Any]]:
        """Name, dtype and shape of a signature's inputs or outputs, in order.

        Inputs are the first tensors of a graph, in the order that it takes them. Outputs go
        by the number at the end of their names.
        """
        graph = self.interpreter._interpreter.GetSubgraphIndexFromSignature(name)  # noqa: SLF001
        details = self.interpreter._get_tensor_details  # noqa: SLF001 - of any graph
        found = []
        items = self.signatures[name][side].items()
        for key, index in sorted(items, key=lambda item: _place(item, side)):
            about = details(index, graph)
            shape = [int(size) for size in about["shape"]]
            found.append({"name": key, "dtype": about["dtype"].__name__, "shape": shape})
        return found

    def failure(self, error: Exception, doing: str) -> Failure:
        """What a runtime's exception means, with what it logged."""
        said = " ".join(f"{error} {self.log.last_error()}".split())
        version = "" if self.runtime.version is None else " " + self.runtime.version
        who = self.runtime.name + version
        if _MISSING.search(said):
            return Failure(
                UNLOADABLE,
                "operator_missing",
                f"{who} lacks an operator of the model: {said}",
                "Export for the target of this runtime.",
            )
        if doing == "run":
            return Failure(4, "execution_failed", f"{who} failed while it ran: {said}")
        cause = "bad_model" if _DAMAGED.search(said) else "load_failed"
        return Failure(
            UNLOADABLE,
            cause,
            f"{who} cannot load {self.path!r}: {said}",
            "Push the bundle again; its target must be one of this runtime.",
        )

    def delegation(self) -> dict[str, Any]:
        """Which delegate took how many operators of the first signature's graph.

        The runtime lists the operators of its first graph alone. What runs inside a
        delegate is all that its outputs depend on, back to its inputs.
        """
        raw = self.interpreter._interpreter  # noqa: SLF001
        count = raw.NumNodes()
        names = [raw.NodeName(index) for index in range(count)]
        maker: dict[int, int] = {}
        for index in range(count):
            if names[index] != "DELEGATE":
                maker.update(dict.fromkeys((int(t) for t in raw.NodeOutputs(index)), index))
        calls = [index for index in range(count) if names[index] == "DELEGATE"]
        taken: set[int] = set()
        for call in calls:
            edge = {int(tensor) for tensor in raw.NodeInputs(call)}
            taken |= _behind(raw, maker, raw.NodeOutputs(call), edge)
        return {
            "delegate": self.log.delegate if calls else None,
            "delegates": len(calls),
            "delegated_ops": len(taken),
            "total_ops": count - len(calls),
        }


def _behind(raw: Any, maker: dict[int, int], outputs: Any, edge: set[int]) -> set[int]:
    """Operators that outputs depend on, up to an edge of tensors."""
    found: set[int] = set()
    waiting = [int(tensor) for tensor in outputs]
    while waiting:
        tensor = waiting.pop()
        index = maker.get(tensor)
        if index is None or index in found:
            continue
        found.add(index)
        inputs = (int(t) for t in raw.NodeInputs(index))
        waiting += [t for t in inputs if t not in edge]
    return found


def _place(item: tuple[str, int], side: str) -> tuple[int, int]:
    digits = re.search("_([0-9]+)$", item[0]) if side == "outputs" else None
    return (int(digits.group(1)) if digits else -1, item[1])


class _Log:
    """What the runtime writes to standard error while it works: kept, then handed on."""

    def __init__(self) -> None:
        self.text = ""
        self.loud = False

    @property
    def delegate(self) -> str | None:
        """The delegate that it said it made."""
        found = re.search(r"Created TensorFlow Lite (\w+) delegate", self.text)
        return None if found is None else found.group(1)

    def last_error(self) -> str:
        """The last line that says ERROR, or that is not one of its notes."""
        lines = [line for line in self.text.splitlines() if line and "INFO:" not in line]
        return lines[-1] if lines else ""

    @contextlib.contextmanager
    def kept(self) -> Iterator[None]:
        with tempfile.TemporaryFile() as file:
            before = os.dup(2)
            os.dup2(file.fileno(), 2)
            try:
                yield
            finally:
                os.dup2(before, 2)
                os.close(before)
                file.seek(0)
                said = file.read().decode("utf-8", "replace")
                self.text += said
                if self.loud and said:
                    sys.stderr.write(said)


def _check_file(path: str) -> None:
    """Tell a file that is no model from one that the runtime will not take."""
    try:
        with open(path, "rb") as file:
            head = file.read(_HEAD)
    except OSError as error:
        away = isinstance(error, (FileNotFoundError, NotADirectoryError))
        raise Failure(
            UNLOADABLE,
            "file_not_found" if away else "file_unreadable",
            f"'{path}' cannot be read: {error.strerror}.",
            "slmdeploy push brings it to the device." if away else None,
            error.errno,
        ) from error
    if head[4:] != _IDENTIFIER:
        raise Failure(
            UNLOADABLE,
            "bad_model",
            f"'{path}' is not a LiteRT model.",
            "Give the .tflite file of a bundle.",
        )
