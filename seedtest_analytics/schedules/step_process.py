"""Imported by the fork server of a run: the process of a step ends when the process of its run is killed.

Otherwise a step would go on writing beside the retried run, and hold the fork server alive. The kernel ends the fork
server with the run's process, and the steps with the fork server. Elsewhere than on Linux a step ends by itself.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_SET_PARENT_DEATH_SIGNAL = 1
"""PR_SET_PDEATHSIG of prctl(2)."""


def end_with_parent() -> None:
    """Ask the kernel to kill this process when its parent ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)


if any("multiprocessing.forkserver" in argument for argument in sys.orig_argv):
    end_with_parent()
    os.register_at_fork(after_in_child=end_with_parent)
