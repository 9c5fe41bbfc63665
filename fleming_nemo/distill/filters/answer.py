"""The answer is the right one, by the reward that reinforcement learning uses too."""

from fleming_nemo.distill.candidate import Candidate
from fleming_nemo.reward.verify import Outcome


def answer(candidate: Candidate) -> str | None:
    return "wrong option" if candidate.verdict.outcome is Outcome.WRONG else None
