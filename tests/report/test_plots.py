from __future__ import annotations

import io
import itertools
import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from semiseg.report import captions, names, plots, tables
from semiseg.report.plots import class_plots, frames, lines, style
from semiseg.report.records import Records
from semiseg.runs import suite_evaluations
from tests.report import studies


def test_every_plot_is_drawn_in_both_formats_with_a_caption(report):
    written = json.loads((report / "plots" / "captions.json").read_text())
    expected = [*plots.DRAWN, "ablation_threshold", "ablation_lambda_semi", "ablation_discriminator"]
    assert written["order"] == expected
    for name in expected:
        assert ElementTree.parse(report / "plots" / f"{name}.svg").getroot().tag.endswith("svg")
        with Image.open(report / "plots" / f"{name}.png") as picture:
            assert min(picture.size) > 200
        assert written["captions"][name]["caption"] and "{" not in written["captions"][name]["caption"]
    assert "at 12 labels" in written["captions"]["class_iou"]["caption"]


def drawn(report):
    return {path.name: path.read_bytes() for path in (report / "plots").iterdir()}


@pytest.mark.slow
def test_plots_are_the_same_bytes_again(study, report):
    before = drawn(report)
    plots.build("pocket", report, study[1])
    assert drawn(report) == before


def test_plots_carry_neither_version_nor_date(report):
    before = drawn(report)
    assert not [name for name, content in before.items() if b"Matplotlib v" in content or b"<dc:date>" in content]


def test_a_plot_that_cannot_be_drawn_any_more_is_replaced_by_a_sentence(tmp_path, study):
    folder, rows = study
    (tmp_path / "plots").mkdir()
    for suffix in ("svg", "png"):
        (tmp_path / "plots" / f"label_efficiency.{suffix}").write_text("old")
    nothing = [row | {"state": "missing", "eval": None, "record": None} for row in rows]
    tables.build("pocket", tmp_path, nothing)
    assert plots.build("pocket", tmp_path, nothing) == []
    assert "no finished run" in (tmp_path / "plots" / "label_efficiency.svg").read_text()
    assert not (tmp_path / "plots" / "label_efficiency.png").exists()


def test_the_plots_that_are_promised_to_the_workflow_are_those_that_are_made(report):
    promised = captions.of_study(["threshold", "lambda_semi", "discriminator"])
    assert {path.stem for path in (report / "plots").glob("*.svg")} == set(promised)
    assert not any("{" in words["caption"] for words in promised.values())


def test_focus_is_the_split_with_most_methods(study):
    folder, rows = study
    assert {cell.partition for cell in frames.focus(Records("pocket", folder, rows))} == {"12"}
    at_24 = [row for row in rows if row["method"] == "supervised" or row["partition"] == "24"]
    assert {cell.partition for cell in frames.focus(Records("pocket", folder, at_24))} == {"24"}


def test_lists_of_one_size_are_lines_of_their_own(tmp_path):
    planned = studies.descriptions(seeds=2, ablations=False, families=("stratified:0", "random:0", "random:1"))
    records = Records("pocket", tmp_path, studies.simulate(tmp_path, planned, images=6, pictures=0))
    data = frames.by_labels(frames.finished(records))
    parts = frames.by_list(data)
    assert [sorted(set(part["list"])) for part in parts] == [["full", "random:0,1"], ["full", "stratified:0"]]
    with style.plotting():
        published = {"published": SimpleNamespace(rows=())}
        [axes] = lines.label_efficiency(records, published).axes
        drawn = [line for line in axes.lines if len(line.get_xdata()) > 1]
    sizes = data.groupby(["label", "list"])["labelled"].nunique()
    assert len(drawn) == (sizes > 1).sum() == 2 * 5, "supervised and four methods, over two families"


def test_pseudo_labels_are_shown_without_supervised(tmp_path):
    """A training of its variant `bn` is diagnosed, because it sees unlabelled images."""
    planned = studies.descriptions(seeds=1, ablations=False, partitions={"12": 12})
    rows = studies.simulate(tmp_path, planned, images=6, pictures=0)
    baseline = next(row for row in rows if row["method"] == "supervised")
    with (tmp_path / baseline["run"] / "metrics.jsonl").open("a") as stream:
        stream.write(json.dumps({"kind": "diagnostics", "iteration": 600, "confident_share": 0.9}) + "\n")
    suite_evaluations.write(tmp_path / suite_evaluations.NAME, suite_evaluations.gather(tmp_path, rows))
    cells = frames.focus(Records("pocket", tmp_path, rows))
    [supervised] = [cell for cell in cells if cell.method == "supervised"]
    assert supervised.finished[0].stored.diagnostics
    assert set(frames.diagnostics(cells)["label"]) == {names.of(cell) for cell in cells} - {names.of(supervised)}


def test_a_smoothed_loss_has_no_elbow_at_its_ends():
    """A straight line stays one: a mean over a shorter window would bend it."""
    straight = pd.DataFrame({"iteration": range(0, 300, 10), "loss": [3 - 0.01 * i for i in range(0, 300, 10)]})
    line = lines.smoothed(straight)
    slopes = np.diff(line["loss"]) / np.diff(line["iteration"])
    assert len(line) == len(straight) - lines.WINDOW + 1 and np.allclose(slopes, -0.01)
    assert lines.smoothed(straight[:5]).equals(straight[:5])


