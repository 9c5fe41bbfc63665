"""Chains of jobs on this machine, with runs of a second; the real ones on a live Slurm are in tests/slurm."""

import pytest
from recipe_process import REPOSITORY, STAND_IN

from fleming_nemo.config.errors import UserError
from fleming_nemo.launch import submit_chain
from fleming_nemo.launch.links import links
from fleming_nemo.launch.pipeline import dry_run_chain

RECIPES = [REPOSITORY / "recipes" / f"{name}.py" for name in ("sft_7b", "grpo_stage1_7b", "grpo_stage2_7b")]
LINKS = ["data", "sft", "grpo_stage1", "grpo_stage2-mining", "grpo_stage2", "evaluation"]


@pytest.fixture
def chain(tmp_path, monkeypatch):
    """Submit a tiny chain of stand-ins; `stand_in` is what they do."""
    monkeypatch.setenv("PYTHONPATH", f"{STAND_IN}:{REPOSITORY}")

    def send(stand_in="ok", *overrides, **environ):
        for name, value in ({"STAND_IN": stand_in} | environ).items():
            monkeypatch.setenv(name, value)
        given = [f"run_dir={tmp_path}/chain", *overrides]
        return submit_chain(RECIPES, overrides=given, tiny=True, folder=tmp_path / "jobs")

    return send


def test_links_lie_in_one_directory_and_start_from_the_one_before():
    root, tasks = links(
        RECIPES, 1, ["run_dir=r/c", "seed=5", "sft.optim.lr=3e-5", "evaluation.eval.seeds=7"], True, "local", {}
    )
    assert list(tasks) == LINKS and str(root) == "r/c"
    cfgs = {name: task.cfg for name, task in tasks.items()}
    assert [cfgs[n].model.weights for n in LINKS[1:]] == [
        "random", "r/c/sft", "r/c/grpo_stage1", "r/c/grpo_stage1", "r/c/grpo_stage2",
    ]  # fmt: skip
    assert {cfg.data.dir for cfg in cfgs.values()} == {"r/c/data"} and {cfg.seed for cfg in cfgs.values()} == {5}
    assert cfgs["sft"].optim.lr == 3e-5 != cfgs["grpo_stage1"].optim.lr
    assert (cfgs["evaluation"].task, cfgs["evaluation"].eval.seeds, cfgs["grpo_stage2"].eval.seeds) == (
        "evaluate",
        7,
        1,
    )
    assert [str(task.run_dir) for task in tasks.values()][3:5] == ["r/c/grpo_stage2-mining", "r/c/grpo_stage2"]


def test_a_chain_runs_its_links_in_their_order_and_ends_in_a_report(tmp_path, chain):
    sent = chain()
    assert sent.result(timeout_s=200)["stage"] == "evaluation"
    assert sent.state == "done" and [link.state for link in sent.links] == ["done"] * 6
    root = tmp_path / "chain"
    assert (root / "order.txt").read_text().splitlines() == [
        "sft from random",
        f"grpo_stage1 from {root}/sft",
        f"mining for grpo_stage2 from {root}/grpo_stage1",
        f"grpo_stage2 from {root}/grpo_stage1",
        f"evaluation from {root}/grpo_stage2",
    ]
    assert (root / "grpo_stage2" / "mined.json").exists()
    assert "Evaluation" in (root / "report.html").read_text() and (root / "evaluation" / "report.html").exists()
    assert {link.cluster for link in chain().links} == {"none"}


def test_a_failed_link_leaves_out_what_depends_on_it_and_the_next_submission_goes_on_there(tmp_path, chain):
    sent = chain("user")
    with pytest.raises(UserError, match="^the corpus has a hole; build it again$"):
        sent.result(timeout_s=60)
    assert sent.state == "failed"
    assert [link.state for link in sent.links] == ["done"] + ["failed"] * 5
    assert sent.links[2].why == "left out, because one before it failed"
    assert not (tmp_path / "chain" / "grpo_stage1" / "config.yaml").exists()
    again = chain()
    assert [link.cluster for link in again.links] == ["none"] + ["local"] * 5
    again.cancel()


def test_each_script_of_a_dry_run_waits_for_the_one_before(tmp_path):
    given = [f"run_dir={tmp_path}/c"]
    scripts = dry_run_chain(
        RECIPES, nodes={"sft": 2, "grpo_stage1": 1}, overrides=given, tiny=True, dependency="singleton"
    )
    assert list(scripts) == LINKS
    waits = [line for text in scripts.values() for line in text.splitlines() if "--dependency" in line]
    assert waits == ["#SBATCH --dependency=singleton", *(f"#SBATCH --dependency=afterok:{n}" for n in LINKS[:-1])]
    assert all("#SBATCH --kill-on-invalid-dep=yes" in text for text in scripts.values())
    assert "#SBATCH --nodes=2" in scripts["sft"] and "#SBATCH --nodes=1" in scripts["grpo_stage2"]
    assert "#SBATCH --ntasks-per-node=1\n" in scripts["data"]
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize(
    "recipes, overrides, sentence",
    [
        ([], [], "a chain needs recipes, for example recipes/sft_7b.py"),
        (RECIPES[:1] * 2, [], "two recipes of the chain are of stage sft"),
        ([REPOSITORY / "recipes" / "demo.py"], [], "the demo is a chain of its own"),
        (RECIPES, ["grpo_stage3.seed=1"], "there is no option 'grpo_stage3.seed'"),
        (RECIPES, ["run_dir=/proc/chain"], "cannot write to the run directory /proc/chain"),
    ],
)
def test_refused_before_anything_is_submitted(tmp_path, recipes, overrides, sentence):
    given = [f"run_dir={tmp_path}/chain", *overrides]
    with pytest.raises(UserError, match=f"^{sentence}"):
        submit_chain(recipes, overrides=given, tiny=True, folder=tmp_path / "jobs")
    assert not list(tmp_path.iterdir())


def test_data_that_cannot_be_built_has_to_be_there(tmp_path):
    with pytest.raises(UserError, match="data/sft_7b holds no finished data"):
        submit_chain(RECIPES, overrides=[f"run_dir={tmp_path}/chain"], cluster="slurm", folder=tmp_path / "jobs")
