"""Small line charts as SVG text: a run page has three, and hundreds of runs must not take minutes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from markupsafe import Markup, escape

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 560, 220, 62, 12, 10, 34
LINES = 7  # colours of lines in report.css
DASHES = ("", "6 3", "2 2", "8 3 2 3", "12 4", "4 4", "1 3")

Series = Mapping[str, Sequence[tuple[float, float]]]


def line_chart(series: Series, label: str, unit: str = "") -> Markup:
    """One line per series over iterations, with the axes' limits written out; empty without points."""
    series = {name: list(points) for name, points in series.items() if points}
    if not series:
        return Markup("")
    xs = [x for points in series.values() for x, _ in points]
    ys = [y for points in series.values() for _, y in points]
    x0, x1, y0, y1 = min(xs), max(xs) or 1, min(ys), max(ys)
    margin = 0.06 * (y1 - y0) or 1.0
    y0, y1 = y0 - margin, y1 + margin

    def place(x: float, y: float) -> str:
        across = LEFT + (WIDTH - LEFT - RIGHT) * ((x - x0) / (x1 - x0) if x1 > x0 else 0.5)
        down = TOP + (HEIGHT - TOP - BOTTOM) * (1 - (y - y0) / (y1 - y0))
        return f"{across:.1f},{down:.1f}"

    parts = [
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(label)}">',
        f'<path class="axis" d="M{LEFT},{TOP}V{HEIGHT - BOTTOM}H{WIDTH - RIGHT}"/>',
        *_ticks([(value, place(x0, value)) for value in (y0 + margin, (y0 + y1) / 2, y1 - margin)], unit),
        f'<text x="{LEFT}" y="{HEIGHT - BOTTOM + 16}">{x0:g}</text>',
        f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - BOTTOM + 16}" text-anchor="end">{x1:g}</text>',
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 6}" text-anchor="middle">iteration</text>',
    ]
    for position, points in enumerate(series.values()):
        colour, dash = f"line{position % LINES}", DASHES[position % len(DASHES)]
        drawn = " ".join(place(x, y) for x, y in points)
        parts.append(f'<polyline points="{drawn}" class="{colour}" stroke-dasharray="{dash}"/>')
        if len(points) == 1:
            across, down = place(*points[0]).split(",")
            parts.append(f'<circle cx="{across}" cy="{down}" r="3" class="{colour}"/>')
    return Markup("".join([*parts, "</svg>", _legend(list(series))]))


def _ticks(ticks: Sequence[tuple[float, str]], unit: str) -> list[str]:
    texts = []
    for value, place in ticks:
        down = place.split(",")[1]
        texts.append(f'<path class="grid" d="M{LEFT},{down}H{WIDTH - RIGHT}"/>')
        texts.append(f'<text x="{LEFT - 5}" y="{down}" dy="4" text-anchor="end">{value:.3g}{escape(unit)}</text>')
    return texts


def _legend(series: Sequence[str]) -> str:
    entries = []
    for position, name in enumerate(series):
        colour, dash = f"line{position % LINES}", DASHES[position % len(DASHES)]
        sample = f'<svg width="26" height="8" aria-hidden="true"><path d="M1,4H25" class="{colour}" stroke-width="2" '
        entries.append(f'<li>{sample}stroke-dasharray="{dash}"/></svg> {escape(name)}</li>')
    return f'<ul class="legend">{"".join(entries)}</ul>'
