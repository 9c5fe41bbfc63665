"""What servers receive is what an export would write, under every layout; and what becomes of a transfer that fails.

Not covered here: vLLM (`test_vllm.py`), several nodes, NCCL, CUDA IPC (`test_gpu.py`).
"""

import errno
from pathlib import Path
from typing import Any

import layouts
import pytest
import tiny
import transfer_work as work
from harness import Case, Harness, value

from fleming_nemo.config.presets import ARCHS
from fleming_nemo.rollout.transfer.push import Transfer
from fleming_nemo.rollout.vllm.worker.fleming_transfer import shared

CASES = {
    "tp2": ("tp2", "qwen2.5-tiny"),
    "pp2": ("pp2", "nano"),  # nano's tied embedding lies on both stages
    "pp2 vp2": ("pp2 vp2", "qwen3-tiny"),
    "dp2 overlap": ("dp2 overlap", "qwen2.5-tiny"),
    "ipc": ("tp2", "qwen3-tiny", "ipc"),
    "started by the trainer": ("pp2", "nano", None),
    "messages": ("tp2", "nano", "gloo", True),
}
SLOW = {
    "cp2": ("cp2", "qwen2.5-tiny"),
    "messages pp2": ("pp2", "qwen2.5-tiny", "gloo", True),
    "tp2 pp2": ("tp2 pp2", "nano"),
    "messages tp2 pp2": ("tp2 pp2", "qwen3-tiny", "gloo", True),
}


def cases_of(named: dict[str, Any], weights: dict[str, Path], folder: Path) -> list[Case]:
    cases = []
    for name, (layout, arch, *rest) in named.items():
        arguments = (layouts.config(arch, layout), weights[arch], folder / name.replace(" ", "_"), *rest)
        cases.append(Case(f"push {name}", work.received_as_exported, arguments, layouts.world(layout)))
    return cases


