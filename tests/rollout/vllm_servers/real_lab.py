"""A pool of real servers with weights that a trainer in this process sent."""

import asyncio
import threading
from pathlib import Path

import tiny
import torch
import torch.nn.functional as F

from fleming_nemo.config.presets import ARCHS
from fleming_nemo.rollout.transfer.push import Transfer
from fleming_nemo.rollout.vllm import model_folder
from fleming_nemo.rollout.vllm.engine import VLLMEngine
from fleming_nemo.rollout.vllm.pool import Pool
from fleming_nemo.rollout.vllm.settings import ServerSettings

MOST = 24
LONG = tuple(5 + i % 250 for i in range(300))
"""Longer than vLLM's block of 128 tokens on a CPU: shorter prompts never meet the prefix cache."""


class Cluster:
    """A pool of real servers in a loop of its own, and the trainer in this process."""

    def __init__(
        self, arch: str, chat, weights: Path, logs: Path, precision="fp32", servers=1, gpus=(), **more
    ) -> None:
        self.arch, self.chat, self.weights = arch, chat, weights
        model_folder.write(logs / "model", ARCHS[arch], precision, chat, "")
        dtype = model_folder.DTYPES[precision]
        settings = ServerSettings(logs / "model", chat.size, dtype, max_length=512, max_sequences=16, **more)
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()
        self.pool = Pool.start(settings, servers, logs, gpus)
        self.call(self.pool.__aenter__())
        self.trainer = tiny.engine(tiny.config(arch), weights)
        self.transfer = Transfer(self.trainer)
        self.transfer.push(self.pool.servers, 1, self.pool)

    def call(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(900)

    def engine(self, **options) -> VLLMEngine:
        async def push(servers):
            await asyncio.to_thread(self.transfer.push, servers, 1, self.pool)

        return VLLMEngine(
            self.pool, self.chat.size, {self.chat.end_id, self.chat.pad_id}, decode_batch=16, push=push, **options
        )

    def generate(self, asked, temperature=1.0, finished=lambda i, r: None, **options):
        async def whole():
            engine = self.engine(**options)
            try:
                return await engine.generate(asked, temperature, MOST, 1, finished)
            finally:
                await engine.close()

        return self.call(whole())

    def close(self) -> None:
        self.transfer.close()
        self.call(self.pool.__aexit__())
        self.loop.call_soon_threadsafe(self.loop.stop)


def judged(cluster, request, tokens, temperature):
    """Log-probabilities of a response by transformers, from the same weights: of the ids that the tokenizer has."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(cluster.weights, dtype=torch.float32)
    ids = torch.tensor([[*request.prompt, *tokens]])
    with torch.no_grad():
        logits = model(ids).logits[0, len(request.prompt) - 1 : -1, : cluster.chat.size]
    logprobs = F.log_softmax(logits / (temperature or 1.0), -1)
    return logprobs.gather(1, torch.tensor(tokens)[:, None])[:, 0], logits.argmax(-1)
