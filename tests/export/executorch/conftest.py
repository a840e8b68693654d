from __future__ import annotations

from collections.abc import Callable

import pytest

from slmdeploy.export.executorch.lowering import StageLowering


@pytest.fixture(scope="session")
def shared_lowering() -> Callable[[str, str], StageLowering]:
    """Finished graphs by kernel set and kind of weights, for all tests of a session.

    Lowering takes nearly all of an export's time, and recipes whose weights take their
    form only in the file have the same graphs.
    """
    made: dict[tuple[str, str], StageLowering] = {}
    return lambda kernels, graphs: made.setdefault((kernels, graphs), StageLowering())
