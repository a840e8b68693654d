from __future__ import annotations

import pytest

from slmdeploy.device.provision.smoke_test import _cause
from slmdeploy.transport.base import Result

# As numpy 2.2.6 says it on a board without libgcc_s.
NUMPY = """Traceback (most recent call last):
  File "<string>", line 47, in <module>
ImportError: libgcc_s.so.1: cannot open shared object file: No such file or directory

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "<string>", line 28, in run
ImportError: Error importing numpy: you should not try to import numpy from
        its source directory; please exit the numpy source tree, and relaunch
        your python interpreter from there.
"""
GLIBC = (
    "ImportError: /lib/aarch64-linux-gnu/libm.so.6: version `GLIBC_2.34' not found (required by "
    "/home/pi/.slmdeploy/runtimes/litert/a/ai_edge_litert/libpywrap_litert_common.so)"
)


@pytest.mark.parametrize(
    ("code", "stderr", "cause"),
    [
        (1, NUMPY, "ImportError: libgcc_s.so.1: cannot open shared object file: No such file or"),
        (1, f"Traceback\n{GLIBC}\n", GLIBC),
        (1, "Traceback\nValueError: no.\nINFO: bye\n", "ValueError: no"),
        (1, "something.\n", "something"),
        (3, "", "it ended with code 3"),
        (-4, "", "the processor does not know an instruction in it"),
        (139, "INFO: Created\n", "it crashed (segmentation fault)"),
    ],
)
def test_the_line_that_tells_most_is_told(code: int, stderr: str, cause: str) -> None:
    assert _cause(Result(code, "", stderr)).startswith(cause)
