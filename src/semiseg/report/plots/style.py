"""One look for all plots: readable in print and by colour-blind people, and the same bytes every time."""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

from semiseg.base import files
from semiseg.report import names

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 130
# After Okabe and Ito and the dark ones of Tol's, each darkened until its contrast to white paper is at least 3 to 1.
COLOURS = (
    "#0072b2", "#d55e00", "#009e73", "#c0619a", "#882255", "#a87900", "#2f93d0", "#2c8c7d", "#332288", "#7f7f1f",
)  # fmt: skip
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "h")
DASHES = ((), (4, 1.5), (1, 1), (3, 1, 1, 1), (6, 2), (2, 2), (5, 1, 1, 1, 1, 1))
FONTS = "'DejaVu Sans', Verdana, sans-serif"  # for viewers without the font that was measured
SETTINGS = {
    "svg.hashsalt": "semiseg",
    "svg.fonttype": "none",
    "font.family": "DejaVu Sans",
    "axes.titlesize": "medium",
    "figure.constrained_layout.use": True,
    "legend.frameon": False,
    "savefig.facecolor": "white",
}


@contextmanager
def plotting() -> Iterator[None]:
    """Import the libraries late and without a display; leave their global state as it was."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    import seaborn

    with seaborn.axes_style("whitegrid"), seaborn.plotting_context("notebook", font_scale=0.85):
        with matplotlib.rc_context(SETTINGS):
            yield
        plt.close("all")


def look(method: str, position: int) -> dict[str, Any]:
    """Colour, marker and dashes of a method; `position` tells variants of one method apart."""
    if method == "supervised":
        return {
            "color": "black",
            "marker": MARKERS[4 * position % len(MARKERS)],
            "dashes": DASHES[position % len(DASHES)],
        }
    known = [name for name in names.in_order() if name != "supervised"]
    index = known.index(method) if method in known else len(known)
    return {
        "color": COLOURS[index % len(COLOURS)],
        "marker": MARKERS[(1 + index + 4 * position) % len(MARKERS)],
        "dashes": DASHES[position % len(DASHES)],
    }


def looks(things: list[Any]) -> dict[str, dict[str, Any]]:
    """Label -> look, in the order in which methods are always listed."""
    found: dict[str, dict[str, Any]] = {}
    count: dict[str, int] = {}
    for thing in sorted(things, key=names.rank):
        label = names.of(thing)
        method = thing["method"] if isinstance(thing, dict) else thing.method
        if label not in found:
            found[label] = look(method, count.get(method, 0))
            count[method] = count.get(method, 0) + 1
    return found


def seaborn_style(found: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Arguments of seaborn.lineplot that give every label its look."""
    return {
        "hue_order": list(found),
        "style_order": list(found),
        "palette": {label: one["color"] for label, one in found.items()},
        "markers": {label: one["marker"] for label, one in found.items()},
        "dashes": {label: one["dashes"] for label, one in found.items()},
    }


def legend_below(figure: Figure, handles: Sequence[Any], labels: Sequence[str]) -> None:
    """Under the panels, which keep their size: the figure grows by the rows of the legend."""
    width, height = figure.get_size_inches()
    columns = max(1, int(width / (0.55 + 0.085 * max(map(len, labels)))))
    figure.set_size_inches(width, height + 0.21 * -(-len(labels) // columns))
    figure.legend(handles, labels, loc="outside lower center", ncols=columns)


# Neither dates nor versions.
METADATA = {"svg": dict.fromkeys(("Date", "Creator", "Format", "Type")), "png": {"Software": None}}


def save(figure: Figure, folder: Path, name: str) -> None:
    """SVG and PNG, written whole."""
    for suffix, content in encoded(figure).items():
        files.write_bytes(folder / f"{name}.{suffix}", content)


def encoded(figure: Figure) -> dict[str, bytes]:
    """The figure as SVG and PNG; it is closed."""
    import matplotlib.pyplot as plt

    figure.get_layout_engine().execute(figure)
    figure.set_layout_engine("none")  # once for both files: it costs as much as drawing
    found = {}
    for suffix, metadata in METADATA.items():
        buffer = io.BytesIO()
        figure.savefig(buffer, format=suffix, dpi=DPI, metadata=metadata)
        found[suffix] = buffer.getvalue()
    plt.close(figure)
    return found | {"svg": compact(found["svg"].decode()).encode()}


def compact(svg: str) -> str:
    """The same picture in less space, because it is committed: 2 decimals, each style once, no names of groups."""
    svg = re.sub(r"<!(?:--.*?--|DOCTYPE[^>]*)>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<[^>]*>", lambda tag: _compact_tag(tag.group()), svg)  # never a word of a text
    return _with_classes(_with_numbers(re.sub(r"\s*\n\s*", "\n", _without_plain_groups(svg))))


def _with_numbers(svg: str) -> str:
    """Number the ids, which are hashes of coordinates to the last digit: these differ where the picture does not."""
    for number, name in enumerate(re.findall(r' id="([a-z][0-9a-f]{10})"', svg)):
        svg = re.sub(rf'(?<=["#]){name}(?=[")])', f"{name[0]}{number}", svg)
    return svg


def _compact_tag(tag: str) -> str:
    tag = re.sub(r"-?\d+\.\d{3,}", _rounded, tag)
    tag = re.sub(r' \n(?=[A-Za-z"])|(?<=[MLQC]) (?=-?\d)', "", tag)  # between and within the commands of a path
    tag = re.sub(r" transform=\"rotate\(-0 [^)]*\)\"|font-family: 'DejaVu Sans'; ", "", tag)
    return re.sub(r'^<g id="[^"]*">', "<g>", tag)


def _without_plain_groups(svg: str) -> str:
    """Remove groups without attributes, and keep what is in them."""
    kept: list[bool] = []

    def tag(found: re.Match[str]) -> str:
        if found.group() != "</g>":
            kept.append(found.group() != "<g>")
            return found.group() if kept[-1] else ""
        return "</g>" if kept.pop() else ""

    return re.sub(r"<g(?: [^>]*[^/>])?>|</g>", tag, svg)


def _with_classes(svg: str) -> str:
    """Write each style that several elements have once, as a class."""
    several = [style for style, count in Counter(re.findall(r' style="([^"]*)"', svg)).most_common() if count > 1]
    for number, style in enumerate(several):
        svg = svg.replace(f' style="{style}"', f' class="c{number}"')
    rules = "".join(f"\n.c{number}{{{style}}}" for number, style in enumerate(several))
    return svg.replace("</style>", f"\ntext{{font-family: {FONTS}}}{rules}</style>", 1)


def _rounded(number: re.Match[str]) -> str:
    value = float(number.group())
    # Factors of scale are below 1 and stay; so do numbers near 0.
    return number.group() if abs(value) < 1 else f"{value:.2f}".rstrip("0").rstrip(".")


def leave_empty(folder: Path, name: str, title: str) -> None:
    """An SVG that says why there is no plot."""
    words = escape(f"{title}: no finished run has what this plot shows.")
    text = f'<text x="12" y="34" font-family="sans-serif" font-size="14">{words}</text>'
    picture = f'<svg xmlns="http://www.w3.org/2000/svg" width="640" height="56" role="img">{text}</svg>\n'
    files.write_bytes(folder / f"{name}.svg", picture.encode())
