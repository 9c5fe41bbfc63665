# make demo          the whole pipeline on this machine (a laptop will do)
# make test          linters, types and tests, in less than ten minutes
# make test-slow     the tests that take longer: whole pipelines, jobs on a Slurm of their own, kills by the dozen
# make test-parity   every parallel layout against one process, as a table
# All create .venv on first use and take seconds to notice that nothing changed.
PYTHON      ?= python3.11
VENV        ?= .venv
CONSTRAINTS ?= constraints/cpu-py311.txt
ARGS        ?=

BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
# One process of tests for each core, whole files at a time: fixtures of a file start process groups that are shared.
PYTEST := $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile

.PHONY: demo test test-slow test-parity lint clean
.DELETE_ON_ERROR:

demo: $(STAMP)
	$(BIN)/fleming demo $(ARGS)

test: lint
	$(PYTEST) -m "not slow" $(ARGS)

test-slow: $(STAMP)
	$(PYTEST) -m "slow and not parity" $(ARGS)

test-parity: $(STAMP)
	$(BIN)/python -m pytest --quiet tests/distributed/test_parity.py $(ARGS)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/mypy

# The stamp comes last, so an interrupted installation is finished by the next call.
$(STAMP): pyproject.toml $(CONSTRAINTS)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint $(CONSTRAINTS) --editable '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis
