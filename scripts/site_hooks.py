"""What mkdocs needs beside docs/: README.md as the first page, a page for each study, and the code that pages link to.

Links in our Markdown lead through the repository, as on a code host. In the site a link to a page becomes that page, a
link to a file of code becomes a page with its lines (a name in the link leads to its definition), and other files are
copied.
"""

from __future__ import annotations

import os
import posixpath
import re
import subprocess
from pathlib import Path

from mkdocs.structure.files import File, Files

from semiseg.report.html.formulas import typeset

ROOT = Path(__file__).resolve().parents[1]
FORMULAS = ROOT / "src/semiseg/report/html/assets/formulas.css"
PAGES = {"README.md": "index.md", "CONTRIBUTING.md": "CONTRIBUTING.md", "CHANGELOG.md": "CHANGELOG.md"}
LANGUAGES = {".py": "python", ".smk": "python", ".yaml": "yaml", ".yml": "yaml", ".toml": "toml", ".sh": "bash"}
LINK = re.compile(r"(!?\[[^\]]*\])\(([^)\s]+)\)")
UNSEARCHED = "---\nsearch: {exclude: true}\n---\n"  # code would stand before the docs in what a search finds
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def on_files(files: Files, config) -> Files:
    """Add the pages that lie outside of docs/, and all that they link to."""
    sources = {page: source for source, page in PAGES.items()}
    sources |= {path: path for path in _tracked("results/README.md", "results/*/README.md")}
    for page, source in sources.items():
        files.append(File.generated(config, page, content=(ROOT / source).read_text()))
    config.extra["sources"] = sources
    for file in [file for file in files if file.is_documentation_page()]:
        for target in _targets(file.content_string, sources.get(file.src_uri, f"docs/{file.src_uri}")):
            _add(files, config, target)
    files.append(File.generated(config, "assets/formulas.css", abs_src_path=str(FORMULAS)))
    _leave_out_what_is_not_there(config, files)
    return files


def on_page_markdown(markdown: str, page, config, files) -> str:
    source = config.extra["sources"].get(page.file.src_uri, f"docs/{page.file.src_uri}")
    if page.file.src_uri.startswith("code/"):
        return markdown

    def link(found: re.Match) -> str:
        place, _, anchor = found[2].partition("#")
        target = _resolve(place, source)
        if target is None:
            return found[0]
        uri = _uri(target)
        if uri.startswith("code/"):
            anchor = re.sub(r"^L(\d+).*", r"__codelineno-0-\1", anchor) or _line_of(found[1], ROOT / target)
        way = posixpath.relpath(uri, posixpath.dirname(page.file.src_uri) or ".")
        return f"{found[1]}({way}{'#' + anchor if anchor else ''})"

    return _outside_of_code(LINK, link, markdown)


def on_page_content(html: str, page, config, files) -> str:
    return typeset(html)


def _outside_of_code(pattern: re.Pattern, replace, text: str) -> str:
    parts, end = [], 0
    for fence in FENCE.finditer(text):
        parts += [pattern.sub(replace, text[end : fence.start()]), fence[0]]
        end = fence.end()
    return "".join([*parts, pattern.sub(replace, text[end:])])


def _tracked(*patterns: str) -> list[str]:
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", *patterns]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return sorted({name for name in listed.split("\0") if name and (ROOT / name).exists()})


def _targets(text: str, source: str) -> set[str]:
    text = FENCE.sub("", text)
    found = (_resolve(match[2].partition("#")[0], source) for match in LINK.finditer(text))
    return {target for target in found if target}


def _resolve(place: str, source: str) -> str | None:
    """The path in the repository that a link of `source` leads to; None for addresses and for what is not there."""
    if not place or "://" in place or place.startswith("mailto:"):
        return None
    target = posixpath.normpath(posixpath.join(posixpath.dirname(source), place))
    return target if (ROOT / target).exists() else None


def _uri(target: str) -> str:
    """Where a file of the repository stands in the site's sources."""
    if target in PAGES:
        return PAGES[target]
    if target.startswith("docs/"):
        rest = target.removeprefix("docs/")
        return f"{rest}/README.md" if (ROOT / target).is_dir() else rest
    if (ROOT / target).is_dir():
        return f"{target}/README.md" if (ROOT / target / "README.md").exists() else f"code/{target}.md"
    if target.endswith(".md") and target.startswith("results/"):
        return target
    return f"code/{target}.md" if _is_text(ROOT / target) else target


def _is_text(path: Path) -> bool:
    return path.suffix in LANGUAGES or path.name in ("Snakefile", "Makefile", ".gitignore") or path.suffix == ".cff"


def _line_of(text: str, path: Path) -> str:
    """The anchor of a function or class that a link names, as in [`mean_iou`](…/selection.py)."""
    name = re.fullmatch(r"\[`(\w+)`\]", text)
    if name and path.suffix == ".py":
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if re.match(rf"(def|class) {name[1]}\b", line):
                return f"__codelineno-0-{number}"
    return ""


def _add(files: Files, config, target: str) -> None:
    uri, path = _uri(target), ROOT / target
    if files.get_file_from_path(uri) is not None:
        return
    if not uri.startswith("code/"):
        files.append(File.generated(config, uri, abs_src_path=str(path)))
    elif path.is_dir():
        names = [os.path.relpath(name, target) for name in _tracked(f"{target}/*")]
        listed = "\n".join(f"- `{name}`" for name in names)
        files.append(File.generated(config, uri, content=f"{UNSEARCHED}# {target}\n\n{listed}\n"))
    else:
        language = LANGUAGES.get(path.suffix, "text")
        text = f'# {target}\n\n````{language} linenums="1"\n{path.read_text()}\n````\n'
        files.append(File.generated(config, uri, content=text))


def _leave_out_what_is_not_there(config, files: Files) -> None:
    """A page of the navigation that has not been written yet is left out; a folder stands for its pages."""

    def kept(items: list) -> list:
        found = []
        for item in items:
            title, value = next(iter(item.items())) if isinstance(item, dict) else (None, item)
            if isinstance(value, list):
                found.append({title: kept(value)})
            elif value.endswith("/"):
                pages = sorted(file.src_uri for file in files if file.src_uri.startswith(value))
                pages.sort(key=lambda uri: not uri.endswith("README.md"))
                found.append({title: pages})
            elif value.endswith(".html") or files.get_file_from_path(value) is not None:
                found.append(item)
        return found

    config.nav = kept(config.nav)
