"""A runtime for Python that is a few lines: what provisioning needs of one, and no more."""

from __future__ import annotations

import sys
from pathlib import Path

from slmdeploy.device.provision.board_python import Interpreter
from slmdeploy.device.provision.runtime_choice import PythonChoice
from slmdeploy.runtime.smoke import OUTPUT
from slmdeploy.runtime.wheel_packages import runtime_wheel

INTERPRETER = f"""
import numpy
class Interpreter:
    def __init__(self, model_content): assert model_content[4:8] == b"TFL3"
    def allocate_tensors(self): pass
    def get_input_details(self): return [{{"index": 0}}]
    def get_output_details(self): return [{{"index": 1}}]
    def set_tensor(self, index, value): assert value.shape == (1, 4)
    def invoke(self): pass
    def get_tensor(self, index): return numpy.array([{list(OUTPUT)}], numpy.float32)
"""


def this_python(runtime: str = "litert") -> PythonChoice:
    """The choice for this interpreter, whose own numpy is used."""
    python = Interpreter(sys.executable, "3.11.0", "cpython-311-x86_64-linux-gnu", "2.0.0")
    return PythonChoice(runtime_wheel(runtime, "3.11", "x86_64"), python, None)


def make_package(folder: Path, module: str = "ai_edge_litert", code: str = INTERPRETER) -> Path:
    """A folder as an unpacked wheel."""
    package = folder / module
    package.mkdir(parents=True)
    (package / "__init__.py").write_text('__version__ = "9.9"\n')
    (package / "interpreter.py").write_text(code)
    return folder
