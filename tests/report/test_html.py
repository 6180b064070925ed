from __future__ import annotations

import dataclasses
import json
import re
import shutil
import time
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from semiseg.report import html, plots, tables
from semiseg.report.html import answer, downloads, first_page, pages, run_differences, table_groups
from semiseg.report.html.chart import LINES, line_chart
from semiseg.report.plots import style
from semiseg.report.records import Records
from semiseg.report.table import Table, View, read_all
from tests.report import studies
from tests.report.studies import DATASET


class Page(HTMLParser):
    """Links, ids and script elements of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links, self.ids, self.scripts = [], set(), 0
        self.feed(path.read_text())

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.links += [attributes[key] for key in ("href", "src") if attributes.get(key)]
        self.ids.add(attributes.get("id"))
        self.scripts += tag == "script"


def all_pages(folder: Path) -> list[Path]:
    return sorted((folder / "report").rglob("*.html"))


def test_there_is_a_page_for_everything(report, study):
    made = {path.relative_to(report / "report").as_posix() for path in all_pages(report)}
    assert {f"{name}.html" for name in pages.PAGES} <= made
    assert len([name for name in made if name.startswith("runs/")]) == len([row for row in study[1] if row["run"]])


def test_every_link_leads_to_a_file_or_a_place_and_none_to_the_network(report):
    for path in all_pages(report):
        page = Page(path)
        for link in page.links:
            parts = urlsplit(link)
            assert parts.scheme in ("", "data"), f"{path.name}: {link}"
            if not parts.scheme:
                target = path if not parts.path else (path.parent / unquote(parts.path)).resolve()
                assert target.exists(), f"{path.name}: {link}"
                assert "=" in parts.fragment or not parts.fragment or parts.fragment in Page(target).ids, link


def test_names_from_data_are_text_and_never_markup(report):
    """A class is called <script>, a configuration holds <b>."""
    for path in all_pages(report):
        assert "<script>" not in re.sub(r"<script [^>]*>.*?</script>", "", path.read_text(), flags=re.DOTALL), path.name
    run = next((report / "report" / "runs").glob("*unimatch*seed0.html")).read_text()
    assert "&lt;script&gt;" in run and "&lt;b&gt;not markup&lt;/b&gt;" in run
    assert "&lt;script&gt;" in (report / "report" / "pictures.html").read_text()


def test_embedded_json_cannot_end_its_element():
    text = pages.embedded_json({"name": "</script><script>alert(1)</script>", "amp": "&"})
    assert "<" not in text and json.loads(text)["name"].startswith("</script>")


def test_unfinished_runs_are_one_line_with_the_command(report):
    """However many they are: each is on the page of runs, and a failure says why."""
    text = (report / "report" / "index.html").read_text()
    [line] = re.findall(r'<p class="open">.*', text)
    assert "1 run failed" in line and "the loss became NaN at iteration 37" in line and "1 run missing" in line
    assert "snakemake --profile local all --config suite=pocket" in line
    failed = next(path for path in all_pages(report) if 'State: <strong class="failed"' in path.read_text())
    assert "NaN" in failed.read_text()


def test_no_page_leads_into_run_folders(report):
    """Git and the site do not have them."""
    for path in all_pages(report):
        for link in Page(path).links:
            target = (path.parent / unquote(urlsplit(link).path)).resolve()
            assert (report / "report").resolve() in (target, *target.parents), f"{path.name}: {link}"


def test_a_run_page_has_configuration_curves_provenance_and_the_command(report):
    text = next((report / "report" / "runs").glob("*unimatch*seed0.html")).read_text()
    for expected in ("semiseg train", "polyline", "0123456789abcdef", "config.yaml", "Simulated CPU", "IoU by class"):
        assert expected in text


def test_a_record_without_a_start_shows_none(tmp_path):
    rows = studies.simulate(tmp_path, studies.descriptions(seeds=1, ablations=False, partitions={"12": 12}), images=6)
    for row in rows:
        del row["record"]["started"]
    tables.build("pocket", tmp_path, rows)
    html.build("pocket", tmp_path, rows, dataset=DATASET)
    text = next((tmp_path / "report" / "runs").glob("*supervised*")).read_text()
    assert "<dt>finished</dt>" in text and "started" not in text


def test_methods_page_shows_the_docstrings_formulas(report):
    text = (report / "report" / "methods.html").read_text()
    adv = text.split('id="advsemiseg"')[1].split("</section>")[0]
    assert adv.count('<math xmlns="http://www.w3.org/1998/Math/MathML" display="block">') == 4
    assert "<mi>λ</mi><mrow><mtext>adv</mtext></mrow>" in unescape(adv)
    assert "$" not in adv and "BMVC 2018" in adv and "t_semi" in adv


# ------------------------------------------------------------------------------------------------ the answer


def test_the_first_page_has_a_tab_for_each_number_of_labels_and_the_costs_of_the_comparison(report):
    """Not the costs of an ablation's run of the same name, which is one seed's."""
    made = read_all(report / "tables")
    costs = {(row["partition"], row["method"], row["variant"]): row["cpu_seconds"] for row in made["cost"].rows
             if row["kind"] == "comparison"}  # fmt: skip
    found = first_page.places(made)
    assert [place.title for place in found] == ["12 labels", "24 labels", "48 labels", "All labels"]
    rows = [row for place in found for row in place.rows]
    assert {(row["partition"], row["method"], row["variant"]): 60 * row["minutes"] for row in rows} == pytest.approx(
        {key: seconds for key, seconds in costs.items() if seconds}
    )


def test_a_tab_is_sorted_by_gain_and_has_at_most_eight_columns(report):
    for place in first_page.places(read_all(report / "tables")):
        gains = [row["delta_vs_supervised"] or 0.0 for row in place.rows]
        assert gains == sorted(gains, reverse=True)
        assert all(len(block.table.views) + 1 <= 8 for block in place.blocks)  # and the column of runs
        assert "Method" not in dict(place.blocks[0].shared) and "Head" in dict(place.blocks[0].shared)


def test_a_tab_answers_in_the_order_of_the_questions(report):
    place = first_page.places(read_all(report / "tables"))[0]
    order = ["Leading group", "Significantly better", "Cost", "Gap to all labels", "Read with care"]
    asked = [question for question, _ in place.points]
    assert asked == [question for question in order if question in asked] and asked[:4] == order[:4]
    text = (report / "report" / "index.html").read_text()
    assert text.index('class="ran"') < text.index("Leading group") < text.index("differences-12") < text.index("<table")


def test_the_tab_of_all_labels_says_why_no_method_leads(report):
    made = read_all(report / "tables")
    rows = [row for row in made["comparison"].rows if row["partition"] == "full" and row["miou_last_mean"] is not None]
    assert {row["method"] for row in rows} == {"supervised"}
    assert answer.points(rows, made)[0] == ("Leading group", [answer.ALL_LABELS])


def test_tables_are_listed_in_groups(report):
    groups = table_groups.grouped(read_all(report / "tables"))
    assert list(groups) == ["Comparison", "Ablations of AdvSemiSeg", "Costs"]
    assert [table.name for table in groups["Costs"]] == ["cost"]


def test_a_table_without_variants_has_no_column_of_runs(study, tmp_path):
    """As the table of trials, which not every suite has."""
    folder, rows = study
    views = (View("Method", ("method",)), View("Trial", ("trial",), "number", 0))
    trials = Table("tuning", "Tuning", "", ("method", "trial"), views, ({"method": "fixmatch", "trial": 1},))
    page = pages.Pages(tmp_path, "pocket", DATASET, Records("pocket", folder, rows))
    page.write("tables", groups={"Costs": [trials]}, matrices=[])
    text = (tmp_path / "tables.html").read_text()
    assert "fixmatch" in text and ">Runs</th>" not in text


def test_the_matrix_of_all_pairs_is_that_of_the_table(report):
    pairs = read_all(report / "tables")["pairs"]
    found = table_groups.matrices(pairs)
    assert sum(len(matrix.cells) for matrix in found) == 2 * len(pairs.rows) and len(found) == 4 - 1
    row = max((row for row in pairs.rows if row["p_holm"] is not None), key=lambda row: row["difference"])
    matrix = next(one for one in found if one.title.startswith(f"{row['partition']} labels"))
    text, p, apart = matrix.cells[row["label_a"], row["label_b"]]
    assert text.startswith(f"{row['difference']:+.1f} [{row['ci_low']:+.1f}") and "Holm" in p
    assert apart == int(row["separated"])
    text, _, apart = matrix.cells[row["label_b"], row["label_a"]]
    assert text.startswith(f"{-row['difference']:+.1f} [{-row['ci_high']:+.1f}") and apart == -int(row["separated"])


def test_our_reading_is_a_warning():
    rows = [studies.result("supervised", 0, 50.0), studies.result("scl", 0, 52.0)]
    rows[1]["fidelity"] = "our reading"
    made = {table.name: table for table in tables.assemble(Records("made", Path("none"), rows))}
    [place] = first_page.places(made)
    assert "SCL (our reading)" in dict(place.points)["Read with care"][0]


def test_what_was_run_is_one_line(report):
    said = answer.ran(read_all(report / "tables"))
    assert said == (
        "7 variants of 6 methods; 12, 24 and 48 labels and all of them; 3 seeds; 1 draw of the labelled images; "
        "600 iterations."
    )


def test_every_cell_has_the_command_that_makes_its_runs(report, study):
    text = unescape((report / "report" / "index.html").read_text())
    for row in study[1]:
        if row["run"] and row["state"] == "done" and any(cell["kind"] == "comparison" for cell in row["cells"]):
            assert row["record"]["command"] in text
    missing = next(row for row in study[1] if row["state"] == "missing")
    page = (report / "report" / "runs" / f"{missing['run'].removeprefix('runs/').replace('/', '--')}.html").read_text()
    assert f"semiseg train results/pocket/{missing['run']}" in page


def test_settings_that_all_runs_have_alike_are_not_compared(study):
    folder, rows = study
    table = run_differences.table(Records("pocket", folder, rows))
    assert "seed" in table["keys"] and "options.t_semi" in table["keys"] and "crop" not in table["keys"]
    wanted = ("fixmatch--default--seed0", "unimatch--default--seed0")
    first, second = (next(slug for slug in table["runs"] if slug.endswith(end)) for end in wanted)
    values = [[table["values"][place] for place in table["runs"][slug]["values"]] for slug in (first, second)]
    differ = [key for key, one, other in zip(table["keys"], *values, strict=True) if one != other]
    assert "method" in differ and "seed" not in differ and "partition" not in differ


def test_papers_as_bibtex():
    text = downloads.bibtex(["supervised", "advsemiseg", "scl", "gone"])
    assert (
        text.count("@misc{") == 2 and "@misc{advsemiseg,\n  author = {Hung and Tsai and Liou and Lin and Yang}" in text
    )
    assert "year = {2018}" in text and "year = {2020}" in text  # not 2001, the number of a preprint


def test_downloads_are_in_the_report(report):
    folder = report / "report" / "downloads"
    assert (folder / "comparison.csv").read_bytes() == (report / "tables" / "comparison.csv").read_bytes()
    assert (folder / "records.jsonl").read_bytes() == (report / "records.jsonl").read_bytes()


def test_the_answer_of_the_simulated_study(report):
    """A sentence for each partition and head, cost, and what is missing."""
    made = read_all(report / "tables")
    said = answer.answer(made)
    for row in made["leaders"].rows:
        assert row["sentence"] in said
    text = " ".join(said)
    assert "cheapest of the leading group" in text and "times that of the baseline" in text and "not finished" in text


def test_the_answer_to_a_study_without_results_says_so(report):
    made = read_all(report / "tables")
    nothing = made | {"leaders": dataclasses.replace(made["leaders"], rows=())}
    assert answer.answer(nothing) == ["No method can be compared with the supervised baseline yet."]


# ------------------------------------------------------------------------------------------------ charts and limits


def test_charts_hold_their_points_inside():
    chart = str(line_chart({"<a>": [(0, 1.0), (10, 3.0)], "b": []}, "a <chart>"))
    points = re.search(r'polyline points="([^"]*)"', chart).group(1)
    assert [tuple(map(float, pair.split(","))) for pair in points.split()] == [(62.0, 176.6), (548.0, 19.4)]
    assert "&lt;a&gt;" in chart and "a &lt;chart&gt;" in chart and line_chart({"b": []}, "none") == ""
    assert "circle" in str(line_chart({"one": [(5, 2.0)]}, "single point"))


def contrast(one: str, other: str) -> float:
    """Of two colours, as WCAG 2 defines it."""

    def luminance(colour: str) -> float:
        parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_every_line_can_be_seen_on_its_ground():
    """On white paper, and on the panels of a run's page in light and in dark."""
    assert min(contrast(colour, "#ffffff") for colour in style.COLOURS) >= 3
    css = (Path(pages.HERE) / "assets" / "report.css").read_text()
    for block in re.findall(r":root \{(.*?)\}", css, re.DOTALL)[:2]:
        colours = dict(re.findall(r"--([a-z0-9]+): (#[0-9a-f]{6});", block))
        lines = [colours[f"line{number}"] for number in range(LINES)]
        assert min(contrast(colour, colours["panel"]) for colour in lines) >= 3


