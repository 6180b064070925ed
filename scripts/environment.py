"""Make .venv from requirements.lock if it is missing or out of date. Needs only Python.

The content of the files counts and not their time, because in a fresh clone every file has a new time. A user may name
additional packages or other versions (DVC's remotes, a torch for an older driver or without CUDA) in
requirements.own.txt. They replace the lock's versions; if torch is among them, no CUDA library is installed.
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
CUDA = re.compile(r"triton|cuda-\w+|nvidia-(?!ml-py$)[\w-]+")  # packages that only torch from PyPI needs on Linux
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
        # uv installs in parallel from a shared cache: twice as fast as pip, and ten times as fast with a filled cache.
        version = re.search(r"^uv==\S+", LOCK.read_text(), re.MULTILINE)
        run(str(python), "-m", "pip", "install", "--quiet", version.group() if version else "uv")
    # Use the system's certificates: uv's certificates do not cover a company's proxy.
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
    """The lock without the packages that requirements.own.txt names."""
    named = set(names(own))

    def is_replaced(line: str) -> bool:
        [name] = names(line) or [""]
        return name in named or ("torch" in named and CUDA.fullmatch(name) is not None)

    return "".join(line for line in lock.splitlines(keepends=True) if not is_replaced(line))


def announcement(lock: str, platform: str = sys.platform) -> str:
    """Sizes for Linux x86-64; they are not measured on other systems."""
    count = len(names(lock))
    if "torch" not in names(lock):
        size = "about 1 GB of disk besides the torch of requirements.own.txt"
    elif platform == "linux":
        size = "about 6.3 GB of disk, of which 4.1 GB are CUDA's libraries (docs/install.md: an environment without it)"
    else:
        size = "a few GB of disk, without CUDA"
    return f"making .venv: up to {count} packages of requirements.lock, {size}; some minutes the first time"


def run(*command: str) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "VIRTUAL_ENV"}
    finished = subprocess.run(command, cwd=ROOT, env=environment)
    if finished.returncode:
        sys.exit(f"`{' '.join(command)}` failed; correct the problem and repeat the command")


if __name__ == "__main__":
    main()
