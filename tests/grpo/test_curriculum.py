"""The curriculum of a stage over its steps, with an examiner that knows the answers; kills and resumes included."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pool import mined, question, trained

from fleming_nemo.config.errors import UserError
from fleming_nemo.config.schema import RunConfig
from fleming_nemo.config.validate import validate
from fleming_nemo.data.items import QAItem
from fleming_nemo.grpo.curriculum import stage
from fleming_nemo.grpo.curriculum.stage import Curriculum
from fleming_nemo.training.rundir import RunDirectory

POOL = [question(f"q{n}", ("easy", "moderate", "difficult")[n % 3]) for n in range(12)]


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """One process, and a mining whose result depends on item and step alone, as a real one's does on the weights."""
    patch(monkeypatch)


def patch(monkeypatch: pytest.MonkeyPatch) -> None:
    def mine(cfg: RunConfig, rollouts: Any, items: list[QAItem], policy: str, step: int) -> list[Any]:
        return [mined(item.id, (int(item.id.strip("qnew")) * 5 + step) % 9, policy=policy) for item in items]

    monkeypatch.setattr(stage.mining, "mine", mine)
    monkeypatch.setattr(stage.agreement, "on_first", lambda action: action())


def config(folder: Path, **grpo: Any) -> RunConfig:
    cfg = RunConfig(task="grpo", stage="grpo_stage2", run_dir=str(folder / "run"))
    cfg.model.weights, cfg.data.dir = str(folder / "before"), str(folder / "data")
    cfg.grpo.mix = [1, 2]
    for name, value in ({"curriculum": "mined"} | grpo).items():
        setattr(cfg.grpo, name, value)
    return cfg


def begun(cfg: RunConfig, items: list[QAItem] = POOL) -> Curriculum:
    made = Curriculum(cfg, None, items, RunDirectory(Path(cfg.run_dir), writer=True))  # type: ignore[arg-type]
    made.begin()
    return made


def steps(curriculum: Curriculum, numbers: range, extra: int = 0) -> list[list[str]]:
    """Ids drawn in each step; every third draws `extra` questions more, as refilling does."""
    drawn = []
    for step in numbers:
        if curriculum.mining_is_due(step):
            curriculum.mine(step)
        ids = [item.id for item in curriculum.draw(4)]
        if step % 3 == 0:
            ids += [item.id for item in curriculum.draw(extra)]
        curriculum.record(trained(i, 4, step) for i in ids)
        drawn.append(ids)
    return drawn


def read(cfg: RunConfig, name: str) -> Any:
    return json.loads((Path(cfg.run_dir) / name).read_text())


