"""Checks across blocks of params.yaml: names and sizes that must agree with the rest of the file."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from semiseg import methods
from semiseg.base.errors import UserError
from semiseg.base.explain import nearest
from semiseg.datasets.kind import kind_of
from semiseg.splits.families import check_partition, count_of

if TYPE_CHECKING:
    from semiseg.params.origin import Origin
    from semiseg.params.schema import Params, Suite
    from semiseg.params.tune import Tune

Where = Callable[..., str]  # keys below a block -> file and path of the key, for a message
FOLDER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def cross_check(params: Params, origin: Origin) -> None:
    for block in ("suites", "datasets"):
        for name in getattr(params, block):
            _check_name(name, origin.at(block, name))
    for name in params.methods:
        _check_method(name, origin.at("methods", name))
    for name, suite in params.suites.items():
        _check_suite(params, suite, partial(origin.at, "suites", name))


def _check_suite(params: Params, suite: Suite, where: Where) -> None:
    if suite.dataset not in params.datasets:
        raise UserError(
            f"{where('dataset')}: there is no data set {suite.dataset!r}{nearest(suite.dataset, params.datasets)}"
        )
    dataset = params.datasets[suite.dataset]
    kind = kind_of(dataset)
    pool = kind.pool(dataset) if dataset.complete else None
    for family in suite.splits.family:
        for partition in suite.splits.partitions:
            try:
                check_partition("full" if partition == "full" else family, partition, kind.literature)
                _check_name(partition.replace("/", "-"), "partitions")
                if partition.isdecimal() and pool and count_of(partition, pool) == pool:
                    raise UserError(f"the partition {partition} has all labels of the pool; write `full`")
            except UserError as error:
                raise UserError(f"{where('splits')}: {error}") from None
    if suite.evaluation.evaluated_on == "test" and not kind.has_test(dataset):
        raise UserError(
            f"{where('evaluation', 'evaluated_on')}: {suite.dataset} has no test set; write `evaluated_on: val`"
            + (", or give the data set test_list or test_share" if kind.own else "")
        )
    for keys, method, partitions in _methods(suite):
        _check_method(method, where(*keys))
        for partition in partitions:
            if partition not in suite.splits.partitions:
                raise UserError(
                    f"{where(*keys, 'at')}: {partition!r} is not among the suite's partitions "
                    f"({', '.join(suite.splits.partitions)})"
                )
    for name in suite.ablations:
        _check_name(name, where("ablations", name))
    if suite.tune is not None:
        _check_tuning(params, suite, suite.tune, partial(where, "tune"))


def _check_tuning(params: Params, suite: Suite, tune: Tune, where: Where) -> None:
    """Tuning needs a partition with unlabelled images, and a val that may be used for selection."""
    if tune.at not in suite.splits.partitions or tune.at == "full":
        offered = ", ".join(one for one in suite.splits.partitions if one != "full")
        raise UserError(f"{where('at')}: {tune.at!r} is no partition of the suite with unlabelled images ({offered})")
    for method in tune.methods or ():
        if method not in suite.methods:
            raise UserError(f"{where('methods')}: {method!r} is no method of the suite{nearest(method, suite.methods)}")
    if tune.dataset is None and suite.evaluation.selected_on is None:
        raise UserError(
            f"{where('dataset')} is missing: selected_on is null, so the suite's val must not select trials; name a "
            "data set whose val is part of train"
        )
    name = tune.dataset or suite.dataset
    if name not in params.datasets:
        raise UserError(f"{where('dataset')}: there is no data set {name!r}{nearest(name, params.datasets)}")
    try:
        family = tune.family or suite.splits.family[0]
        check_partition(family, tune.trials_at or tune.at, kind_of(params.datasets[name]).literature)
    except UserError as error:
        raise UserError(f"{where()}: {error}") from None


def _methods(suite: Suite) -> Iterator[tuple[tuple[str, ...], Any, tuple[str, ...]]]:
    """(keys, method, partitions) of every entry that names a method."""
    for name, entries in suite.methods.items():
        for entry in entries:
            yield ("methods", name), name, entry.at or ()
    for name, ablation in suite.ablations.items():
        yield ("ablations", name), ablation.method, (ablation.at,)
        for arm, changes in ablation.arms.items():
            yield ("ablations", name, "arms", arm), changes.get("method", ablation.method), ()


def _check_method(name: Any, where: str) -> None:
    if name not in methods.names():
        raise UserError(f"{where}: there is no method {name!r}{nearest(str(name), methods.names())}")


def _check_name(name: str, where: str) -> None:
    if not FOLDER_NAME.fullmatch(name):
        raise UserError(
            f"{where}: {name!r} becomes the name of a folder; use only letters, digits, dots, dashes, underscores"
        )
