"""Simulated studies: run folders and records in the true formats, without any training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from semiseg.base import files
from semiseg.runs import lease, suite_evaluations
from semiseg.runs.collect import collect, write
from semiseg.runs.evaluations import Evaluations
from semiseg.runs.seal import sealed
from semiseg.scoring.selection import mean_iou, summarise

CLASSES = ("background", "disc", "square", "<script>", "ring", "cross")
DATASET = {"name": "pocket", "classes": CLASSES, "redistributable": True}
PARTITIONS = {"12": 12, "24": 24, "48": 48, "full": 240}
# method -> (mIoU gained over supervised at 12 labels, reported network)
METHODS = {
    "supervised": (0.0, "student"),
    "cutmix_seg": (4.0, "teacher"),
    "fixmatch": (5.5, "student"),
    "mean_teacher": (1.0, "teacher"),
    "unimatch": (7.0, "student"),
}
ADV = {"lambda_adv_labelled": 0.01, "lambda_semi": 0.1, "t_semi": 0.2, "discriminator": "fcn"}
ITERATIONS = (150, 300, 450, 600)
SIZE = 48


def descriptions(
    *, suite: str = "pocket", seeds: int = 3, methods: dict[str, tuple[float, str]] = METHODS,
    partitions: dict[str, int] = PARTITIONS, ablations: bool = True, families: tuple[str, ...] = ("stratified:0",),
) -> list[dict[str, Any]]:  # fmt: skip
    """The planned runs: the comparison everywhere, AdvSemiSeg and its ablations at the smallest partition."""
    planned: dict[str, dict[str, Any]] = {}
    order = 0

    def show(kind, arm, method, variant, options, family, partition, network):
        nonlocal order
        order += 1
        split = "full" if partition == "full" else f"{family}-{partition}".replace(":", "-")
        applies = partition != "full" or method == "supervised" or variant == "adv"
        for seed in range(seeds) if applies else (None,):
            run = f"runs/pocket/{split}/{method}/{variant}/seed{seed}" if applies else None
            key = run or f"none {split} {method} {variant} {kind}"
            row = planned.setdefault(key, {
                "suite": suite, "run": run, "dataset": "pocket", "split": split,
                "split_family": FULL if partition == FULL else family,
                "partition": partition, "split_sha256": files.sha256_bytes(split.encode()),
                "labelled": partitions[partition],
                "unlabelled": 240 - partitions[partition], "method": method, "variant": variant, "options": options,
                "head": "pixel", "seed": seed, "network": network, "architecture": "small", "encoder": "",
                "crop": [64, 64], "output_stride": 16, "iterations": ITERATIONS[-1], "cells": [],
                "spec_sha256": files.sha256_bytes(key.encode()),
                "reason": "" if applies else "with all labels there are no unlabelled images",
            })  # fmt: skip
            row["cells"].append({"kind": kind, "arm": arm, "order": order})

    smallest = next(iter(partitions))
    for family in families:
        for partition in partitions:
            for method, (_, network) in methods.items():
                show("comparison", "default", method, "default", {}, family, partition, network)
        for variant, changed in (("adv", {"lambda_semi": 0.0}), ("adv_semi", {})):
            show("comparison", variant, "advsemiseg", variant, ADV | changed, family, smallest, "student")
    if ablations:
        arms = [("threshold", str(t), {"t_semi": t}) for t in (0.0, 0.1, 0.2, 0.3, 1.0)]
        arms += [("lambda_semi", f"{value:g}", {"lambda_semi": value}) for value in (0.0, 0.05, 0.1, 0.2)]
        arms += [("discriminator", "none", None), ("discriminator", "L_adv, FCN", {"lambda_semi": 0.0}),
                 ("discriminator", "L_adv, non-FCN", {"lambda_semi": 0.0, "discriminator": "non_fcn"}),
                 ("discriminator", "L_semi alone", {"lambda_adv_labelled": 0.0}),
                 ("discriminator", "both", {})]  # fmt: skip
        for kind, arm, changed in arms:
            if changed is None:
                show(kind, arm, "supervised", "default", {}, families[0], smallest, "student")
                continue
            different = {key: value for key, value in changed.items() if value != ADV[key]}
            variant = ",".join(f"{key}={value}" for key, value in sorted(different.items())) or "adv_semi"
            variant = "adv" if different == {"lambda_semi": 0.0} else variant
            show(kind, arm, "advsemiseg", variant, ADV | changed, families[0], smallest, "student")
    return list(planned.values())


def result(
    method: str, seed: int, student: float, teacher: float | None = None, *, variant: str = "default",
    partition: str = "12", labelled: int = 12, head: str = "pixel", family: str = "stratified:0",
    network: str = "student", options: dict[str, Any] | None = None, curve: tuple[float, ...] | None = None,
    kind: str = "comparison", arm: str | None = None, per_class: tuple[float, ...] = (60.0, 40.0), dirty: bool = False,
    iterations: int = 600,
) -> dict[str, Any]:  # fmt: skip
    """A line of records.jsonl with the wanted mIoU of student and teacher, without a run folder behind it."""
    split = FULL if partition == FULL else f"{family}-{partition}".replace(":", "-")
    teacher = student if teacher is None else teacher

    def scores(miou: float) -> dict[str, Any]:
        at = {"miou": miou, "iteration": iterations, "absent": [], "per_class": list(per_class), "pixel_accuracy": 90.0}
        shape = curve or (0.0, -0.1, 0.0)
        return {"last": at, "best": at, "lastk": {"miou": miou, "k": 1, "iterations": [iterations]},
                "curves": {"test": [miou + difference for difference in shape[:-1]] + [miou]}}  # fmt: skip

    run = f"runs/pocket/{split}/{method}/{variant}/{head}/seed{seed}"
    evaluated = {
        "classes": ["a", "b"], "evaluated_on": "test", "selected_on": "val",
        "spec_sha256": files.sha256_bytes(run.encode()),
        "iterations": [iterations // 3, 2 * iterations // 3, iterations],
        "networks": {"student": scores(student), "teacher": scores(teacher)},
    }  # fmt: skip
    return {
        "suite": "made", "run": run, "dataset": "pocket",
        "split": split, "split_family": FULL if partition == FULL else family, "partition": partition,
        "split_sha256": files.sha256_bytes(split.encode()), "labelled": labelled, "unlabelled": 240 - labelled,
        "method": method, "variant": variant, "options": options or {}, "head": head, "seed": seed, "network": network,
        "architecture": "small", "encoder": "", "crop": [64, 64], "output_stride": 16, "iterations": iterations,
        "block": None, "cells": [{"kind": kind, "arm": arm or variant, "order": 0}], "state": "done", "reason": "",
        "eval": evaluated, "record": {"git": {"dirty": dirty}, "cpu_seconds": 60.0, "gpu_seconds": 0.0},
    }  # fmt: skip


FULL = "full"


def simulate(
    suite_dir: Path, planned: list[dict[str, Any]], *, images: int = 60, states: dict[str, str] | None = None,
    pictures: int = 4, iterations: tuple[int, ...] = ITERATIONS, classes: tuple[str, ...] = CLASSES,
    metrics_every: int = 20,
) -> list[dict[str, Any]]:  # fmt: skip
    """Write the run folders (all `done` unless `states` names a run otherwise) and records.jsonl; returns its rows."""
    shares = np.random.default_rng(0).dirichlet(np.full(len(classes), 0.6), size=images)
    for number, description in enumerate(planned):
        if description["run"] is None:
            continue
        state = (states or {}).get(description["run"], "done")
        if state != "missing":
            _run(
                suite_dir / description["run"],
                description,
                number,
                state,
                shares,
                pictures,
                iterations,
                classes,
                metrics_every,
            )
    rows = collect(suite_dir, planned)
    write(suite_dir / "records.jsonl", rows)
    suite_evaluations.write(suite_dir / suite_evaluations.NAME, suite_evaluations.gather(suite_dir, rows))
    return rows


def _quality(description: dict[str, Any]) -> float:
    """Logit of the hit rate: more labels, better; a method's gain shrinks as labels grow."""
    labelled = description["labelled"]
    gain = METHODS.get(description["method"], (0.0, ""))[0]
    if description["method"] == "advsemiseg":
        options = description["options"]
        used = options["lambda_semi"] * (1 - abs(options["t_semi"] - 0.2)) if options["t_semi"] < 1 else 0.0
        gain = 1.5 * (options["lambda_adv_labelled"] > 0) + 15 * used - 1.0 * (options["discriminator"] != "fcn")
    return 0.35 + 0.42 * np.log(labelled / 12) + 0.05 * gain * (12 / labelled) ** 0.7


