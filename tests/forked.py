"""Work in a forked child: what it leaves behind in torch (threads, compiled code, fake devices) goes with it."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable


def forked(work: Callable[[], object]) -> None:
    """Run `work` in a child; what fails there fails here."""
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        status = 70
        try:
            work()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, "see the child's traceback"
