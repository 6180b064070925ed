"""Make .venv from requirements.lock when it is missing or out of date. Needs Python and nothing else.

The files' content decides, not their time: in a fresh clone every file has a new time. What a user wants besides, or in
another version (DVC's remotes, a torch for an older driver or without CUDA), stands in requirements.own.txt and is
installed last. What it names is not installed from the lock before; with a torch of the user's own no CUDA library is.
"""

import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
STAMP = VENV / "installed"
CUDA = re.compile(
    r"triton|cuda-\w+|nvidia-(?!ml-py$)[\w-]+"
)  # what torch from PyPI needs on Linux, and nothing else does
NAMED = re.compile(r"([A-Za-z0-9][\w.-]*)\s*(?=[=<>!~@;\[ ]|$)")
LOCK, PROJECT, OWN = (ROOT / name for name in ("requirements.lock", "pyproject.toml", "requirements.own.txt"))


def main() -> None:
    if sys.version_info < (3, 11):  # noqa: UP036 - the system Python may be older than what the project supports
        sys.exit(
            f"Python 3.11 or newer is needed, this is {sys.version.split()[0]}; name one: make PYTHON=python3.12 …"
        )
    content = b"".join(path.read_bytes() for path in (LOCK, PROJECT, OWN) if path.exists())
    wanted = hashlib.sha256(content + str(ROOT).encode()).hexdigest()
    if STAMP.exists() and STAMP.read_text() == wanted:
        return
    lock = without(LOCK.read_text(), OWN.read_text() if OWN.exists() else "")
    print(announcement(lock), flush=True)
    python, uv = VENV / "bin/python", VENV / "bin/uv"
    if not python.exists():
        run(sys.executable, "-m", "venv", str(VENV))
    if not uv.exists():
        # uv installs in parallel from a shared cache: twice as fast as pip, ten times when another clone has been here.
        version = re.search(r"^uv==\S+", LOCK.read_text(), re.MULTILINE)
        run(str(python), "-m", "pip", "install", "--quiet", version.group() if version else "uv")
    # The system's certificates: behind a company's proxy, uv's own do not know who answers.
    install = (str(uv), "pip", "--quiet", "--system-certs")
    chosen = VENV / "requirements.txt"
    chosen.write_text(lock)
    run(*install, "sync", "--python", str(python), str(chosen))
    run(*install, "install", "--python", str(python), "--no-deps", "--editable", str(ROOT))
    if OWN.exists():
        run(*install, "install", "--python", str(python), "--requirements", str(OWN))
    STAMP.write_text(wanted)


def names(requirements: str) -> list[str]:
    found = (NAMED.match(line) for line in requirements.splitlines())
    return [match[1].lower().replace("_", "-") for match in found if match]


def without(lock: str, own: str) -> str:
    """The lock without what the user's own file names."""
    named = set(names(own))

    def is_replaced(line: str) -> bool:
        [name] = names(line) or [""]
        return name in named or ("torch" in named and CUDA.fullmatch(name) is not None)

    return "".join(line for line in lock.splitlines(keepends=True) if not is_replaced(line))


def announcement(lock: str, platform: str = sys.platform) -> str:
    """Sizes are those of an environment on Linux x86-64; on other systems nobody has measured them."""
    count = len(names(lock))
    if "torch" not in names(lock):
        size = "about 1 GB of disk besides the torch of requirements.own.txt"
    elif platform == "linux":
        size = "about 6.3 GB of disk, of which 4.1 GB are CUDA's libraries (docs/install.md says how to do without)"
    else:
        size = "a few GB of disk, without CUDA"
    return f"making .venv: up to {count} packages of requirements.lock, {size}; some minutes the first time"


def run(*command: str) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "VIRTUAL_ENV"}
    finished = subprocess.run(command, cwd=ROOT, env=environment)
    if finished.returncode:
        sys.exit(f"`{' '.join(command)}` failed; mend what it says and repeat the command")


if __name__ == "__main__":
    main()
