# make demo    the whole pipeline on this machine (a laptop will do)
# make test    linters, types and tests
# Both create .venv on first use and take seconds to notice that nothing changed.
PYTHON      ?= python3.11
VENV        ?= .venv
CONSTRAINTS ?= constraints/cpu-py311.txt
ARGS        ?=

BIN   := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test lint clean
.DELETE_ON_ERROR:

demo: $(STAMP)
	$(BIN)/fleming demo $(ARGS)

test: lint
	$(BIN)/python -m pytest $(ARGS)

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
