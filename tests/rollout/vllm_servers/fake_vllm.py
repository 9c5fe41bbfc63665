"""A small HTTP server that speaks vLLM's routes, in a process of its own, and fails as it is told.

    python fake_vllm.py HOST PORT FAULTS.json

Its responses are a function of the prompt and the seed, as with a real engine that holds one set of weights, so a test
knows what every rollout has to be. FAULTS.json may be rewritten while it runs: {"fault": share of requests, ...}.
"""

import asyncio
import json
import os
import random
import sys
from pathlib import Path

NUM_TOKENS, STOP = 50, 2
FAULTS = ("die", "hang", "half", "http_500", "nan", "few", "garbage", "outside", "reset", "other_prompt")


def response(prompt: list[int], seed: int, most: int) -> tuple[list[int], list[float]]:
    """What any server answers to a request."""
    draw = random.Random(f"{prompt}/{seed}")
    length = draw.randint(1, most + 2)
    tokens = [draw.randrange(3, NUM_TOKENS) for _ in range(min(length, most))]
    if length < most:
        tokens[-1] = STOP
    return tokens, [-draw.random() - 0.01 for _ in tokens]


class Fake:
    def __init__(self, key: str, faults: Path, seed: int) -> None:
        self.key, self.faults, self.draw = key, faults, random.Random(seed)
        self.version = "default"
        self.failed: set[int] = set()
        self.running = 0
        self.log = open(faults.with_suffix(".log"), "a", buffering=1)  # noqa: SIM115

    async def connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                method, path, _ = head[0].split(" ")
                headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in head[1:] if line)}
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                if headers.get("authorization") != f"Bearer {self.key}":
                    await self.reply(writer, 401, {"error": "key"})
                elif path == "/v1/completions":
                    work = asyncio.ensure_future(self.complete(writer, json.loads(body)))
                    gone = asyncio.ensure_future(reader.read(1))  # a client that leaves aborts its request
                    await asyncio.wait([work, gone], return_when=asyncio.FIRST_COMPLETED)
                    if not work.done():
                        work.cancel()
                        self.log.write("aborted\n")
                        return
                    gone.cancel()
                    return writer.close()
                elif path == "/weight_info":
                    await self.reply(writer, 200, {"weight_version": self.version})
                elif path == "/update_weight_version":
                    self.version = json.loads(body)["new_version"]
                    await self.reply(writer, 200, {})
                elif path == "/health":
                    await self.reply(writer, 200, None)
                else:
                    await self.reply(writer, 404, {})
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def complete(self, writer: asyncio.StreamWriter, asked: dict) -> None:
        self.log.write(f"asked {asked['seed']}\n")
        faults = json.loads(self.faults.read_text())
        await asyncio.sleep(faults.get("seconds", 0.0))
        fault = next((f for f in FAULTS if self.draw.random() < faults.get(f, 0.0)), None)
        # by chance alone, no request may meet as many faults as the engine bears
        if fault and asked["seed"] in self.failed and faults[fault] < 1:
            fault = None
        if fault:
            self.failed.add(asked["seed"])
        if str(asked["seed"]) in faults.get("slow", {}):
            await asyncio.sleep(faults["slow"][str(asked["seed"])])
        if fault == "die":
            os._exit(1)
        if fault == "hang":
            await asyncio.sleep(3600)
        if fault == "reset":
            writer.transport.abort()
            return
        if fault == "http_500":
            return await self.reply(writer, 500, {"error": "engine"})
        if fault == "garbage":
            return await self.reply(writer, 200, {"choices": []})
        tokens, logprobs = response(asked["prompt"], asked["seed"], asked["max_tokens"])
        if fault == "nan":
            logprobs[0] = float("nan")
        if fault == "few":
            logprobs = logprobs[:-1]
        if fault == "outside":
            tokens[0] = NUM_TOKENS
        ended = tokens[-1] == STOP
        choice = {
            "index": 0, "token_ids": tokens, "logprobs": {"token_logprobs": logprobs},
            "finish_reason": "stop" if ended else "length", "stop_reason": STOP if ended else None,
            "prompt_token_ids": asked["prompt"] + [1] * (fault == "other_prompt"),
        }  # fmt: skip
        await self.reply(writer, 200, {"choices": [choice]}, half=fault == "half")

    async def reply(self, writer: asyncio.StreamWriter, status: int, tree: object, half: bool = False) -> None:
        body = b"" if tree is None else json.dumps(tree).encode()
        writer.write(f"HTTP/1.1 {status} X\r\ncontent-length: {len(body)}\r\n\r\n".encode())
        writer.write(body[: len(body) // 2] if half else body)
        await writer.drain()
        if half:
            writer.close()


async def main(host: str, port: str, faults: str) -> None:
    fake = Fake(Path(os.environ["FLEMING_VLLM_KEY_FILE"]).read_text().strip(), Path(faults), int(port))
    server = await asyncio.start_server(fake.connection, host, int(port))
    print("fake server is up", flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
