"""One thread per test process: PyTorch's own threads would fight over the few cores."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
