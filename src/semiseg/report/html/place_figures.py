"""The two figures of a first page's tab: the forest plot by gain, and gain against cost."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from semiseg.report import captions
from semiseg.report.html.first_page import Place
from semiseg.report.plots import alt_texts, bars, frames, lines, style
from semiseg.report.records import Records
from semiseg.report.table import Table
from semiseg.report.tables.cost import caution, clock


def draw(records: Records, tables: dict[str, Table], places: Sequence[Place], folder: Path) -> dict[str, list[dict]]:
    """Slug of a place -> title, caption, alternative text and file name of its figures."""
    seeds, seconds = frames.seed_differences(records), clock(*tables["cost"].rows) if tables["cost"].rows else ""
    found: dict[str, list[dict]] = {}
    with style.plotting():
        for place in places:
            drawn = {
                "differences": bars.forest([("", place.compared)], seeds) if place.compared else None,
                "cost": lines.gain_against_cost(place.rows, seconds),
            }
            for name, figure in drawn.items():
                if figure is not None:
                    style.save(figure, folder, f"{name}-{place.slug}")
                    of_times = caution(tables["cost"].rows, str(place.rows[0]["partition"]))
                    text = captions.of_study((), place.title.removesuffix(" labels"), of_times)[name]
                    alt = alt_texts.OF[name](place.rows)
                    found.setdefault(place.slug, []).append(text | {"name": f"{name}-{place.slug}", "alt": alt})
    return found
