"""What is known of a data set before it is there: enough to refuse a study that it cannot carry."""

from __future__ import annotations

from semiseg.datasets.dataset_config import DatasetConfig

POOL = {"pocket": 480, "camvid": 367, "cityscapes": 2975, "voc": 10_582}
POOL_OF_LIST = {"train": 1464}  # VOC without SBD
WITH_TEST = ("pocket", "camvid")


def pool(config: DatasetConfig) -> int | None:
    """Labelled training images of the complete data set; None where only the files can tell."""
    if not config.complete:
        return None
    return POOL_OF_LIST.get(config.train_list or "", POOL.get(config.kind))


def has_test(config: DatasetConfig) -> bool:
    if config.kind == "folder":
        return config.test_list is not None or config.test_share > 0
    return config.kind in WITH_TEST
