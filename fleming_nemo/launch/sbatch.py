"""What sbatch says of a script before it is submitted, and its refusals as one sentence."""

from __future__ import annotations

import re
import tempfile

from fleming_nemo.config.errors import UserError
from fleming_nemo.launch.scheduler import call

_AWAY = ("Unable to contact slurm controller", "configuration source")
_HINTS = {
    "partition": "`sinfo` lists the partitions",
    "(?i)node count|node configuration|processors|nodes": "`sinfo` shows what each partition has; ask for less",
    "account|association|qos": "`sacctmgr show associations user=$USER` lists your accounts",
    "array": "`scontrol show config` tells MaxArraySize; cut the sweep",
}


def check(text: str) -> str:
    """Ask sbatch whether it would take a script; returns when and where the job would start.

    Without this, a job that asks for more than there is waits for ever.  Errors: UserError with what is wrong.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".sh") as file:
        file.write(text)
        file.flush()
        answer = call("sbatch", "--test-only", file.name)
    if answer.code and answer.code != 124 and not any(words in answer.err for words in _AWAY):
        raise refusal(answer.err)
    return answer.err.strip()


def refusal(text: str) -> UserError:
    """sbatch's refusal in one sentence, with where to look."""
    words = " ".join(text.split()).removeprefix("sbatch: error: ").removeprefix("sbatch: ")
    words = re.split(r" (?:sbatch: error:|allocation failure:|Batch job submission failed:|Try \")", words)[0]
    words = words.removeprefix("allocation failure: ").removeprefix("Batch job submission failed: ")
    hint = next((hint for pattern, hint in _HINTS.items() if re.search(pattern, words)), "see `man sbatch`")
    return UserError(f"sbatch refuses the job: {words}; {hint}")
