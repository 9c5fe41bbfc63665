import json
import os
import pty
import subprocess
import sys
import termios

from recipe_process import REPOSITORY, STAND_IN, run

from fleming_nemo.launch.output import Tee

COMMAND = [sys.executable, str(REPOSITORY / "recipes" / "sft_7b.py"), "--tiny"]


def read_all(terminal):
    pieces = []
    try:
        while piece := os.read(terminal, 4096):
            pieces.append(piece)
    except OSError:  # how a pseudo-terminal says that the other end was closed
        pass
    return b"".join(pieces).decode()


def test_on_a_terminal_rank_0_has_a_terminal_too(tmp_path):
    """Progress bars appear on terminals only."""
    mine, its = pty.openpty()
    termios.tcsetwinsize(its, (30, 100))
    env = os.environ | {"PYTHONPATH": str(STAND_IN), "STAND_IN": "ok"}
    with subprocess.Popen([*COMMAND, f"run_dir={tmp_path}/run"], env=env, stdout=its, stderr=its) as process:
        os.close(its)
        shown = read_all(mine)
    os.close(mine)
    assert process.returncode == 0
    assert "rank 0 is here\r\n" in shown
    places = [json.loads((tmp_path / "run" / f"rank_{r}.json").read_text()) for r in (0, 1)]
    assert [p["terminal"] for p in places] == [True, False]
    assert (tmp_path / "run" / "logs" / "latest" / "rank_0.log").read_text() == "rank 0 is here\n"


def test_into_a_file_there_is_no_terminal(tmp_path):
    run("sft_7b", "--tiny", f"run_dir={tmp_path}/run", stand_in="ok")
    assert json.loads((tmp_path / "run" / "rank_0.json").read_text())["terminal"] is False


def test_a_reader_that_goes_away_does_not_stop_the_run(tmp_path):
    """`python recipes/... | head -1`"""
    env = os.environ | {"PYTHONPATH": str(STAND_IN), "STAND_IN": "ok"}
    command = f"{' '.join(COMMAND)} run_dir={tmp_path}/run | head -n 1"
    done = subprocess.run(["bash", "-c", command], env=env, capture_output=True, text=True, timeout=60)
    assert done.stdout.startswith("sft: 2 CPU processes") and done.stderr == ""
    assert (tmp_path / "run" / "DONE").exists()
    assert (tmp_path / "run" / "logs" / "latest" / "rank_0.log").read_text() == "rank 0 is here\n"


def test_letters_cut_in_two_by_the_pipe_arrive_whole(tmp_path, capsys):
    tee = Tee(tmp_path / "log")
    end = os.dup(tee.write_end)
    tee.started()
    for piece in ("é".encode()[:1], "é".encode()[1:], b"\r50 %\r"):
        os.write(end, piece)
    os.close(end)
    tee.close()
    assert (tmp_path / "log").read_bytes().decode() == "é\r50 %\r"
    assert capsys.readouterr().out == "é\r50 %\r"
