from typing import Any

import pytest
from harness import Harness

_PARITY = pytest.StashKey[list[tuple[Any, ...]]]()


@pytest.fixture(scope="session")
def harness(tmp_path_factory: pytest.TempPathFactory) -> Harness:
    return Harness(tmp_path_factory.mktemp("sets"))


@pytest.fixture(scope="session")
def parity_table(request: pytest.FixtureRequest) -> list[tuple[Any, ...]]:
    """Rows of the table that is printed at the end: layout, architecture, precision, differences."""
    return request.config.stash.setdefault(_PARITY, [])


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    rows = config.stash.get(_PARITY, [])
    if not rows:
        return
    from importlib.metadata import version

    terminalreporter.section(f"largest difference from one process, megatron-core {version('megatron-core')}")
    names = ("SFT loss", "grad norm", "GRPO loss", "grad norm")
    terminalreporter.write_line(
        f"{'layout':30} {'architecture':14} {'precision':9} " + " ".join(f"{n:>10}" for n in names)
    )
    for layout, arch, precision, *found in rows:
        numbers = " ".join(f"{x:10.1e}" for x in found)
        terminalreporter.write_line(f"{layout:30} {arch:14} {precision:9} {numbers}")
    worst = {p: max(max(row[3:]) for row in rows if row[2] == p) for p in sorted({row[2] for row in rows})}
    terminalreporter.write_line("worst: " + ", ".join(f"{p} {x:.1e}" for p, x in worst.items()))
