"""semiseg data get|check|prepare|weights|init"""

from __future__ import annotations

import argparse
from pathlib import Path


def define(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    for name, summary in (
        ("get", "download or verify the source files"),
        ("check", "check every file of the data set and store the result in manifest.json"),
        ("prepare", "get, check and decode (called by the workflow)"),
    ):
        action = actions.add_parser(name, help=summary, description=summary)
        action.add_argument("name", help="name of a data set in params.yaml")
        action.set_defaults(run=globals()[name])
    summary = "fetch the start weights of a suite into the hub's cache and record their hash"
    action = actions.add_parser("weights", help=summary, description=summary)
    action.add_argument("suite", nargs="?", help="name of a suite in params.yaml (default: the present one)")
    action.set_defaults(run=weights)
    summary = "inspect a folder of images; propose classes.yaml and suites"
    action = actions.add_parser("init", help=summary, description=summary)
    action.add_argument("folder", type=Path, help="folder that holds images/ and masks/")
    action.add_argument("--write", action="store_true", help="write the data set and its suites into params.local.yaml")
    action.add_argument("--weights", type=Path, metavar="FILE", help="pretrained encoder weights (.safetensors)")
    action.set_defaults(run=init)


def _settings(name: str):
    from semiseg.base.errors import UserError
    from semiseg.base.explain import nearest
    from semiseg.params import loading

    datasets = loading.load().datasets
    if name not in datasets:
        raise UserError(f"params.yaml: datasets: there is no data set {name!r}{nearest(name, datasets)}")
    return datasets[name]


def get(options: argparse.Namespace) -> None:
    from semiseg.datasets.dataset import raw_folder
    from semiseg.datasets.get.getting import get

    settings = _settings(options.name)
    get(options.name, settings)
    folder = raw_folder(options.name, settings)
    origin = "is used in place, nothing is downloaded" if settings.data_root else "holds the source files"
    print(f"{folder} {origin}; `semiseg data check {options.name}` looks at every file")


def check(options: argparse.Namespace) -> None:
    from semiseg.base.files import peek_json
    from semiseg.datasets import changes
    from semiseg.datasets.manifest import manifest_path
    from semiseg.datasets.preparing import data_sha256
    from semiseg.datasets.verdict import check

    path = manifest_path(options.name)
    before, trained_on = peek_json(path), data_sha256(options.name)
    try:
        check(options.name, _settings(options.name))
    finally:
        after = peek_json(path)
        found = changes.between(before, after) if before and after else None
        if found:
            print(f"since the last check: {found}")
            if sentence := _stale(options.name, trained_on):
                print(sentence)


def _stale(name: str, data: str | None) -> str:
    """Finished runs that used files that have changed since."""
    from semiseg.runs.run_folder import RunFolder
    from semiseg.study.plan import RESULTS

    folders = [RunFolder(path.parent) for path in sorted(RESULTS.glob(f"*/runs/{name}/*/*/*/*/spec.json"))]
    stale = [folder.path for folder in folders if (folder.spec or {}).get("data") == data]
    if not stale:
        return ""
    suites = dict.fromkeys(path.parts[1] for path in stale)
    runs = "1 finished run was" if len(stale) == 1 else f"{len(stale)} finished runs were"
    of = "suite" if len(suites) == 1 else "suites"
    return (
        f"{runs} trained on the previous files ({of} {', '.join(suites)}): the next "
        "`snakemake` of such a suite trains its runs again. To keep them, restore the previous files"
    )


def prepare(options: argparse.Namespace) -> None:
    from semiseg.datasets.preparing import prepare

    prepare(options.name, _settings(options.name))
    print(f"the data set {options.name} is ready")


def weights(options: argparse.Namespace) -> None:
    from semiseg.models import start_weights
    from semiseg.params import hub_weights, loading

    params = loading.load(suite=options.suite)
    network = params.suites[params.suite].recipe.network
    if network.encoder_weights not in hub_weights.FROM_HUB:
        print(f"the suite {params.suite} starts from {network.encoder_weights}: there is nothing to fetch")
        return
    found = start_weights.of_hub(network)
    hub_weights.record(network.encoder, found)
    print(f"{network.encoder}: SHA-256 {found}, recorded in {hub_weights.FILE}")


def init(options: argparse.Namespace) -> None:
    from semiseg.cluster import devices
    from semiseg.datasets.first_look.proposal import look
    from semiseg.models import start_weights
    from semiseg.params import local
    from semiseg.study import suite_proposal as proposal

    device = "gpu" if devices.count() else "cpu"
    start = start_weights.of_file(options.weights, device) if options.weights else None
    found = look(options.folder, taken=_names_in_use(options.folder))
    start = start or start_weights.in_cache(device)
    if start:
        print(f"the suites start from {start.encoder} ({start.weights})")
    else:
        print(proposal.missing_weights(device))
    blocks = proposal.blocks(found, device, start)
    if options.write:
        written = local.write(blocks)
        print(f"wrote the data set {found.name} and the suites {', '.join(blocks['suites'])} into {written}")
    else:
        print(f"--write adds this to {local.loading.LOCAL}; or add it by hand:\n\n{local.as_text(blocks)}")
    print(
        f"next: `semiseg data check {found.name}`; `semiseg plan --suite {found.name}_try` estimates the time; "
        f"`snakemake --profile local all --config suite={found.name}_try` trains"
    )


def _names_in_use(folder: Path) -> set[str]:
    """Names of data sets and suites in both files, except those of an earlier proposal for this folder."""
    import yaml

    from semiseg.base.yaml_loader import UniqueKeys
    from semiseg.params.loading import LOCAL

    taken, own = set(), set()
    for path in (Path("params.yaml"), Path(LOCAL)):
        try:
            content = yaml.load(path.read_text(), Loader=UniqueKeys) if path.exists() else {}
            datasets, suites = content.get("datasets") or {}, content.get("suites") or {}
            roots = {name: one["data_root"] for name, one in datasets.items() if one and one.get("data_root")}
            own |= {name for name, root in roots.items() if Path(root).expanduser().resolve() == folder.resolve()}
            taken |= {*datasets, *suites}
        except (yaml.YAMLError, UnicodeDecodeError, AttributeError, TypeError):
            continue  # the next command reports a damaged file
    return taken - own
