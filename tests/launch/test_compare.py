import json
from statistics import fmean, stdev

import pytest

from fleming_nemo.cli.compare import table
from fleming_nemo.config.errors import UserError
from fleming_nemo.config.overrides import apply, to_yaml
from fleming_nemo.config.schema import RunConfig
from fleming_nemo.launch import lock
from fleming_nemo.launch.compare import differing, groups, read


def a_run(folder, *overrides, accuracy=None, losses=(), rewards=(), done=True):
    """A run directory as a run would leave it."""
    folder.mkdir(parents=True)
    cfg = apply(RunConfig(), [f"run_dir={folder}", f"data.dir={folder}/data", *overrides])
    (folder / "config.yaml").write_text(to_yaml(cfg))
    rows = [{"step": n + 1, "loss": loss} for n, loss in enumerate(losses)]
    rows += [{"step": n + 1, "loss": -1.0, "reward": reward} for n, reward in enumerate(rewards)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    if accuracy is not None:
        (folder / "eval.json").write_text(json.dumps({"accuracy": accuracy}))
    if done:
        (folder / "DONE").write_text("{}")
    return folder


@pytest.fixture
def two_rates(tmp_path):
    """Two learning rates with three seeds each; one run of the second failed."""
    for seed, accuracy in enumerate((0.50, 0.54, 0.58)):
        a_run(tmp_path / f"a{seed}", f"seed={seed}", "optim.lr=1e-6", accuracy=accuracy, losses=[3, 1, 2])
    for seed, accuracy in enumerate((0.7, 0.8)):
        a_run(tmp_path / f"b{seed}", f"seed={seed}", "optim.lr=2e-6", accuracy=accuracy, losses=[3, 2, 1])
    failed = a_run(tmp_path / "b2", "seed=2", "optim.lr=2e-6", losses=[3], done=False)
    (failed / "FAILED.json").write_text(json.dumps({"cause": "out of memory", "time": 0}))
    return tmp_path


def test_seeds_are_one_row_with_mean_and_interval(two_rates):
    low, high = groups(read([two_rates]))
    assert (low.settings, high.settings) == ({"optim.lr": 1e-6}, {"optim.lr": 2e-6})
    mean, half, count = low.measures["accuracy"]
    assert (mean, count) == (pytest.approx(fmean((0.50, 0.54, 0.58))), 3)
    assert half == pytest.approx(4.303 * stdev((0.50, 0.54, 0.58)) / 3**0.5, rel=1e-3)
    assert low.measures["loss"][0] == 2 and low.measures["best loss"][0] == 1
    assert high.measures["accuracy"][2] == 2 and high.measures["loss"][2] == 3


def test_the_table_shows_what_differs_and_names_what_is_not_done(two_rates):
    text = table(groups(read([two_rates])))
    lines = text.splitlines()
    assert lines[0].split() == ["optim.lr", "state", "accuracy", "loss", "best", "loss"]
    assert lines[2].startswith("1e-06     3 done            0.54 ± 0.09937")
    assert "2 done, 1 failed" in lines[3] and "(2 runs)" in lines[3]
    assert lines[-2:-1] == ["±: half of the 95 % interval of the mean over the seeds"]
    assert lines[-1] == f"{two_rates}/b2: failed: out of memory"
    each = table(groups(read([two_rates])), each=True)
    assert len(each.splitlines()) == 2 + 6 + 1


def test_paths_inside_the_run_do_not_differ(two_rates):
    assert differing(read([two_rates])) == ["optim.lr"]


def test_grpo_is_judged_by_its_reward(tmp_path):
    a_run(tmp_path / "run", "task=grpo", rewards=[0.1] * 10 + [0.9] * 8 + [0.5] * 2)
    (group,) = groups(read([tmp_path / "run"]))
    assert group.measures == {"reward": (0.5, None, 1), "best reward": (0.9, None, 1)}


def test_points_that_have_not_begun_are_there_under_their_settings(tmp_path):
    a_run(tmp_path / "lr_1e-6", "optim.lr=1e-6", "grpo.mix=[1,2]", accuracy=0.5)
    names = {"lr_1e-6": "1e-6", "lr_2e-6": "2e-6"}
    listed = [
        {"name": n, "run_dir": n, "settings": {"optim.lr": v, "grpo.mix": "[1,2]", "seed": "1234"}}
        for n, v in names.items()
    ]
    (tmp_path / "sweep.json").write_text(json.dumps({"over": {}, "points": listed}))
    first, second = groups(read([tmp_path]))
    assert (first.settings, second.settings) == ({"optim.lr": 1e-6}, {"optim.lr": 2e-6})
    assert (first.runs[0].state, second.runs[0].state) == ("done", "stopped")


def test_a_run_that_somebody_holds_is_running(tmp_path):
    folder = a_run(tmp_path / "run", "train.steps=7", done=False)
    assert read([folder])[0].state == "stopped"
    with lock.claim(apply(RunConfig(), [f"run_dir={folder}", f"data.dir={folder}/data", "train.steps=7"])):
        assert read([folder])[0].state == "running"


def test_a_directory_without_runs(tmp_path):
    with pytest.raises(UserError, match="holds no run; name run directories"):
        read([tmp_path])
