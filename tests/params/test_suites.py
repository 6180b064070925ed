"""The suites of params.yaml: each can be planned, and each kind of training in those for real data runs.

The images are made, in the true formats of the data sets; networks, crops and lengths are reduced, everything else
(method, options, criterion, optimiser, augmentation, protocol) is the suite's own. A user with the data meets nothing
that has not run before.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import pytest

from semiseg.base.files import sha256_json, write_json
from semiseg.cli import main
from semiseg.datasets.dataset_config import DatasetConfig
from semiseg.datasets.kinds.camvid import LABELS
from semiseg.params import loading, schema
from semiseg.splits.families import split_name
from semiseg.study import grid
from tests import tiny
from tests.datasets import dataset_trees as trees

PARAMS = Path(__file__).parents[2] / "params.yaml"
LOADED = loading.load(PARAMS, local=False)
SUITES = list(LOADED.suites)
NO_WEIGHTS = {"encoder_weights": "none", "encoder_weights_sha256": None}
RUNTIME = schema.Runtime().model_dump(mode="json")
REAL = (
    "voc", "cityscapes", "cityscapes_extra", "cityscapes_mini", "cityscapes_mini_held_out", "oxford_pets", "camvid",
    "camvid_drives",
)  # fmt: skip
SIZED = ("pixels", "memory", "memory_first", "anchors", "rows")  # options that grow with the image or with the training
SIZES = {"voc": (60, 88), "cityscapes": (64, 128), "camvid": (144, 192)}


@pytest.mark.parametrize("suite", SUITES)
def test_a_suite_is_planned(suite):
    plan = grid.plan(LOADED, suite)
    assert plan.runs
    assert len({run.path for run in plan.runs}) == len(plan.runs)
    own = [run for run in plan.runs if not run.tuned_by]  # a tuned run has the default's until its trials are done
    assert len({sha256_json(run.config) for run in own}) == len(own)
    shown = {run.path for cell in plan.cells for run in cell.runs}
    needed = {one.path for run in plan.runs for one in run.needs.values()}
    assert shown | needed == {run.path for run in plan.runs if run.trial is None}
    assert all(cell.runs or cell.reason for cell in plan.cells)


def test_paper_suites_say_whose_set_up_they_are():
    suites = LOADED.suites
    ours = {name for name, suite in suites.items() if "Our recipe" in suite.title}
    assert ours == {name for name in suites if name.startswith(("paper_scl", "paper_rc2l"))}


def _side(side: int) -> int:
    """Odd crops stay a multiple of the stride plus one; of even ones, the larger stays the larger."""
    return 65 if side % 2 else max(48, side // 16)


def _encoder(architecture: str) -> str:
    return "tiny_vit" if architecture == "dpt" else "tu-mobilenetv3_small_050"


def reduced(wanted: dict) -> dict:
    """The same training in small."""
    recipe, evaluation = wanted["recipe"], wanted["evaluation"]
    protocol = evaluation["protocol"]
    options = wanted["method"]["options"]
    small_protocol = protocol | {"size": protocol["size"] and [_side(side) for side in protocol["size"]]}
    needs = {name: one | {"config": reduced(one["config"])} for name, one in wanted.get("needs", {}).items()}
    return wanted | {
        **({"needs": needs} if needs else {}),
        "dataset": wanted["dataset"] | {"complete": False},
        "method": wanted["method"] | {"options": {k: min(v, 64) if k in SIZED else v for k, v in options.items()}},
        "recipe": recipe
        | {
            "network": recipe["network"] | NO_WEIGHTS | {"encoder": _encoder(recipe["network"]["architecture"])},
            "crop": [_side(side) for side in recipe["crop"]],
            "batch": {"labelled": 2, "unlabelled": 2},
            "iterations": 2,
            "gpus": 1,
            "criterion": recipe["criterion"] | {"min_kept": 500},
        },
        "evaluation": evaluation | {"every": 2, "diagnostics": 2, "pictures": 1, "protocol": small_protocol},
    }


def kind_of(config: dict) -> str:
    """What two trainings have in common that run the same code: sizes of numbers are left out, for they choose none.

    0 and 1 are kept, as ends of a probability or of a share can switch something off; a trial of a search then counts
    as another kind only where it chooses another option or another end.
    """

    return sha256_json(_plain(reduced(config)))


def _plain(value):
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items() if key not in ("seed", "split", "run")}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, bool) or not isinstance(value, int | float) or value in (0, 1):
        return value
    return "negative" if value < 0 else "a share" if value < 1 else "more"


@cache
def trainings() -> dict[str, tuple[str, dict]]:
    """Name -> (mark, configuration): every kind of training of the suites for the data sets of REAL, once.

    Left to the slow tests: arms of ablations, and a method and variant that an earlier suite trains. Every suite has
    its supervised training among the fast ones. Run by hand only (`exhaustive`): options that another suite trains
    with, if the method has also been trained with the architecture.
    """
    found = _by_kind()
    assert len({name for _, name, _ in found}) == len(found)
    marked, covered = {}, set()
    for slow, name, config in found:
        architecture = config["recipe"]["network"]["architecture"]
        variant = name.split("-")[2].rstrip("0123456789")  # one trial stands for all
        parts = {sha256_json(_plain(reduced(config)["method"])), (config["method"]["name"], variant, architecture)}
        marked[name] = ("" if not slow else "exhaustive" if parts <= covered else "slow", config)
        covered |= parts
    return marked


def _by_kind() -> list[tuple[bool, str, dict]]:
    found: dict[str, tuple[bool, str, dict]] = {}
    known = set()
    for suite in SUITES:
        if LOADED.suites[suite].dataset not in REAL:
            continue
        plan = grid.plan(LOADED, suite)
        compared = {run.path for cell in plan.cells if cell.kind == "comparison" for run in cell.runs}
        for run in plan.runs:
            if run.tuned_by:
                continue  # it has the configuration of one of its trials, or the default's
            method = (run.method, run.variant)
            slow = run.path not in compared or (method in known and method != ("supervised", "default"))
            key = kind_of(run.config)
            if key not in found or (found[key][0] and not slow):
                known |= set() if slow else {method}
                found[key] = (slow, f"{suite}-{run.method}-{run.variant}-{run.config['dataset']['name']}", run.config)
    return list(found.values())


def test_kinds_of_trainings():
    config = next(config for _, config in trainings().values() if config["method"]["options"].get("t_semi") == 0)
    options = config["method"]["options"]

    def with_options(**changed):
        return kind_of(config | {"seed": 7, "method": config["method"] | {"options": options | changed}})

    assert with_options() == with_options(lambda_adv_unlabelled=0.002) == kind_of(config)
    assert len({with_options(), with_options(t_semi=0.2), with_options(t_semi=1.0), with_options(lambda_semi=0)}) == 4


def _tree(name: str, root: Path) -> dict:
    """Synthetic images in the format of the data set; returns its block of params.yaml."""
    kind = name.split("_")[0]
    if kind == "voc":
        ids = [f"2007_{number:06}" for number in range(8)]
        trees.voc(root, ids[:3], ids[3:5], ids[5:], size=SIZES["voc"])
        trees.sbd(root, [*ids[5:], ids[0]], ids[3:5], size=SIZES["voc"])
    elif name.startswith("cityscapes_mini"):
        names = [f"{city}_00000{k}_000019" for city in ("aachen", "krefeld", "ulm", "weimar") for k in range(3)]
        val = {} if name.endswith("held_out") else {"val": ["munster_000000_000019"]}
        trees.in_folders(root, {"train": names, **val}, 7, size=SIZES["cityscapes"])
        return LOADED.datasets[name].model_dump(mode="json") | {"data_root": str(root), "complete": False}
    elif kind == "oxford":
        ids = [f"pug_{number}" for number in range(9)]
        trees.oxford_pets(root, ids[:7], ids[7:], size=SIZES["camvid"])
        return LOADED.datasets[name].model_dump(mode="json") | {"data_root": str(root), "complete": False}
    elif kind == "cityscapes":
        counts = {"train": {"aachen": 3, "ulm": 3}, "val": {"munster": 1}}
        trees.cityscapes(root, counts, {"augsburg": 3}, size=SIZES["cityscapes"])
    elif name == "camvid_drives":
        names = [f"{drive}_{k}" for drive in ("0001TP", "0006R0", "0016E5") for k in range(3)]
        trees.camvid(root, {"": names}, layout="plain", size=SIZES["camvid"])
        lines = [f"{value} {label}" for value, (label, _) in enumerate(LABELS)]
        (root / "classes.txt").write_text("\n".join(lines))
        return LOADED.datasets[name].model_dump(mode="json") | {"data_root": str(root)}
    else:
        names = {"train": [f"0016E5_{k}" for k in range(6)], "val": ["0016E5_9"], "test": ["Seq05VD_1"]}
        trees.camvid(root, names, size=SIZES["camvid"])
    return {"kind": kind, "data_root": str(root), "complete": False, "extra": name.endswith("extra")}


@pytest.fixture(scope="session")
def prepared(tmp_path_factory):
    """(root, data set -> settings): a folder with every data set checked and decoded."""
    from semiseg.datasets import preparing

    root = tmp_path_factory.mktemp("suites")
    settings = {name: _tree(name, root / "raw" / name) for name in REAL}
    for name, one in settings.items():
        preparing.prepare(name, DatasetConfig.model_validate(one), root / "data")
    return root, settings


def _marked() -> list:
    return [
        pytest.param(wanted, id=name, marks=[getattr(pytest.mark, mark)] if mark else [])
        for name, (mark, wanted) in trainings().items()
    ]


@pytest.mark.parametrize("wanted", _marked())
def test_a_training_of_the_suites_in_small(wanted, prepared, tmp_path, monkeypatch):
    from semiseg.feed.store import open_store
    from semiseg.splits import split_files

    root, settings = prepared
    monkeypatch.chdir(root)
    name = wanted["dataset"]["name"]
    family, partition = wanted["split"]["family"], wanted["split"]["partition"]
    chosen = ("full", "full") if partition == "full" else ("stride", "1/2")  # the true lists name true images
    path = tmp_path / "splits" / f"{split_name(family, partition)}.json"
    split_files.write_split(path, *chosen, open_store(Path("data") / name / "store"), name, settings[name]["kind"], "")
    run = tmp_path / "runs/run"

    def train(config: dict, folder: Path) -> None:
        for needed in config.get("needs", {}).values():
            train(needed["config"], tmp_path / "runs" / needed["run"])
        request = tmp_path / "request.json"
        write_json(request, {"content": {"config": config, "runtime": RUNTIME, "dataset": settings[name]}})
        main(["train", str(folder), "--request", str(request), "--splits", str(path.parent)])

    train(reduced(wanted), run)
    main(["evaluate", str(run)])
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    [train] = [line for line in lines if line["kind"] == "train"]
    assert train["losses"]
    assert train["iteration"] == 2
    summary = json.loads((run / "eval.json").read_text())
    assert summary["networks"][summary["reported_network"]]["last"]["miou"] > 0


@pytest.mark.parametrize(
    ("recipe", "sentence"),
    [
        ({"network": {"architecture": "dpt", "encoder": "resnet50"}}, "dpt needs a plain vision transformer"),
        (
            {"network": {"architecture": "deeplab_v3plus", "encoder": "tu-vit_small_patch14_dinov2.lvd142m"}},
            "deeplab_v3plus needs an encoder with feature maps of several strides",
        ),
        ({"network": {"architecture": "dpt", "encoder": "tiny_vit"}, "crop": 7}, "recipe.crop: expected a side"),
    ],
    ids=["dpt with a ResNet", "deeplab_v3plus with a transformer", "a crop smaller than a patch"],
)
def test_a_network_that_cannot_be_is_one_sentence(recipe, sentence, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    tiny.workspace(tmp_path, tiny.params(recipe=recipe))
    with pytest.raises(SystemExit) as caught:
        main(["plan"])
    assert caught.value.code == 2
    [line] = [one for one in capsys.readouterr().err.splitlines() if one.strip()]
    assert sentence in line and "suites.tiny.recipe" in line
