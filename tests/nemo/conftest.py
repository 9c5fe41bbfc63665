"""What needs the extra `nemo` is in this folder; `make test-nemo` runs it in an environment of its own."""

import importlib.util
from pathlib import Path

import pytest

HAVE_NEMO_RUN = importlib.util.find_spec("nemo_run") is not None
collect_ignore = [] if HAVE_NEMO_RUN else [file.name for file in Path(__file__).parent.glob("test_nemo_*.py")]

if HAVE_NEMO_RUN:
    from slurm.conftest import slurm  # noqa: F401  (the lab, for this folder too)


@pytest.fixture(scope="session")
def own_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where nemo-run keeps its experiments: not in the user's home."""
    return tmp_path_factory.mktemp("nemo_home")
