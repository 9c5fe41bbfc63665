"""Stands for `python -m fleming_nemo.rollout.vllm.serve FOLDER --nodes N`: answers with its node and process id."""

import http.server
import os
import sys
from pathlib import Path

folder, nodes = Path(sys.argv[1]), int(sys.argv[3])
node = os.environ["SLURMD_NODENAME"]


class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(f"{node} {os.getpid()}".encode())

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer((node, 0), Answer)
(folder / f"{node}.address").write_text(f"http://{node}:{server.server_port}")
print(f"serving on {node}, one of {nodes}", flush=True)
server.serve_forever()
