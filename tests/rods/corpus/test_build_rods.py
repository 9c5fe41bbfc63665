"""data_prep/build_rods.py --items: one command from graph to card, and one line for each mistake."""

import json
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from fleming_nemo.data.items import read_items

SCRIPT = Path(__file__).parents[3] / "data_prep" / "build_rods.py"


def run(*arguments):
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_one_command_from_the_graph_to_the_card(folder, built, tmp_path):
    (tmp_path / "eval").mkdir()
    (tmp_path / "eval" / "exam.jsonl").write_text(
        '{"id": "1", "question": "Which metal?", "options": ["tin", "zinc"]}\n'
    )
    item = read_items(built[0] / "items_rl.jsonl")[0]
    curated = [tmp_path / "one.jsonl", tmp_path / "two.jsonl"]
    for path in curated:
        path.write_text(json.dumps({"question": item.question, "options": item.options}) + "\n")
    out = tmp_path / "rods"
    asked = ["--items", 60, "--graph", folder, "--out", out, "--benchmarks", tmp_path / "eval", "--no-comparison"]
    done = run(*asked, "--curated", *curated)
    assert done.returncode == 0 and done.stderr == "", "no progress bar without a terminal"
    assert done.stdout == f"60 items in {out}; see {out / 'card.md'}\n"
    card = json.loads((out / "card.json").read_text())
    assert card["benchmarks"] == {"exam": {"questions": 1, "items": 0, "rules": {}}}
    assert sum(row["mentioned_before"] for row in card["coverage"].values() if isinstance(row, dict)) > 0
    assert "in one.jsonl, two.jsonl (before)" in (out / "card.md").read_text()
    assert [i["file"] for i in card["inputs"]] == ["knowledge graph (nodes)", "one.jsonl", "two.jsonl"]
    assert sum(len(read_items(out / f"items_{split}.jsonl")) for split in ("sft", "rl", "heldout")) == 60


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "m"], "--endpoint and --model go together"),
        (["--mentions", "a.tsv", "--curated", "b.jsonl"], "give one"),
        (["--check-items", "0"], "--check-items 0"),
        (["--benchmarks", "no-such-folder"], "no-such-folder: no .jsonl or .jsonl.gz file"),
        (["--graph", "no-such-graph"], "build the graph with data_prep/build_kg.py"),
        (["--decisions", "none.jsonl"], "none.jsonl: cannot be read"),
        (["--items", "1"], "at least 3 items"),
    ],
)
def test_a_mistake_is_one_line(folder, tmp_path, arguments, message, monkeypatch, capsys):
    asked = ["--items", "30", "--graph", folder, "--out", tmp_path / "rods", *arguments]
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), *map(str, asked)])
    with pytest.raises(SystemExit) as stopped:
        runpy.run_path(str(SCRIPT), run_name="__main__")
    said = capsys.readouterr().err
    assert stopped.value.code == 2 and said.startswith("error: ") and said.count("\n") == 1
    assert message in said
