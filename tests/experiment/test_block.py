"""An exp_manager block chooses the run directory as NeMo does."""

import pytest

from fleming_nemo.config.errors import UserError
from fleming_nemo.experiment.block import VERSION, check, run_dir
from fleming_nemo.experiment.fields import ExpManager
from fleming_nemo.launch import markers

JOB = {"RANK": "1", "WORLD_SIZE": "2", "TORCHELASTIC_RUN_ID": "77"}


@pytest.mark.parametrize(
    "fields, environ, expected",
    [
        ({"explicit_log_dir": "/a/b"}, {}, "/a/b"),
        ({"explicit_log_dir": "/a/b", "name": "n"}, {}, "/a/b"),
        ({"exp_dir": "/x", "name": "n", "version": "v"}, {}, "/x/n/v"),
        ({"exp_dir": "/x", "name": "n"}, {VERSION: "v7"}, "/x/n/v7"),
        ({"exp_dir": "/x", "name": "n", "resume_if_exists": True}, {}, "/x/n"),
        ({"exp_dir": "/x", "resume_if_exists": True, "version": "v"}, {}, "/x/default/v"),
        ({"exp_dir": "/x", "name": "n"}, JOB, "/x/n/job_77"),
        ({}, JOB, "nemo_experiments/default/job_77"),
    ],
)
def test_folders(fields, environ, expected):
    assert str(run_dir(ExpManager(**fields), environ)) == expected


def test_versions_by_time_and_by_number(tmp_path):
    by_time = run_dir(ExpManager(exp_dir=str(tmp_path)), {}, now=86400 * 365)
    assert by_time.name.startswith("197")
    by_number = ExpManager(exp_dir=str(tmp_path), use_datetime_version=False)
    assert run_dir(by_number, {}).name == "version_0"
    (tmp_path / "default" / "version_0").mkdir(parents=True)
    (tmp_path / "default" / "version_4").mkdir()
    assert run_dir(by_number, {}).name == "version_5"


@pytest.mark.parametrize("part", ["exp_dir", "version"])
def test_one_path_or_its_parts(part):
    with pytest.raises(UserError, match="whole path"):
        run_dir(ExpManager(explicit_log_dir="/a", **{part: "n"}), {})


@pytest.mark.parametrize(
    "begun, finished, fields, sentence",
    [
        (False, False, {}, None),
        (False, False, {"resume_if_exists": True}, "no checkpoint"),
        (False, False, {"resume_if_exists": True, "resume_ignore_no_checkpoint": True}, None),
        (True, False, {}, "holds a run"),
        (True, False, {"resume_if_exists": True}, None),
        (True, True, {"resume_if_exists": True}, "finished"),
        (True, True, {"resume_if_exists": True, "resume_past_end": True}, None),
        (True, True, {}, "resume_if_exists and resume_past_end"),
        (True, True, {"resume_past_end": True}, "resume_if_exists and resume_past_end"),
        (False, True, {"resume_if_exists": True, "resume_past_end": True}, None),
    ],
)
def test_what_may_be_gone_on_with(tmp_path, begun, finished, fields, sentence):
    if begun:
        folder = tmp_path / "checkpoints" / "step_3"
        folder.mkdir(parents=True)
        (folder / "state.json").write_text("{}")
    if finished:
        (tmp_path / markers.DONE).write_text("{}")
    if sentence is None:
        check(ExpManager(**fields), tmp_path)
        return
    with pytest.raises(UserError, match=sentence):
        check(ExpManager(**fields), tmp_path)