def test_the_confusion_plot_shows_the_method_that_the_answer_names(study):
    folder, rows = study
    records = Records("pocket", folder, rows, 200)
    [_, method] = class_plots._compared(frames.focus(records))
    leaders = next(table for table in tables.assemble(records) if table.name == "leaders")
    assert names.of(method) == next(row["top"] for row in leaders.rows if row["partition"] == method.partition)


def test_methods_look_different_and_the_same_everywhere():
    things = [{"method": method, "variant": "default"} for method in names.in_order()]
    looks = style.looks(things)
    assert len({(one["color"], one["marker"]) for one in looks.values()}) == len(names.in_order())
    assert style.looks(things[3:5])[names.of(things[3])] == looks[names.of(things[3])]
    variants = style.looks([{"method": "imas", "variant": variant} for variant in ("default", "a=1", "b=2")])
    assert len({(one["marker"], one["dashes"]) for one in variants.values()}) == 3


def test_heavy_libraries_are_imported_only_when_something_is_drawn():
    heavy = ("matplotlib", "seaborn", "torch", "scipy.stats")
    code = "import sys, semiseg.report.tables.comparison, semiseg.report.plots, semiseg.report.html; "
    code += "from semiseg.scoring.metric import REGISTRY; [REGISTRY.load(name) for name in REGISTRY.names()]; "
    code += f"print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_class_names_are_no_formulas(tmp_path):
    planned = studies.descriptions(seeds=1, ablations=False, partitions={"12": 12})
    rows = studies.simulate(tmp_path, planned, images=6, classes=("sky", "$x_{", "a_b"), pictures=0)
    with style.plotting():
        style.save(class_plots.class_iou(Records("pocket", tmp_path, rows), {}), tmp_path, "class_iou")
    assert (tmp_path / "class_iou.svg").stat().st_size > 1000


def test_a_compact_picture_is_the_same_picture():
    """Each coordinate stays within a hundredth of a point, and nothing else changes."""
    from matplotlib import pyplot as plt

    with style.plotting():
        figure, axes = plt.subplots()
        axes.plot([0.1, 0.7, 3.3], [1.234567, -0.000123, 5.4], marker="o", label="U2PL C 1.2345")
        axes.fill_between([0, 1, 2], [0, 1, 0.5], [1, 2, 3], alpha=0.3)
        axes.set(title="Q 2 and L 3: bold", xlabel="iterations")
        axes.legend()
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata=style.METADATA["svg"])
    whole, small = buffer.getvalue(), style.compact(buffer.getvalue())
    assert len(small) < 0.5 * len(whole)
    assert ">U2PL C 1.2345</text>" in small  # words can be found and copied
    pairs = list(zip(parts(style._with_numbers(whole)), parts(small), strict=True))
    assert len(pairs) > 40
    for old, new in pairs:
        assert [one for one in old if isinstance(one, str)] == [one for one in new if isinstance(one, str)]
        numbers = [one for one in new if isinstance(one, float)]
        assert [one for one in old if isinstance(one, float)] == pytest.approx(numbers, abs=0.006)


def parts(svg: str) -> Iterator[list[str | float]]:
    """What is drawn: words and numbers of each element, with the rules of its class; groups draw nothing."""
    root = ElementTree.fromstring(svg)
    rules = dict(re.findall(r"\.(c\d+){([^}]*)}", svg))
    for element in root.iter():
        kind = element.tag.partition("}")[2]
        if kind in ("g", "style", "defs"):
            continue
        drawn = dict(element.attrib)
        drawn["style"] = drawn.get("style", "") + rules.get(drawn.pop("class", ""), "")
        drawn["style"] = drawn["style"].replace("font-family: 'DejaVu Sans'; ", "")
        drawn["transform"] = re.sub(r"^rotate\(-0 .*", "", drawn.get("transform", ""))
        words = " ".join([kind, element.text or "", *(f"{key} {value}" for key, value in sorted(drawn.items()))])
        found = re.findall(r"-?\d+(?:\.\d+)?(?:e-?\d+)?|[A-Za-z_#]+", words)
        yield [float(one) if one.lstrip("-")[0].isdigit() else one for one in found]


def test_names_of_close_points_of_the_frontier_do_not_overlap():
    found = (
        ("supervised", "tuned", 129, 0.27), ("mean_teacher", "batch_norm=separate", 147, 1.97),
        ("cps", "default", 270, 2.2), ("mean_teacher", "default", 300, 2.9),
        ("corrmatch", "batch_norm=separate", 415, 3.2),
        ("unimatch", "default", 456, 3.5), ("corrmatch", "default", 468, 3.58),
    )  # fmt: skip
    rows = [
        {"method": method, "variant": variant, "seconds": seconds, "delta_vs_supervised": gain, "role": "method"}
        for method, variant, seconds, gain in found
    ]
    with style.plotting():
        figure = lines.gain_against_cost(rows, "cpu_seconds")
        figure.canvas.draw()
        boxes, inside = [text.get_window_extent() for text in figure.axes[0].texts], figure.axes[0].get_window_extent()
    assert len(boxes) == len(found)
    assert all(inside.x0 <= box.x0 and box.x1 <= inside.x1 for box in boxes)
    assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))


def test_ids_of_a_plot_do_not_depend_on_last_digits():
    """matplotlib names a clip by a hash of its coordinates."""
    drawn = '<clipPath id="p{0}"><rect/></clipPath><path id="m{0}"/><use xlink:href="#m{0}" clip-path="url(#p{0})"/>'
    one, other = (style._with_numbers(drawn.format(name)) for name in ("7180b3df85", "4c9fbf1909"))
    assert one == other == drawn.replace("p{0}", "p0").replace("m{0}", "m1")
