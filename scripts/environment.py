"""Make .venv from requirements.lock when it is missing or out of date. Needs Python and nothing else.

The files' content decides, not their time: in a fresh clone every file has a new time. What a user wants besides, or in
another version (DVC's remotes, a torch for an older driver), stands in requirements.own.txt and is installed last.
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
    print("making .venv from requirements.lock: some minutes and about 6 GB the first time", flush=True)
    python, uv = VENV / "bin/python", VENV / "bin/uv"
    if not python.exists():
        run(sys.executable, "-m", "venv", str(VENV))
    if not uv.exists():
        # uv installs in parallel from a shared cache: twice as fast as pip, ten times when another clone has been here.
        version = re.search(r"^uv==\S+", LOCK.read_text(), re.MULTILINE)
        run(str(python), "-m", "pip", "install", "--quiet", version.group() if version else "uv")
    # The system's certificates: behind a company's proxy, uv's own do not know who answers.
    install = (str(uv), "pip", "--quiet", "--system-certs")
    run(*install, "sync", "--python", str(python), str(LOCK))
    run(*install, "install", "--python", str(python), "--no-deps", "--editable", str(ROOT))
    if OWN.exists():
        run(*install, "install", "--python", str(python), "--requirements", str(OWN))
    STAMP.write_text(wanted)


def run(*command: str) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "VIRTUAL_ENV"}
    finished = subprocess.run(command, cwd=ROOT, env=environment)
    if finished.returncode:
        sys.exit(f"`{' '.join(command)}` failed; mend what it says and repeat the command")


if __name__ == "__main__":
    main()