def test_the_demos_report_is_small(report):
    assert sum(path.stat().st_size for path in (report / "report").rglob("*") if path.is_file()) < 15 * 2**20


@pytest.mark.slow
def test_a_study_of_500_runs_takes_less_than_90_seconds(tmp_path):
    planned = studies.descriptions(seeds=25, partitions={"12": 12, "24": 24, "48": 48, "96": 96})
    rows = studies.simulate(tmp_path, planned, images=100)
    assert len(rows) > 500
    start = time.process_time()
    tables.build("pocket", tmp_path, rows)
    plots.build("pocket", tmp_path, rows)
    html.build("pocket", tmp_path, rows, dataset=DATASET, read_image=studies.read_image)
    assert time.process_time() - start < 90
    assert sum(path.stat().st_size for path in (tmp_path / "report").rglob("*") if path.is_file()) < 40 * 2**20


def test_several_suites_stand_in_one_index(report, tmp_path):
    for name in ("one", "two"):
        shutil.copytree(report, tmp_path / name)
    (tmp_path / "begun").mkdir()  # a suite that has no report yet
    index = Page(html.build_index(tmp_path))
    assert [link for link in index.links if link.endswith("index.html")] == [
        "one/report/index.html",
        "two/report/index.html",
    ]
    assert all((tmp_path / link).exists() for link in index.links if not link.startswith("data:"))
    text = (tmp_path / "index.html").read_text()
    assert answer.answer(read_all(report / "tables"))[0] in unescape(text)
    assert "need at least 3 data sets" in text and "so far there is 1 (pocket)" in text


def test_the_index_ranks_methods_over_data_sets(report, tmp_path):
    for name in ("one", "two", "three"):
        shutil.copytree(report, tmp_path / name)
        table = tmp_path / name / "tables/comparison.csv"
        table.write_text(table.read_text().replace("pocket,pocket,", f"pocket,{name},"))
    text = unescape(html.build_index(tmp_path).read_text())
    assert "Over 3 data sets UniMatch has the best mean rank, 1.0 of 7" in text
    assert 'src="data:image/svg+xml;base64,' in text and "Mean ranks: UniMatch 1.0, " in text
