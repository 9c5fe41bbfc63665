"""NeMo-RL GRPO configs: the schema of v0.3 to v0.7, and of the main branch of August 2026."""

from fleming_nemo.migrate.nemo_rl import algorithm, generation, loss, optimizer, policy, surroundings
from fleming_nemo.migrate.nemo_rl.optimizer import base
from fleming_nemo.migrate.rules import Rule

NAME = "NeMo-RL GRPO"

TABLE: list[Rule] = [
    *algorithm.RULES,
    *loss.RULES,
    *policy.RULES,
    *optimizer.RULES,
    *generation.RULES,
    *surroundings.RULES,
]

__all__ = ["NAME", "TABLE", "base"]
