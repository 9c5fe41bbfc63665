import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2] / "distributed"))  # the harness of several ranks

from harness import Harness  # noqa: E402


@pytest.fixture(scope="session")
def harness(tmp_path_factory: pytest.TempPathFactory) -> Harness:
    return Harness(tmp_path_factory.mktemp("sets"))
