"""`slurm/pipeline.sh --tiny` and `slurm/sft_32b.sh --tiny` with the real training, two nodes each, side by side."""

import json
import re

import pytest

pytestmark = [pytest.mark.slurm, pytest.mark.slow, pytest.mark.timeout(900)]
LINKS = {"sft_7b": "sft", "grpo_stage1": "grpo_stage1", "mine_hard": "grpo_stage2-mining"}
LINKS |= {"grpo_stage2": "grpo_stage2", "evaluate": "evaluation"}


@pytest.fixture(scope="module")
def chain(slurm, site_of, tmp_path_factory):
    """(folder of the pipeline, folder of the 32B's SFT), both at their end."""
    root = tmp_path_factory.mktemp("pipeline")
    environ = site_of(root)
    last = slurm.submit("slurm/pipeline.sh", "--tiny", "--nodes=2", f"dir={root}/chain", **environ)
    arguments = ("slurm/sft_32b.sh", "--tiny", f"run_dir={root}/sft_32b")
    other = slurm.sbatch("--nodes=2", f"--output={root}/sft_32b.out", *arguments, **environ)
    try:
        assert slurm.wait(other, limit_s=600) == "COMPLETED", (root / "sft_32b.out").read_text()
        state = slurm.wait(last, limit_s=800)
        assert state == "COMPLETED", "\n".join(p.read_text() for p in root.rglob("slurm/*.out"))
    finally:
        slurm.call("scancel", last, other)
    return root


def test_every_link_is_done_over_two_nodes(chain):
    folder = chain / "chain"
    for script, run in LINKS.items():
        (out,) = (folder / "slurm").glob(f"{script}_*.out")
        assert "2 processes on 2 nodes" in out.read_text(), script
        assert (folder / run / "DONE").exists(), run
        (attempt,) = [json.loads(line) for line in (folder / run / "attempts.jsonl").read_text().splitlines()]
        assert attempt["cause"] == "finished"
    assert "4 processes on 2 nodes" in (chain / "sft_32b.out").read_text()
    assert (chain / "sft_32b" / "DONE").exists()


def test_each_stage_begins_with_the_weights_of_the_one_before(chain):
    weights = {run: _config(chain, run)["weights"] for run in LINKS.values()}
    stages = {run: path.rpartition("/")[2] for run, path in weights.items()}
    assert stages == {
        "sft": "random",
        "grpo_stage1": "sft",
        "grpo_stage2-mining": "grpo_stage1",
        "grpo_stage2": "grpo_stage1",
        "evaluation": "grpo_stage2",
    }
    folder = chain / "chain"
    assert (folder / "grpo_stage2" / "mined.json").read_bytes() == (
        folder / "grpo_stage2-mining" / "mined.json"
    ).read_bytes()


def test_the_chains_of_thought_were_written_in_an_array(chain):
    data = chain / "chain" / "data"
    shards = [data / "cot" / "shards" / f"{n}-of-2" / "cot.jsonl" for n in (1, 2)]
    assert (data / "cot" / "cot.jsonl").read_bytes() == b"".join(s.read_bytes() for s in shards)
    assert json.loads((data / "DONE").read_text())["documents"] == 96
    assert _config(chain, "sft")["dir"] == str(data)


def test_it_ends_in_an_evaluation_and_a_report(chain):
    folder = chain / "chain"
    evaluation = json.loads((folder / "evaluation" / "eval.json").read_text())
    assert evaluation["n"] == 16 and 0 <= evaluation["accuracy"] <= 1
    page = (folder / "report.html").read_text()
    assert all(title in page for title in ("SFT", "GRPO stage 1", "GRPO stage 2"))
    assert (folder / "evaluation" / "report.html").exists()


def test_a_second_submission_of_a_finished_link_does_nothing(chain, slurm, site_of):
    run_dir, out = chain / "chain" / "evaluation", chain / "again.out"
    (run_dir / "report.html").unlink()
    arguments = _config_arguments(chain)
    job = slurm.sbatch("--nodes=2", f"--output={out}", "slurm/evaluate.sh", "--tiny", *arguments, **site_of(chain))
    assert slurm.wait(job) == "COMPLETED", out.read_text()
    assert f"{run_dir} is finished; give another run_dir=... to run again" in out.read_text()
    assert (run_dir / "report.html").exists()  # it may have been missing for a reason
    assert len((run_dir / "attempts.jsonl").read_text().splitlines()) == 1


def _config(chain, run):
    """`weights` of the model and `dir` of the data in config.yaml, by name."""
    text = (chain / "chain" / run / "config.yaml").read_text()
    return dict(re.findall(r"^  (weights|dir): (.*)$", text, flags=re.M))


def _config_arguments(chain):
    folder = chain / "chain"
    return (f"run_dir={folder}/evaluation", f"model.weights={folder}/grpo_stage2", f"data.dir={folder}/data")
