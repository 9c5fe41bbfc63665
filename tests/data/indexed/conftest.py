from pathlib import Path

import lessons_fixture
import pytest

from fleming_nemo.data.tokenizer import ChatTokenizer


@pytest.fixture(scope="session")
def qwen(tmp_path_factory: pytest.TempPathFactory) -> ChatTokenizer:
    return lessons_fixture.qwen_like(tmp_path_factory.mktemp("qwen"))


@pytest.fixture
def lessons(tmp_path: Path) -> tuple[Path, Path]:
    """Files of 50 items and their chains."""
    items = lessons_fixture.items(50)
    return lessons_fixture.write(tmp_path / "inputs", items, [lessons_fixture.chain(item) for item in items])
