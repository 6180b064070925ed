"""Write the reports of all published studies into site/reports, with an index: `python scripts/site_reports.py SITE`.

They are made from records and stored evaluations, without data, run folders or training. Studies of an earlier version
have no stored evaluations; the site has their README.md and no report.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from results_index import studies

from semiseg.report import html, rebuild
from semiseg.study.study import Study


def write(site: Path, folders: list[Path]) -> list[str]:
    """Names of the studies whose report was made."""
    made = []
    with tempfile.TemporaryDirectory() as place:
        for folder in folders:
            if not (folder / "evaluations.npz").exists():
                continue
            copy, study = Path(place) / folder.name, Study.load(folder.name)
            copy.mkdir()
            for name in ("records.jsonl", "evaluations.npz"):
                shutil.copyfile(folder / name, copy / name)
            rows = rebuild.read_rows(copy)
            rebuild.rebuild(copy, rows)
            dataset = {"name": study.suite.dataset, "classes": [], "redistributable": study.redistributable}
            html.build(folder.name, copy, rows, dataset=dataset)
            made.append(folder.name)
        html.build_index(Path(place))
        shutil.rmtree(site / "reports", ignore_errors=True)
        ours = shutil.ignore_patterns("evaluations.npz", "README.md")
        shutil.copytree(place, site / "reports", ignore=ours)
    return made


if __name__ == "__main__":
    found = write(Path(sys.argv[1]), studies())
    print(f"{sys.argv[1]}/reports: {', '.join(found) or 'no study has stored evaluations'}")
