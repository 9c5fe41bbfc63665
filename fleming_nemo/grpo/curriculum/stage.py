"""The curriculum of one stage as the run sees it: what to draw next, when to mine, when the stage is over."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from fleming_nemo.config.errors import UserError
from fleming_nemo.config.schema import RunConfig
from fleming_nemo.data import files
from fleming_nemo.data.items import QAItem
from fleming_nemo.grpo.curriculum import mining, pools, quarantine
from fleming_nemo.grpo.curriculum.mixture import Mixture, easy_and_moderate
from fleming_nemo.grpo.curriculum.switch import Switch
from fleming_nemo.grpo.ledger import Entry, Ledger
from fleming_nemo.parallel import agreement
from fleming_nemo.rollout.engines import Rollouts
from fleming_nemo.training import checkpoint
from fleming_nemo.training.rundir import RunDirectory

MINED = "mined.json"
"""The ledger right after the mining that a stage 2 starts from."""

MINING = "mining.json"
SWITCH = "switch.json"
SEED_OF_A_ROUND = 1000
"""Between the orders of two mining rounds; pools of one round take neighbouring seeds."""


class Curriculum:
    """Draws the questions of a stage and keeps its ledger.

    The pools of stage 2 are a function of the ledger and of what the label check said when it was mined, so these
    two, the position in the stream of questions and the signs of the switch are all of its state.

    Attributes:
        rounds: what each mining of this stage found (`pools.round_row`), the first one included.
    """

    def __init__(self, cfg: RunConfig, rollouts: Rollouts, items: Sequence[QAItem], folder: RunDirectory) -> None:
        self.cfg, self.rollouts, self.items, self.folder = cfg, rollouts, items, folder
        self.mined = cfg.grpo.curriculum == "mined"
        self.ledger = Ledger()
        self.switch = Switch()
        self._position = 0  # in the stream of questions since the newest mining
        self.rounds: list[dict[str, Any]] = []  # of mining in this stage
        self._failed: frozenset[str] | None = None
        self._roles: dict[str, str] = {}
        if not self.mined:
            self._mixture = Mixture(easy_and_moderate(items), cfg.grpo.mix, cfg.seed)

    def begin(self) -> None:
        """Make what the first step needs, with the weights that the stage starts from: a stage 2 mines, once.

        A mining that is in the run directory already, of an earlier start or of data_prep/mine_hard.py, is taken.

        Raises:
            UserError: that mining is of another pool.
        """
        if not self.mined:
            return
        replayed = self.cfg.rollout.replay
        file = Path(replayed or self.folder.path) / MINED
        have = agreement.on_first(file.is_file)  # before rank 0 can write it
        if have:
            self.ledger = Ledger(files.read_json(file))
            self._check_coverage(str(file), "delete it, and the run mines for itself")
        elif replayed:
            raise UserError(f"{file} is missing: the recorded run was no stage 2; replay it with its own curriculum")
        else:
            self.ledger = Ledger(checkpoint.last_state(Path(self.cfg.model.weights)).get("ledger", []))
            self._mine(0, self.cfg.model.weights)
        self._begin_round(0)
        if not have or replayed:
            self.folder.write_json(MINED, self.ledger.rows())

    def mining_is_due(self, step: int) -> bool:
        """Whether the pool is to be mined anew before a step (from 0), as `grpo.remine_every` says."""
        every = self.cfg.grpo.remine_every
        return self.mined and every > 0 and step % every == 0 and step != self.rounds[-1]["step"]

    def mine(self, step: int) -> None:
        """Mine with the current weights; the same weights find the same again after a kill."""
        self._mine(step, f"{self.cfg.stage}/step_{step}")
        self._begin_round(step)

    def draw(self, count: int) -> list[QAItem]:
        """The next `count` questions."""
        self._position += count
        return self._mixture.draw(self._position - count, count)

    def upcoming(self, count: int) -> list[QAItem]:
        """What the next `draw` will give, unless the pool is mined before."""
        return self._mixture.draw(self._position, count)

    def record(self, entries: Iterable[Entry]) -> None:
        """Add what a step found to the ledger."""
        self.ledger.add(entries)

    def measure(self, step: int, reward: float, zero_variance: float) -> dict[str, float]:
        """Take in a step (from 1) of stage 1; returns its signs of a switch for metrics.jsonl."""
        if self.mined:
            return {}
        row = self.switch.measure(step, reward, zero_variance)
        self.folder.write_json(SWITCH, self.switch.report(self._switches))
        if self.switch.reached == step and self._switches and self.folder.writer:
            print(f"{self.cfg.stage}: the reward is flat and sparse after step {step}; the stage ends here", flush=True)
        return row

    @property
    def over(self) -> bool:
        """Whether the stage ends before `train.steps`."""
        return self._switches and self.switch.reached is not None

    def state_dict(self) -> dict[str, Any]:
        """For the JSON part of a checkpoint."""
        state = {
            "switch": self.switch.state_dict(),
            "position": self._position,
            "rounds": self.rounds,
            "failed_label_check": None if self._failed is None else sorted(self._failed),
        }
        return {"ledger": self.ledger.rows(), "curriculum": state}

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Go on where `state_dict` was called.

        Raises:
            UserError: that was another pool.
        """
        self.ledger, state = Ledger(saved["ledger"]), saved["curriculum"]
        self.switch.load_state_dict(state["switch"])
        self._position, self.rounds = state["position"], state["rounds"]
        failed = state["failed_label_check"]
        self._failed = None if failed is None else frozenset(failed)
        if self.mined:
            self._check_coverage(
                f"the newest checkpoint of {self.folder.path}", "bring that one back, or give another run_dir=..."
            )
            self._mix(self._split())
        else:
            self.folder.write_json(SWITCH, self.switch.report(self._switches))

    @property
    def _switches(self) -> bool:
        return not self.mined and self.cfg.grpo.switch == "plateau"

    def _mine(self, step: int, policy: str) -> None:
        entries = mining.mine(self.cfg, self.rollouts, self.items, policy, step)
        self.ledger.begin_phase()
        self.ledger.add(entries)

    def _begin_round(self, step: int) -> None:
        """Pools from the newest mining round; the stream of questions starts anew."""
        review = Path(self.cfg.data.dir) / quarantine.REVIEW
        failed = agreement.on_first(lambda: quarantine.failed_label_check(review))
        self._failed = None if failed is None else failed & {item.id for item in self.items}
        made = self._split()
        policy = self.ledger.minings(self.items[0].id)[-1].policy
        self.rounds = [*self.rounds, pools.round_row(step, policy, self._roles, made)]
        self._position = 0
        self._mix(made)

    def _split(self) -> pools.Split:
        return pools.split(self.cfg, self.items, self.ledger, self._failed)

    def _mix(self, made: pools.Split) -> None:
        """Draw from these pools from now on, and tell about them."""
        self._roles = made.roles()
        drawn = made.pools()
        for name in (name for name, pool in drawn.items() if not pool.items and self.folder.writer):
            print(f"{self.cfg.stage}: mining found no {name} question; all questions come from the other pool")
        self._mixture = Mixture(drawn, self.cfg.grpo.mix, self.cfg.seed + SEED_OF_A_ROUND * (len(self.rounds) - 1))
        told = pools.report(self.items, self.ledger, made)
        told |= {"quarantine": quarantine.report(self.cfg, made.quarantined, self._failed), "rounds": self.rounds}
        self.folder.write_json(MINING, told)

    def _check_coverage(self, source: str, remedy: str) -> None:
        missing = [item.id for item in self.items if not self.ledger.minings(item.id)]
        if missing:
            raise UserError(
                f"{source} holds no mining of {len(missing)} of the {len(self.items)} questions in "
                f"{self.cfg.data.dir}, for example {missing[0]}; it was made for another pool: {remedy}"
            )
