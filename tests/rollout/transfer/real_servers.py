"""Real vLLM servers in a loop of their own, and what they say of prompts and responses."""

import asyncio
import json
import threading
from pathlib import Path
from typing import Any

import plain_qwen
import torch
from safetensors.torch import load_file

from fleming_nemo.config.presets import ARCHS
from fleming_nemo.rollout.vllm import model_folder
from fleming_nemo.rollout.vllm.address import make_key
from fleming_nemo.rollout.vllm.pool import Pool
from fleming_nemo.rollout.vllm.settings import MODEL_NAME, ServerSettings

MAX_LENGTH = 448
LONG = [5 + n % 250 for n in range(200)]
"""vLLM's blocks are of 128 tokens on a CPU: shorter prompts never meet the prefix cache."""


class RealServers:
    """One server; `file` is what `Pool.attach` of other processes reads."""

    def __init__(
        self, arch: str, tp: int, chat: Any, folder: Path, dtype: str = "float32", gpus: tuple[str, ...] = ()
    ) -> None:
        self.arch = arch
        model_folder.write(folder / "model", ARCHS[arch], {"float32": "fp32"}.get(dtype, "bf16"), chat, "")
        settings = ServerSettings(folder / "model", chat.size, dtype, MAX_LENGTH, max_sequences=8, tp=tp)
        key = folder / "key"
        make_key(key)
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()
        self.pool = Pool.start(settings, 1, folder / "logs", gpus, key_file=key)
        self.call(self.pool.__aenter__())
        self.file = folder / "servers.json"
        listed = [{"url": server.address.url, "world": tp} for server in self.pool.servers]
        self.file.write_text(json.dumps({"servers": listed, "key_file": str(key)}))

    def call(self, coroutine: Any) -> Any:
        return self.start(coroutine).result(900)

    def start(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop)

    def complete(self, prompt: list[int], tokens: int) -> Any:
        """A coroutine that returns one sampled response as (token ids, log-probabilities)."""
        # not by `min_tokens`, which takes the end token out of the distribution until then
        body = {"model": MODEL_NAME, "prompt": prompt, "max_tokens": tokens, "ignore_eos": True, "temperature": 1.0}
        return self._complete(body | {"logprobs": 0, "return_token_ids": True, "seed": 5})

    async def _complete(self, body: dict[str, Any]) -> tuple[list[int], torch.Tensor]:
        reply = await self.pool.control(self.pool.servers[0], "/v1/completions", json=body)
        (choice,) = reply["choices"]
        return choice["token_ids"], torch.tensor(choice["logprobs"]["token_logprobs"])

    def close(self) -> None:
        self.call(self.pool.__aexit__())
        self.loop.call_soon_threadsafe(self.loop.stop)


def judged(weights: Path, arch: str, num_tokens: int, prompt: list[int], tokens: list[int]) -> torch.Tensor:
    """Log-probability of each token of a response under exported weights, over the ids that a tokenizer has."""
    state = load_file(weights / "model.safetensors")
    logits = plain_qwen.forward(state, ARCHS[arch], torch.tensor([[*prompt, *tokens]]))[0, len(prompt) - 1 : -1]
    return logits[:, :num_tokens].log_softmax(-1).gather(1, torch.tensor(tokens)[:, None])[:, 0]
