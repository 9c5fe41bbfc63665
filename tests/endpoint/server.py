"""A chat endpoint on this machine that does what a test tells it, and counts what it was asked.

    with Server(lambda body, nth: "Hello") as server:
        endpoint = Endpoint(server.url, "tiny")

`behave(body, nth)` gets the request's JSON and how often this very request has come (1 is the first time). It returns
a text (a normal reply), a dict (JSON of a normal HTTP 200), or one of Status, Hang, Half, Drip, Garbage, Reset.
Other tests use it too: `from endpoint.server import Server, Status, ...`.
"""

import json
import socket
import struct
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Status:
    """An HTTP status with a body (a text, or an object for JSON) and further headers."""

    code: int
    body: object = ""
    headers: dict = field(default_factory=dict)


@dataclass(frozen=True)
class Hang:
    """Answers `then`, but only after so many seconds."""

    seconds: float
    then: object = "too late"


@dataclass(frozen=True)
class Half:
    """A body that ends before its announced length."""


@dataclass(frozen=True)
class Garbage:
    """HTTP 200 with these bytes."""

    data: bytes = b"<html>gateway</html>"


@dataclass(frozen=True)
class Drip:
    """HTTP 200 whose body comes byte by byte, one in so many seconds."""

    seconds: float


@dataclass(frozen=True)
class Reset:
    """The connection is reset without an answer."""


def completion(text, finish="stop", prompt_tokens=10, completion_tokens=5, **message):
    """The JSON of a normal reply."""
    message = {"role": "assistant", "content": text, **message}
    usage = {"prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens}
    return {"choices": [{"index": 0, "message": message, "finish_reason": finish}], "usage": usage}


def asked(body):
    """The last message of a request."""
    return body["messages"][-1]["content"]


class Server:
    """Counts by request, where a request is all of its JSON.

    Attributes:
        begun: calls that arrived.
        finished: calls that were answered with a whole HTTP 200.
        headers: of each call, as they came.
        times: when each call arrived, time.monotonic.
        most_at_once: calls under way at the same time, at most.
    """

    def __init__(self, behave):
        self.behave = behave
        self.begun, self.finished = Counter(), Counter()
        self.bodies, self.headers, self.times = [], [], []
        self.at_once = self.most_at_once = 0
        self.lock = threading.Lock()
        self._http = _Http(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{self._http.server_port}/v1"

    @property
    def calls(self):
        return len(self.bodies)

    def __enter__(self):
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._http.shutdown()
        self._http.server_close()


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request, client_address):
        pass  # clients that were killed or did not wait


def _handler(server):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body in one packet, else the second waits for the other side's acknowledgement
        disable_nagle_algorithm = True

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            name = json.dumps(body, sort_keys=True)
            with server.lock:
                server.begun[name] += 1
                nth = server.begun[name]
                server.bodies.append(body)
                server.headers.append(dict(self.headers))
                server.times.append(time.monotonic())
                server.at_once += 1
                server.most_at_once = max(server.at_once, server.most_at_once)
            try:
                act = server.behave(body, nth) if self.path == "/v1/chat/completions" else Status(404, "no such path")
                while isinstance(act, Hang):
                    time.sleep(act.seconds)
                    act = act.then
            finally:
                with server.lock:
                    server.at_once -= 1
            if self.perform(act):
                with server.lock:
                    server.finished[name] += 1

        def do_GET(self):
            """Nobody asks so, unless a redirect was followed."""
            with server.lock:
                server.headers.append(dict(self.headers))
            self.respond(405, b"", {})

        def perform(self, act):
            """True for a whole HTTP 200 with a reply."""
            if isinstance(act, Reset):
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.close_connection = True
                return self.connection.close()
            if isinstance(act, Half):
                data = json.dumps(completion("x" * 1000)).encode()
                self.respond(200, data[: len(data) // 2], {"Content-Length": str(len(data))})
                self.close_connection = True
                return None
            if isinstance(act, Drip):
                self.respond(200, b"", {"Content-Length": "1000"})
                for _ in range(1000):
                    time.sleep(act.seconds)
                    self.wfile.write(b" ")
                    self.wfile.flush()
                return None
            if isinstance(act, Garbage):
                return self.respond(200, act.data, {})
            if isinstance(act, Status):
                data = act.body if isinstance(act.body, str) else json.dumps(act.body)
                return self.respond(act.code, data.encode(), act.headers)
            self.respond(200, json.dumps(completion(act) if isinstance(act, str) else act).encode(), {})
            return True

        def respond(self, status, data, headers):
            self.send_response(status)
            for name, value in {"Content-Length": str(len(data)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)
            self.wfile.flush()

        def log_message(self, *_):
            pass

    return Handler
