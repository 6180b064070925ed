"""Settings for all test processes."""

import os
import signal

import pytest

# PyTorch's own threads would fight over the few cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A shell starts background jobs deaf to Ctrl-C, and whatever they start inherits it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest tests first, so that no process waits for another one at the end."""
    items.sort(key=lambda item: item.path.parent.name not in ("workflow", "tutorial"))
