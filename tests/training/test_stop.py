"""The flag that signals set; what several ranks make of it is in tests/distributed/test_runs.py."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from fleming_nemo.training import stop, watchdog


@pytest.fixture(autouse=True)
def heeding():
    before = {number: signal.getsignal(number) for number in stop.SIGNALS}
    stop.heed()
    yield
    stop._asked = None
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", stop.SIGNALS)
def test_a_signal_is_only_remembered(number):
    assert stop.asked() is None
    os.kill(os.getpid(), number)
    assert stop.asked() == number.name
    watchdog.beat()  # a training goes on to the end of its step


def test_a_part_that_is_done_again_is_left_at_the_next_sign_of_progress():
    os.kill(os.getpid(), signal.SIGTERM)
    with pytest.raises(stop.Stopped, match="asked to stop by SIGTERM: nothing had to be saved"), stop.nothing_to_save():
        threading.Thread(target=watchdog.beat).start()  # not where another thread reports
        watchdog.beat()
    watchdog.beat()


def test_a_process_that_ignored_the_signals_at_first_heeds_them_in_time():
    """As ranks are started in a job of Slurm: nothing is lost by a signal before Python has come up."""
    code = (
        "import os, signal, sys\n"
        "from fleming_nemo.training import stop\n"
        "assert 'torch' not in sys.modules\n"
        "os.kill(os.getpid(), signal.SIGUSR2)\n"
        "assert stop.asked() is None\n"
        "stop.heed()\n"
        "os.kill(os.getpid(), signal.SIGUSR2)\n"
        "sys.exit(stop.STOPPED if stop.asked() else 1)"
    )
    command = ["env", "--ignore-signal=USR1,USR2", sys.executable, "-c", code]
    assert subprocess.run(command, timeout=60).returncode == 85
