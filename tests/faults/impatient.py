"""The command ``slmdeploy``, to which a dead line is dead after seconds, not after half a minute.

``python -m tests.faults.impatient push ...``; nothing else differs from the installed command.
"""

from __future__ import annotations

import sys

from slmdeploy.device.runs import retry

# Before anything takes it as a default.
retry.AWAY_SECONDS = 8.0

from slmdeploy.cli.app import run  # noqa: E402
from slmdeploy.device.probes import watch  # noqa: E402
from slmdeploy.transport.ssh import link as ssh_link  # noqa: E402
from slmdeploy.transport.ssh import session as ssh_session  # noqa: E402

ssh_link.DEAD_LINK_SECONDS = 4
ssh_session.KEEPALIVE_SECONDS = 1
watch._AWAY_S = 2.0

if __name__ == "__main__":
    sys.argv[0] = "slmdeploy"
    sys.exit(run(sys.argv[1:]))
