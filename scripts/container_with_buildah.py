"""Build workflow/container.def with buildah, where there is no Apptainer; no service has to run.

    python scripts/container_with_buildah.py [--base IMAGE | --base FOLDER] [--tag semiseg] [--run OPTION ...]

A base other than the definition's is an image of your own or a folder with the files of one, for machines that reach no
registry of images. `--run` hands an option to every `buildah run`, as `--run=--volume=/etc/ssl/certs:/etc/ssl/certs:ro`
behind a company's proxy. The sections become buildah's steps, in Apptainer's order; %test has to pass before the image
is committed.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DEFINITION = ROOT / "workflow/container.def"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", help="an image, or a folder with the files of one; default: the definition's")
    parser.add_argument("--tag", default="semiseg")
    parser.add_argument("--run", action="append", default=[], metavar="OPTION")
    options = parser.parse_args()
    if not shutil.which("buildah"):
        sys.exit("buildah is not installed; Debian and Fedora have a package of that name")
    header, sections = parse(DEFINITION.read_text(encoding="utf-8"))
    container = start(options.base or header["From"])
    try:
        fill(container, sections, options.run)
        buildah("commit", "--quiet", container, options.tag)
    except subprocess.CalledProcessError as error:
        sys.exit(f"`buildah {error.cmd[1]}` ended with {error.returncode}; no image was made")
    finally:
        buildah("rm", container)
    print(f"built {options.tag}; `podman run {options.tag} --version` tries it")


def parse(definition: str) -> tuple[dict[str, str], dict[str, str]]:
    """The header's entries, and the text of each section."""
    header, *parts = re.split(r"^%(?=\w)", definition, flags=re.M)
    entries = dict(line.split(": ", 1) for line in header.splitlines() if line.strip())
    return entries, {name: text for name, _, text in (part.partition("\n") for part in parts)}


def start(base: str) -> str:
    if not Path(base).is_dir():
        return buildah("from", base)
    container = buildah("from", "scratch")
    buildah("add", "--quiet", container, base, "/")
    return container


def fill(container: str, sections: dict[str, str], run: list[str]) -> None:
    for line in filter(str.strip, sections["files"].splitlines()):
        source, target = line.split()
        buildah("copy", "--quiet", container, str(ROOT / source), target)
    shell(container, run, sections["post"])
    shell(container, run, f"set -eu\n{sections['environment']}{sections['test']}")
    entry = ["sh", "-c", sections["environment"] + sections["runscript"], "semiseg"]
    buildah("config", "--entrypoint", json.dumps(entry), container)


def shell(container: str, run: list[str], commands: str) -> None:
    subprocess.run(["buildah", "run", *run, container, "--", "sh", "-c", commands], check=True)


def buildah(*arguments: str) -> str:
    """What it prints, without the last line's end."""
    return subprocess.run(["buildah", *arguments], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


if __name__ == "__main__":
    main()