def _run(folder, description, number, state, shares, pictures, iterations, classes, metrics_every):
    random = np.random.default_rng([number, description["seed"]])
    quality = _quality(description) + random.normal(0, 0.04)
    spec = description["spec_sha256"]
    files.write_json(folder / "record.json", _record(description, state, random))
    if state == "running":
        files.write_json(folder / "lease.json", lease.identity())  # this process stands in for the training
    config = {"method": {"name": description["method"], "options": description["options"]}, "seed": description["seed"],
              "split": {"partition": description["partition"]}, "note": "<b>not markup</b>"}  # fmt: skip
    files.write_text(folder / "config.yaml", yaml.safe_dump(config))
    if state != "done":
        return
    ids = {name: [f"scene {i % 3}/{name}_{i:03}" for i in range(len(shares))] for name in ("val", "test")}
    evaluations = Evaluations(classes, {"name": "whole"}, ids)
    opponent = {"discriminator_fake": 0.3, "discriminator_real": 0.2} if description["method"] == "advsemiseg" else {}
    lines = [
        {"kind": "train", "iteration": i,
         "losses": {"ce": 2 * np.exp(-i / 200) + random.uniform(0.25, 0.35), "u": 0.4} | opponent,
         "lr": 0.003 * (1 - i / iterations[-1]), "seconds": i * 0.02}
        for i in range(0, iterations[-1], metrics_every)
    ]  # fmt: skip
    for iteration in iterations:
        progress = 1 - np.exp(-6 * iteration / iterations[-1])
        for network, bonus in (("student", 0.0), ("teacher", 0.06)):
            for name in ids:
                matrices = _matrices(
                    quality - 1.2 * (1 - progress) + bonus + random.normal(0, 0.02), shares, random, classes
                )
                evaluations.add(iteration, name, network, matrices)
                miou = mean_iou(matrices.sum(0))
                lines.append(
                    {"kind": "evaluation", "iteration": iteration, "set": name, "network": network, "miou": miou}
                )
        if description["method"] != "supervised":
            right = 0.7 + 0.2 * progress
            shares_known = {"confident_share": 0.3 + 0.5 * progress, "pseudo_accuracy": right, "inside": right + 0.02,
                            "near_borders": right - 0.2, "by_class": [right] * (len(classes) - 1) + [None]}  # fmt: skip
            lines.append({"kind": "diagnostics", "iteration": iteration, **shares_known})
    evaluations.save(folder / "evaluations.npz")
    files.write_text(folder / "metrics.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
    summary = summarise(evaluations, spec_sha256=spec, evaluated_on="test", selected_on="val", lastk=3,
                        reported_network=description["network"])  # fmt: skip
    files.write_json(folder / "eval.json", sealed(summary | {"code": "f" * 64}))
    files.write_json(folder / "spec.json", {"sha256": spec, "spec": {"config": config}})
    if pictures:
        files.write_npz(folder / "predictions.npz", **_predictions(ids["test"][:pictures], quality, random, classes))


def _matrices(quality, shares, random, classes) -> np.ndarray:
    """Confusion matrices of images with 4,096 pixels; what is missed goes to the class before, or to background."""
    difficulty = np.linspace(0.7, -0.7, len(shares))[:, None] + np.linspace(0.5, -0.5, len(classes))
    pixels = np.round(shares * 4096)
    hit = np.round(pixels / (1 + np.exp(-(quality + difficulty + random.normal(0, 0.25, pixels.shape)))))
    missed = pixels - hit
    matrices = np.zeros((*pixels.shape, len(classes)), dtype=np.int64)
    index = np.arange(len(classes))
    matrices[:, index, index] = hit
    matrices[:, index, np.roll(index, 1)] += np.floor(missed / 2).astype(np.int64)
    matrices[:, index, 0] += np.ceil(missed / 2).astype(np.int64)
    return matrices


def truth(image: str, classes: int = len(CLASSES)) -> np.ndarray:
    """The label map of an image: two shapes on background, with a border of 255."""
    random = np.random.default_rng(sum(image.encode()))
    rows, columns = np.mgrid[:SIZE, :SIZE]
    label = np.zeros((SIZE, SIZE), dtype=np.uint8)
    for _ in range(2):
        centre, radius = random.integers(10, SIZE - 10, 2), random.integers(6, 14)
        distance = np.hypot(rows - centre[0], columns - centre[1])
        label[distance < radius + 1] = 255
        label[distance < radius] = random.integers(1, classes)
    return label


def read_image(image: str) -> tuple[np.ndarray, np.ndarray]:
    """(picture uint8 [H, W, 3], label uint8 [H, W]) of an image id, as the report asks for them."""
    label = truth(image)
    picture = (label[..., None] * np.array([37, 91, 53]) % 256).astype(np.float64)
    noise = np.random.default_rng(1).normal(0, 12, picture.shape)
    return np.clip(picture * 0.7 + 40 + noise, 0, 255).astype(np.uint8), label


def _predictions(ids, quality, random, classes) -> dict[str, np.ndarray]:
    arrays = {}
    for image in ids:
        for network in ("student", "teacher"):
            wrong = random.random((SIZE // 8, SIZE // 8)).repeat(8, 0).repeat(8, 1) > 1 / (1 + np.exp(-quality - 1))
            label = np.where(truth(image) == 255, 0, truth(image))
            arrays[f"{image}/{network}"] = np.where(wrong, (label + 1) % len(classes), label).astype(np.uint8)
        arrays[f"{image}/confidence"] = np.where(wrong, 120, 240).astype(np.uint8)
    return arrays


def _record(description, state, random) -> dict[str, Any]:
    seconds = 30 + 5 * len(description["method"]) + float(random.uniform(0, 2))
    error = {"kind": "Diverged", "message": "the loss became NaN at iteration 37"} if state == "failed" else None
    return {
        "state": state, "spec_sha256": description["spec_sha256"], "error": error, "seed": description["seed"],
        "git": {"commit": "0123456789abcdef", "dirty": False}, "versions": {"python": "3.11.7", "torch": "2.15.0"},
        "hardware": {"device": "cpu", "cpu": "Simulated CPU", "gpu": None},
        "hashes": {"data": "d" * 64, "split": description["split_sha256"], "config": "c" * 64, "code": "e" * 64},
        "started": "2026-01-01T00:00:00+00:00", "finished": "2026-01-01T00:01:00+00:00", "wall_seconds": seconds,
        "gpu_seconds": 0.0, "cpu_seconds": seconds * 0.98, "energy_joules": None,
        "peak_memory_mib": 600.0 + 10 * len(description["method"]),
        "iterations": ITERATIONS[-1], "parameters": 210_000, "resumed": 0,
        "command": f"semiseg train --suite pocket {description['run']}",
    }  # fmt: skip


SPREAD = (-0.5, 0.1, 0.6, 0.2, -0.4)


def built(tmp_path, rows):
    from semiseg.report import tables
    from semiseg.report.records import Records

    return {table.name: table for table in tables.assemble(Records("made", tmp_path, rows))}


def seeds(method, student, *more, spread=SPREAD, only=range(5), **changes):
    """Five trainings around a figure; each method has the spread in an order of its own, so that pairs differ."""
    turned = np.random.default_rng(sum(method.encode())).permutation(spread).tolist()
    return [result(method, seed, student + one, *[figure + one for figure in more], **changes)
            for seed, one in enumerate(turned) if seed in only]  # fmt: skip
