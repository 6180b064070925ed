from __future__ import annotations

import json

from semiseg.runs import training_log


def test_losses_are_thinned_to_means():
    assert training_log.thin([(0, 1.0), (1, 2.0)], 200) == [(0, 1.0), (1, 2.0)]
    points = training_log.thin([(i, float(i % 2)) for i in range(10_000)], most=100)
    assert len(points) == 100 and points[-1] == (9_999, 0.5)


def test_a_resumed_training_has_no_point_twice(tmp_path):
    lines = [{"kind": "train", "iteration": i, "losses": {"u": float(i)}} for i in (0, 10, 20)]
    lines += [{"kind": "train", "iteration": 20, "losses": {"u": 7.0}}, {"kind": "diagnostics", "iteration": 20}]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert training_log.losses(tmp_path) == {"u": [(0, 0.0), (10, 10.0), (20, 7.0)]}
    assert training_log.lines(tmp_path / "elsewhere", "train") == []
