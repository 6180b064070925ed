# The two commands of a fresh clone are `make demo` and `make test`; both make .venv from requirements.lock first.
PYTHON ?= python3
BIN := $(CURDIR)/.venv/bin
# One thread per training, because PyTorch with two threads is slow on small machines; trainings run in parallel.
export OMP_NUM_THREADS := 1
export PATH := $(BIN):$(PATH)
# Some container images set this variable; without compiled modules every start of a training takes 10 s longer.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test lint lock site environment clean

demo: environment
	@snakemake --profile local all --config suite=pocket
	@echo "The report: $(CURDIR)/results/pocket/report/index.html"
	@echo "For semiseg, snakemake and dvc in this shell: . .venv/bin/activate"

test: environment
	@python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not (browser or demo or dvc or slurm or slow or exhaustive or pretended_gpu)"
	@python -m pytest -m "pretended_gpu and not (slow or exhaustive)" tests/engine/test_pretended_gpu.py

lint: environment
	ruff check .
	ruff format --check .
	snakefmt --check Snakefile workflow
	snakemake --lint

environment:
	@$(PYTHON) scripts/environment.py

# The docs and the reports of all published studies, for a web server or to open from disk.
site: environment
	@NO_MKDOCS_2_WARNING=1 mkdocs build --strict --quiet
	@python scripts/site_reports.py site
	@echo "The site: $(CURDIR)/site/index.html"

lock: environment
	uv pip compile --quiet --universal --python-version 3.11 --extra workflow --extra gpu --extra export \
	  --extra bundle --extra site --extra development --no-header --upgrade pyproject.toml -o requirements.lock

# Remove the demo's data and results, and the logs of all suites; all other results and data are kept.
clean:
	@test ! -e .snakemake/driver.json || { echo "snakemake may be running here; stop it, or remove .snakemake/driver.json if it has ended"; exit 1; }
	rm -rf data/pocket results/pocket logs .snakemake
