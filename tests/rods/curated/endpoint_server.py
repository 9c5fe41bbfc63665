"""A model behind an OpenAI-compatible endpoint: a local server that follows a script and counts its calls."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Script:
    """`answer(prompt, trial)` gives a text, or (status, body, headers). Counts calls and the most at one time."""

    def __init__(self, answer):
        self.answer = answer
        self.bodies, self.headers = [], []
        self.at_once = self.most_at_once = 0
        self.lock = threading.Lock()
        self.url = ""

    @property
    def calls(self):
        return len(self.bodies)


@contextmanager
def serve(answer):
    script = Script(answer)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with script.lock:
                script.bodies.append(body)
                script.headers.append(dict(self.headers))
                script.at_once += 1
                script.most_at_once = max(script.at_once, script.most_at_once)
            result = script.answer(body["messages"][0]["content"], body["seed"])
            with script.lock:
                script.at_once -= 1
            if isinstance(result, str):
                choice = {"message": {"content": result}, "finish_reason": "stop"}
                result = (200, json.dumps({"choices": [choice]}), {})
            status, text, headers = result
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        def do_GET(self):
            script.headers.append(dict(self.headers))
            self.send_error(405)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    script.url = f"http://127.0.0.1:{server.server_port}/v1"
    try:
        yield script
    finally:
        server.shutdown()
        server.server_close()
