# What a newcomer types. Every target sets up what it needs by itself; `make help` lists them.

.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
BIN := .venv/bin
export PYTHON

.PHONY: help demo test interop lint notebooks docs docs-setup linkcheck bench bench-setup setup clean

help:  ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' Makefile

demo: setup  ## fit the models of the README and print them
	@$(BIN)/python -m lmmpy.demo
	@echo
	@echo "To go on: source .venv/bin/activate, then python, or lmmpy --help. The course is in notebooks/: see the README."

test: setup  ## run the tests (ARGS="tests/engines -k blocked" for some)
	@OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 $(ARGS)

interop: setup  ## install marginaleffects and maketables too (half a gigabyte), and run the tests with them
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c scripts/constraints-interop.txt -e '.[interop]'
	@OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -q tests/model/test_interop.py
	@OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -q tests/model/test_traits_rows.py -k marginaleffects

lint: setup  ## ruff, mypy --strict, and the walls between the rooms
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy --strict lmmpy
	@$(BIN)/lint-imports

notebooks: setup  ## run the notebooks of the course anew (ARGS="03 05" for some, ARGS=--check to compare only)
	@OPENBLAS_NUM_THREADS=1 $(BIN)/python scripts/course.py $(ARGS)

docs: docs-setup  ## build the documentation in docs/_build/html, every warning an error
	@OPENBLAS_NUM_THREADS=1 $(BIN)/python -m sphinx -W --keep-going -n -q -b html docs docs/_build/html
	@echo "built without a warning: open docs/_build/html/index.html"

linkcheck: docs-setup  ## try the links of the documentation that lead to other sites (needs the network)
	@OPENBLAS_NUM_THREADS=1 $(BIN)/python -m sphinx -q -b linkcheck docs docs/_build/linkcheck

docs-setup: setup
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c scripts/constraints.txt -e '.[docs]'

bench: bench-setup  ## compare with other packages (half an hour; ARGS=--quick); writes benchmarks/RESULTS.md
	@$(BIN)/python -m benchmarks $(ARGS)

bench-setup: setup
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check statsmodels mixedlm joblib matplotlib bed-reader
	@command -v Rscript >/dev/null && Rscript -e 'quit(status = !all(c("lme4", "glmmTMB", "jsonlite") %in% rownames(installed.packages())))' \
	    || echo "R's lme4 or glmmTMB is missing and will not be compared: sudo apt-get install r-cran-lme4 r-cran-glmmtmb r-cran-jsonlite libopenblas0-pthread"

setup:  ## make .venv, and install SuiteSparse where it is missing
	@scripts/setup

clean:  ## remove .venv, builds and caches
	rm -rf docs/_build docs/reference/generated docs/tutorials/*.ipynb
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find lmmpy tests scripts benchmarks -name __pycache__ -prune -exec rm -rf {} +