@pytest.fixture(scope="module")
def results(harness: Harness, weights: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    harness.run(cases_of(CASES, weights, tmp_path_factory.mktemp("out")))
    return harness.results


@pytest.fixture(scope="module")
def slow_results(harness: Harness, weights: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Any:
    harness.run(cases_of(SLOW, weights, tmp_path_factory.mktemp("slow")))
    return harness.results


@pytest.fixture(scope="module", params=["gloo", pytest.param("ipc", marks=pytest.mark.slow)])
def faults(
    request: pytest.FixtureRequest, harness: Harness, weights: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    arguments = (layouts.config("qwen2.5-tiny", "tp2"), weights["qwen2.5-tiny"], tmp_path_factory.mktemp("faults"))
    name = f"faults {request.param}"
    harness.run([Case(name, work.faults, (*arguments, request.param))])
    return value(harness.results, name)


@pytest.fixture(scope="module")
def changes(harness: Harness, weights: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    arguments = (layouts.config("qwen3-tiny", "tp2", "bf16"), weights["qwen3-tiny"], tmp_path_factory.mktemp("changes"))
    harness.run([Case("changes", work.changes, arguments)])
    return value(harness.results, "changes")


def check(name: str, found: dict[str, Any]) -> None:
    assert found["different"] == []
    first, second = found["reports"]
    assert (first.attempts, second.attempts) == (1, 1)
    assert (first.requests_per_server, second.requests_per_server) == (5, 4), "a group, then an update alone"
    assert all(told == [["pair", "single"]] * 2 for told in found["told"])
    arch = (CASES | SLOW)[name][1]
    sizes = 4 * sum(n for n in map(_numel, work.hf_names.shapes(ARCHS[arch]).values()))
    assert first.bytes == second.bytes == sizes
    # five or six buckets, and where messages are sent, one of them; or a piece of one tensor that is not contiguous
    assert max(found["peaks"]) < 8 * work.BUCKET_BYTES < sizes


def _numel(shape: tuple[int, ...]) -> int:
    total = 1
    for size in shape:
        total *= size
    return total


@pytest.mark.parametrize("name", CASES)
def test_servers_receive_what_an_export_writes(name: str, results: dict[str, Any]) -> None:
    check(name, value(results, f"push {name}"))


@pytest.mark.parametrize(("room", "backend"), [(True, "ipc"), (False, "gloo")])
def test_servers_of_this_node_read_the_trainers_memory_if_it_can_be_shared(
    room: bool, backend: str, weights: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(nbytes: int) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device")

    if not room:
        monkeypatch.setattr(shared, "allocate", full)
    transfer = Transfer(tiny.engine(tiny.config("nano"), weights["nano"]), backend=None)
    assert transfer.backend == backend
    transfer.close()


@pytest.mark.slow
@pytest.mark.parametrize("name", SLOW)
def test_more_layouts(name: str, slow_results: dict[str, Any]) -> None:
    check(name, value(slow_results, f"push {name}"))


@pytest.mark.parametrize(
    ("name", "version"), [("flip", 2), ("raise", 3), ("wrong version", 4)], ids=["flip", "raise", "wrong-version"]
)
def test_an_update_that_one_server_could_not_take_is_sent_again(
    name: str, version: int, faults: dict[str, Any]
) -> None:
    report, states, _ = faults[name]
    assert (report.attempts, report.updated, report.lost) == (2, ["pair", "single"], {})
    for state in states:
        assert set(state["held"]) == {state["version"]} == {version} and not state["paused"]


def test_a_refusal_comes_before_any_change(faults: dict[str, Any]) -> None:
    before, after = (faults[name][1][0]["calls"][0] for name in ("raise", "wrong version"))
    assert after == [*before, "start", "finish"], "the refused attempt has not touched the model"


def test_a_server_that_never_takes_weights_stops_the_run_and_serves_nothing(faults: dict[str, Any]) -> None:
    report, states, _ = faults["hopeless"]
    assert "no such parameter" in report and "restart them" in report
    assert states[0]["paused"] and states[0]["version"] is None and set(states[0]["held"]) == {None}
    assert states[0]["calls"][0][-2:] == ["start", "undo"]
    assert states[1]["paused"] and states[1]["version"] is None, "not even the one that could"


def test_after_all_that_the_weights_are_the_trainers(faults: dict[str, Any]) -> None:
    assert faults["afterwards"][0].updated == ["pair", "single"]
    assert faults["different"] == []


def test_a_server_killed_in_mid_transfer_is_left_behind_at_once(faults: dict[str, Any]) -> None:
    report, states, seconds = faults["kill"]
    assert (report.updated, list(report.lost), report.attempts) == (["pair", "single"], ["third"], 2)
    assert [state["version"] for state in states] == [7, 7, None]
    assert seconds < 10, "half of what the group would wait for one that stands still"


def test_a_restarted_server_is_met_anew(faults: dict[str, Any]) -> None:
    report, states, _ = faults["restarted"]
    assert (report.updated, report.lost, report.attempts) == (["pair", "single", "third"], {}, 1)
    assert [state["held"] for state in states] == [[8, 8], [8], [8]]
    assert report.requests_per_server == 5


def test_a_server_that_stands_still_is_given_up(faults: dict[str, Any]) -> None:
    report, states, _ = faults["freeze"]
    assert (report.updated, list(report.lost)) == (["pair", "single"], ["third"])
    assert [state["version"] for state in states] == [9, 9, None]
    assert faults["given up"] == ["third"], "the pool was told, as such a server answers its health check"


def test_changes_alone_are_sent_where_they_are_few(changes: dict[str, Any]) -> None:
    kinds = {name: (report.changes, report.attempts) for name, (report, _) in changes.items()}
    assert kinds == {
        "first": (False, 1),
        "few": (True, 1),
        "damaged": (False, 2),  # after changes that arrived damaged all is sent
        "few again": (True, 1),
        "all": (False, 1),
        "none": (True, 1),
        "fresh": (False, 1),
    }
    whole = changes["first"][0].bytes
    assert whole / 100 < changes["few"][0].bytes < whole / 20
    assert changes["none"][0].bytes == 0 and changes["all"][0].bytes == whole


def test_and_leave_the_trainers_weights(changes: dict[str, Any]) -> None:
    assert {name: different for name, (_, different) in changes.items() if different} == {}
