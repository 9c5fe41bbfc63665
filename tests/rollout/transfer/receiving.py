"""A process that answers a trainer's control requests as a vLLM server does, with the receiving code that runs in one.

Run by path with the numbers of workers of some servers, with the folder of `fleming_transfer` on PYTHONPATH and
nothing of fleming_nemo; each server is a process forked from this one, and its "model" the tensors that it was given.
Prints number and port of each; ends with its standard input.  `POST /test/fault` makes a server misbehave.
"""

import json
import os
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import torch
from fleming_transfer import buckets
from fleming_transfer.channel import Meeting
from fleming_transfer.receiver import Receiver


class Worker:
    def __init__(self, server: "Engine") -> None:
        self.server = server
        self.receiver = Receiver(torch.device("cpu"))
        self.tensors: dict[str, torch.Tensor] = {}
        self.calls: list[str] = []
        self.loads = 0

    def start(self) -> None:
        self.calls.append("start")
        self.loads = 0
        self.tensors = {}

    def transfer(self, update: dict[str, Any]) -> None:
        self.receiver.receive(self.load)

    def load(self, tensors: list[tuple[str, torch.Tensor]]) -> None:
        fault = self.server.fault
        if fault.get("at") == self.loads:
            if fault["kind"] == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            if fault["kind"] == "freeze":
                time.sleep(1000)
            if fault["kind"].startswith("raise"):
                if fault["kind"] == "raise":
                    self.server.fault = {}
                raise ValueError("no such parameter")
        self.loads += 1
        for name, tensor in tensors:
            self.tensors[name] = tensor.clone()

    def finish(self) -> None:
        self.calls.append("finish")

    def undo(self) -> None:
        self.calls.append("undo")


class Engine:
    def __init__(self, world: int) -> None:
        self.fault: dict[str, Any] = {}
        self.paused = False
        self.label = "default"
        self.workers = [Worker(self) for _ in range(world)]
        self.threads = ThreadPoolExecutor(world)
        self.seen: list[str] = []

    def answer(self, path: str, body: Any) -> Any:
        if not path.startswith("/test"):
            self.seen.append(path)
        if path in ("/pause", "/resume"):
            self.paused = path == "/pause"
        elif path == "/init_weight_transfer_engine":
            info = body["init_info"]
            meeting = Meeting(**info["meeting"])
            self.all(lambda n, w: w.receiver.join(meeting, info["rank_offset"] + n))
        elif path == "/collective_rpc":
            assert body["method"] == "fleming_update"
            return {"results": self.all(lambda n, w: w.receiver.take(body["kwargs"]["update"], w))}
        elif path == "/update_weight_version":
            self.label = body["new_version"]
        elif path == "/test/fault":
            self.fault = body
        elif path == "/test/state":
            held = [worker.receiver.held for worker in self.workers]
            calls = [worker.calls for worker in self.workers]
            return {"paused": self.paused, "label": self.label, "held": held, "calls": calls, "seen": self.seen}
        elif path == "/test/save":
            for n, worker in enumerate(self.workers):
                torch.save(worker.tensors, f"{body}.{n}")
        return {}

    def all(self, action: Any) -> list[Any]:
        return list(self.threads.map(action, range(len(self.workers)), self.workers))


def damage(engine: Engine) -> None:
    """The bits of a bucket change between network and memory, where the fault says so."""
    check = buckets.check_seal

    def damaged(body: torch.Tensor, seal: torch.Tensor, number: int) -> int:
        if engine.fault.get("kind") == "flip" and engine.fault["at"] == number:
            engine.fault = {}
            body[17] ^= 4
        return check(body, seal, number)

    buckets.check_seal = damaged


def main() -> None:
    children = []
    for number, world in enumerate(sys.argv[1:]):
        if (child := os.fork()) == 0:
            serve(number, int(world))
        children.append(child)
    sys.stdin.read()
    for child in children:
        os.kill(child, signal.SIGKILL)


def serve(number: int, world: int) -> None:
    torch.set_num_threads(1)
    engine = Engine(world)
    damage(engine)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            try:
                status, answer = 200, engine.answer(self.path.split("?")[0], body)
            except Exception as error:
                status, answer = 500, {"error": repr(error)}
            raw = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    os.write(1, f"{number} {server.server_address[1]}\n".encode())  # at once: the others write here too
    server.serve_forever()


if __name__ == "__main__":
    main()
