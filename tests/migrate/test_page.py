"""docs/migration.md says what the command does."""

from pathlib import Path

from fleming_nemo.migrate import page

ROOT = Path(__file__).parents[2]


def test_the_tables_are_those_of_the_rules():
    text = (ROOT / "docs" / "migration.md").read_text()
    assert text == page.rewritten(text, ROOT / "recipes"), "run python -m fleming_nemo.migrate.page docs/migration.md"
