from __future__ import annotations

import json

import pytest
import torch

from semiseg.bench import peak_memory, step_speed, timing
from semiseg.cli import main

SMALL = {"architecture": "small", "encoder": "", "width": 4}


@pytest.fixture(scope="module")
def outcome():
    return step_speed.run("fixmatch", SMALL, crop=32, batch=2, seconds=0.1)


def test_fast_and_plain_rows_name_time_data_arithmetic_and_memory(outcome):
    fast, plain = outcome["rows"]
    assert (fast["what"], plain["what"]) == ("fast", "plain")
    for line in (fast, plain):
        assert line["n"] >= 3 and line["quartile_low_ms"] <= line["median_ms"] <= line["quartile_high_ms"]
        assert line["ms_per_unlabelled_image"] == pytest.approx(line["median_ms"] / 2, rel=1e-3)
        assert 0 < line["share_waiting_for_data"] < 1
        assert line["step_memory_mib"] > 0
        expected = line["tflop_per_step"] / (line["median_ms"] / 1000)
        assert line["tflop_per_second"] == pytest.approx(expected, rel=1e-2)
        share = line["tflop_per_second"] / line["matmul_tflop_per_second"]
        assert line["share_of_matmul"] == pytest.approx(share, rel=1e-2)
    assert fast["tflop_per_step"] == plain["tflop_per_step"]
    assert fast["times_as_fast"] == pytest.approx(plain["median_ms"] / fast["median_ms"], rel=1e-2)
    assert outcome["hardware"]["cpu"] and outcome["versions"]["torch"]
    json.dumps(outcome)


def test_without_a_gpu_its_figures_are_empty_and_not_invented(outcome):
    there = torch.cuda.is_available()
    assert (outcome["hardware"]["gpu"] is not None) == there
    assert all((line["peak_gpu_memory_mib"] is not None) == there for line in outcome["rows"])
    assert timing.table(outcome).count("None") == 0


def test_arithmetic_is_counted_over_all_passes(outcome):
    """supervised: one forward and backward pass of 2 images; FixMatch: 6 images so, and 2 more forward."""
    [supervised, _] = step_speed.run("supervised", SMALL, crop=32, batch=2, seconds=0)["rows"]
    ratio = outcome["rows"][0]["tflop_per_step"] / supervised["tflop_per_step"]
    assert 3.3 < ratio < 3.7  # a backward pass is less than two forward ones: nobody asks for the gradient of pixels
    assert supervised["ms_per_unlabelled_image"] is None


def test_peak_counts_what_is_given_back_meanwhile():
    mib = 2**18  # floats

    def three_at_once():
        first = torch.empty(3 * mib)
        del first
        second = [torch.empty(mib) for _ in range(2)]
        return second

    assert peak_memory.peak_mib(three_at_once, "cpu") == pytest.approx(3, abs=0.1)


def test_command_prints_json_and_a_table(capsys, tmp_path):
    main(["bench", "step", "--method", "supervised", "--crop", "32", "--batch", "2", "--seconds", "0",
          "--device", "cpu", "--out", str(tmp_path)])  # fmt: skip
    printed = capsys.readouterr()
    assert json.loads(printed.out)["benchmark"] == "step"
    assert "tflop_per_second" in printed.err and "plain" in printed.err
    [path] = tmp_path.glob("step-*.csv")
    assert len(path.read_text().splitlines()) == 3


def test_sizes_that_no_recipe_takes_are_answered(capsys):
    for wrong, said in ((("--crop", "16"), "crop: expected a side"), (("--batch", "0"), "batch.labelled")):
        with pytest.raises(SystemExit) as stopped:
            main(["bench", "step", "--device", "cpu", *wrong])
        assert stopped.value.code == 2 and said in capsys.readouterr().err


def test_a_gpu_that_is_not_there_is_said(capsys, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit) as stopped:
        main(["bench", "losses", "--device", "cuda"])
    assert stopped.value.code == 2 and "no GPU" in capsys.readouterr().err
