"""An OpenAI-compatible server on this machine that answers by a word in the passage, rightly and in wrong ways."""

import json
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SENTENCE = "Painful eyes often occur in First disease."
RIGHT = {
    "subject": "First disease", "subject_type": "disease", "relation": "has_phenotype",
    "object": "Painful eyes", "object_type": "phenotype", "sentence": SENTENCE,
}  # fmt: skip


def relations(*rows):
    return json.dumps({"relations": list(rows)})


# word in the passage -> content of the answer
ANSWERS = {
    "RIGHT": relations(RIGHT),
    "FENCED": f"Here it is:\n```json\n{relations(RIGHT)}\n```",
    "DENIED": relations({**RIGHT, "negated": True}),
    "EMPTY": relations(),
    "MALFORMED": '{"relations": [',
    "NOLIST": '{"relations": "none"}',
    "SPAN": relations({**RIGHT, "object": "Toothache"}),
    "SENTENCE": relations({**RIGHT, "sentence": "First disease brings Painful eyes."}),
    "RELATION": relations({**RIGHT, "relation": "cures"}),
    "TYPE": relations({**RIGHT, "object_type": "gene"}),
    "ROW": relations("First disease hurts", {**RIGHT, "subject": 7}, RIGHT),
}


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.calls: Counter[str] = Counter()  # by word
        self.seen: list[dict] = []
        self.url = f"http://127.0.0.1:{self.server_port}/v1"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request, client_address):
        pass  # a client that did not wait


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        passage = body["messages"][-1]["content"].split("Passage:\n")[1]
        word = passage.split()[0]
        self.server.calls[word] += 1
        self.server.seen.append({"path": self.path, "key": self.headers["Authorization"], **body})
        first = self.server.calls[word] == 1
        if word == "BUSY" and first:
            return self._send(429, {"error": "busy"}, {"Retry-After": "0"})
        if word == "BROKEN" and first:
            return self._send(200, {"choices": []})
        if word == "SLOW" and first:
            time.sleep(1.5)
        if word == "DEAD":
            return self._send(503, {"error": "down"})
        if word == "REFUSED":
            return self._send(404, {"error": "no such model"})
        content = ANSWERS.get(word, ANSWERS["RIGHT"])
        reason = "length" if word == "LENGTH" else "stop"
        return self._send(200, {"choices": [{"message": {"content": content}, "finish_reason": reason}]})

    def _send(self, status, body, headers=None):
        data = json.dumps(body).encode()
        self.send_response(status)
        for key, value in {"Content-Length": str(len(data)), **(headers or {})}.items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args):
        pass