@settings(max_examples=30)
@given(every=st.integers(0, 5), cut=st.integers(0, 12), extra=st.integers(0, 3), lost=st.integers(0, 3))
def test_a_resumed_stage_2_draws_what_an_unbroken_one_draws(
    every: int, cut: int, extra: int, lost: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        patch(monkeypatch)
        folder = tmp_path_factory.mktemp("run")
        cfg, other = config(folder / "a", remine_every=every), config(folder / "b", remine_every=every)
        unbroken = begun(cfg)
        expected = steps(unbroken, range(12), extra)
        first = begun(other)
        got = steps(first, range(cut), extra)
        saved = json.loads(json.dumps(first.state_dict()))
        steps(first, range(cut, min(12, cut + lost)), extra)  # after the checkpoint, before the kill
        second = begun(other)
        second.load_state_dict(saved)
        got += steps(second, range(cut, 12), extra)
    assert got == expected
    state = json.loads(json.dumps(second.state_dict()).replace(str(folder / "b"), str(folder / "a")))
    assert state == unbroken.state_dict()
    mining = json.dumps(read(other, "mining.json")).replace(str(folder / "b"), str(folder / "a"))
    assert json.loads(mining) == read(cfg, "mining.json")
    assert [row["step"] for row in read(cfg, "mining.json")["rounds"]] == list(range(0, 12, every or 12))


def test_a_stage_2_takes_the_mining_that_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cfg = config(tmp_path)
    expected = steps(begun(cfg), range(6))
    monkeypatch.setattr(stage.mining, "mine", lambda *_: pytest.fail("mined again"))
    assert steps(begun(cfg), range(6)) == expected
    with pytest.raises(UserError, match=r"mined.json holds no mining of 1 of the 13 questions .* for example new"):
        begun(cfg, [*POOL, question("new")])


def test_a_pool_that_grew_during_a_run_is_refused(tmp_path: Path) -> None:
    saved = begun(config(tmp_path)).state_dict()
    grown = begun(config(tmp_path / "other"), [*POOL, question("new7")])
    with pytest.raises(UserError, match=r"the newest checkpoint of .* holds no mining of 1 of the 13 questions"):
        grown.load_state_dict(saved)


def test_the_ledger_of_the_stage_before_is_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = [vars(mined(item.id, 0, policy="first")) for item in POOL]
    monkeypatch.setattr(stage.checkpoint, "last_state", lambda path: {"ledger": before})
    curriculum = begun(config(tmp_path))
    assert {len(curriculum.ledger.minings(item.id)) for item in POOL} == {2}
    # all failed once before: whoever fails now has failed twice
    assert set(read(config(tmp_path), "mining.json")["wrong_by_turns"]) <= {"2", "3"}


def test_quarantined_items_are_not_drawn_and_are_told(tmp_path: Path) -> None:
    cfg = config(tmp_path)
    steps(begun(cfg), range(1))
    assert "nothing is quarantined" in read(cfg, "mining.json")["quarantine"]["note"]
    assert "q0" in [item.id for item in POOL]
    review = Path(cfg.data.dir) / "review.jsonl"
    review.parent.mkdir(parents=True)
    rows = [{"id": i, "reason": "wrong in all 5 trials"} for i in ("q0", "q1", "of another pool")]
    review.write_text("".join(json.dumps(row) + "\n" for row in rows))
    curriculum = begun(cfg)
    told = read(cfg, "mining.json")["quarantine"]
    assert (told["count"], told["items"], told["failed_label_check"]) == (1, ["q0"], 2)  # the policy gets q1 right
    assert "q0" not in {i for ids in steps(curriculum, range(20)) for i in ids}
    # it is the state that counts for a resumed run, whatever became of the file
    saved = curriculum.state_dict()
    review.unlink()
    again = begun(cfg)
    again.load_state_dict(saved)
    assert read(cfg, "mining.json")["quarantine"]["items"] == ["q0"]


def test_stage_1_ends_where_reward_is_flat_and_sparse_also_after_a_resume(tmp_path: Path) -> None:
    cfg = config(tmp_path, curriculum="easy_moderate", switch="plateau")
    first = begun(cfg)
    for step in range(1, 15):
        assert "zero_variance_ema" in first.measure(step, 0.5, 0.8) and not first.over
    second = begun(cfg)
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    ended = next(step for step in range(15, 99) if second.measure(step, 0.5, 0.8) and second.over)
    assert ended == 20 and read(cfg, "switch.json")["reached"] == 20 and read(cfg, "switch.json")["acts"]
    third = begun(cfg)
    third.load_state_dict(second.state_dict())
    assert third.over


def test_by_steps_the_signs_are_only_told(tmp_path: Path) -> None:
    cfg = config(tmp_path, curriculum="easy_moderate")
    curriculum = begun(cfg)
    for step in range(1, 31):
        curriculum.measure(step, 0.5, 0.8)
    assert not curriculum.over
    assert (read(cfg, "switch.json")["reached"], read(cfg, "switch.json")["acts"]) == (20, False)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"switch": "never"}, "grpo.switch is 'never'"),
        ({"switch": "plateau", "curriculum": "mined"}, "grpo.switch=plateau ends stage 1"),
        ({"refill": -1}, "grpo.refill is -1"),
        ({"remine_every": -1}, "grpo.remine_every is -1"),
    ],
)
def test_options_that_cannot_be(changes: dict[str, Any], said: str) -> None:
    cfg = RunConfig(task="grpo")
    cfg.train.seq_length = 8192
    validate(cfg, 1)
    for name, value in changes.items():
        setattr(cfg.grpo, name, value)
    with pytest.raises(UserError, match=said):
        validate(cfg, 1)
