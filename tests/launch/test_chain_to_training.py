"""The documented chain: questions, chains of thought, a packed corpus, and the 7B recipe in small on it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(script: str, *arguments: object) -> str:
    command = [sys.executable, str(ROOT / script), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_from_questions_to_a_trained_model(tmp_path: Path) -> None:
    data, run_dir = tmp_path / "rods", tmp_path / "run"
    items, chains = data / "items_sft.jsonl", data / "cot" / "cot.jsonl"
    run("data_prep/build_rods.py", "--sft", 96, "--rl", 8, "--heldout", 12, "--diseases", 16, "--out", data)
    run("data_prep/distill_cot.py", "--items", items, "--out", chains.parent)
    said = run(
        *("data_prep/build_indexed.py", "--items", items, "--chains", chains),
        *("--tokenizer", "nano", "--pack", 256, "--out", data),
    )
    documents = len(chains.read_text().splitlines())
    assert f"{documents} documents" in said and "packs of 256 tokens" in said
    run("recipes/sft_7b.py", "--tiny", f"data.dir={data}", "data.synthesis=null", f"run_dir={run_dir}")
    assert (run_dir / "DONE").exists()
    steps = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in steps] == [1, 2, 3, 4, 5, 6]
    files = json.loads((run_dir / "card.json").read_text())["data"]["corpus"]
    assert files == json.loads((data / "manifest.json").read_text())["files"]
