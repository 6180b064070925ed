# The two commands of a fresh clone are `make demo` and `make test`; both make .venv from requirements.lock first.
PYTHON ?= python3
BIN := $(CURDIR)/.venv/bin
# PyTorch with two threads thrashes on small machines: one thread per training, trainings side by side.
export OMP_NUM_THREADS := 1
export PATH := $(BIN):$(PATH)
# Some container images set it; without compiled modules every start of a training costs 10 s more.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test lint lock site environment clean

demo: environment
	@snakemake --profile local all --config suite=pocket
	@echo "The report: $(CURDIR)/results/pocket/report/index.html"
	@echo "For semiseg, snakemake and dvc in this shell: . .venv/bin/activate"

test: environment
	@python -m pytest -n 2 --dist loadfile -m "not (browser or demo or dvc or slurm or slow or pretended_gpu)"
	@python -m pytest -m "pretended_gpu and not slow" tests/engine/test_pretended_gpu.py

lint: environment
	ruff check .
	ruff format --check .
	snakefmt --check Snakefile workflow
	snakemake --lint

environment:
	@$(PYTHON) scripts/environment.py

# Docs and the reports of all published studies, for any web server or to open from disk.
site: environment
	@NO_MKDOCS_2_WARNING=1 mkdocs build --strict --quiet
	@python scripts/site_reports.py site
	@echo "The site: $(CURDIR)/site/index.html"

lock: environment
	uv pip compile --quiet --universal --python-version 3.11 --extra workflow --extra gpu --extra export \
	  --extra bundle --extra site --extra development --no-header --upgrade pyproject.toml -o requirements.lock

# What the demo made, and what all suites' commands left behind beside their results; results and data of others stay.
clean:
	@test ! -e .snakemake/driver.json || { echo "snakemake may be at work here; stop it, or remove .snakemake/driver.json if it is gone"; exit 1; }
	rm -rf data/pocket results/pocket logs .snakemake
