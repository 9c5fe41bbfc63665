"""One client for every model behind an OpenAI-compatible server: distillation, label check, knowledge graph from text.

How it works, in ten lines:

1. `serve(endpoint, cache_folder, budget, work, one)` runs the asynchronous `one(client, piece)` for each piece of work
   and gives the results in order; a bounded number of pieces is in memory. `Session` is the same for several rounds.
2. `client.ask(request)` looks into the cache first: the SHA-256 of all that would be sent finds a line on disk.
3. Else one of `concurrency` slots sends it; the same request asked twice at a time is sent once.
4. The reply is appended to `replies.log`, checksummed, before `ask` returns. After `kill -9` the same code runs again
   and meets every finished call in the cache; only calls that were under way are repeated.
5. 429, 5xx, lost connections, timeouts and garbage are tried again, after growing pauses or the server's Retry-After.
   A request that fails in all attempts raises NoAnswer with the reason; it is not cached, a later run tries again.
6. Refusals for good (content filter, text too long) are replies whose text is None; they are cached.
7. A refused key, an unknown model, 8 failed requests in a row, an endpoint that was never reachable raise UserError.
8. Before a call goes out its most (bytes of the prompt, max_tokens) is held against the budget; tokens of replies that
   never came whole count at their most. The budget is that of the folder, so a second start does not double it.
9. The key is a `Key`, which prints as nothing, goes into one header, follows no redirect, and is cut out of what
   servers say.
10. `preview` shows the first pieces with requests and replies; `options` holds the command line of all scripts.
"""

from fleming_nemo.endpoint.exchange import Client, NoAnswer, Reply, Request
from fleming_nemo.endpoint.form import EndpointForm
from fleming_nemo.endpoint.key import Key
from fleming_nemo.endpoint.panel import Panel, Tally
from fleming_nemo.endpoint.preview import preview
from fleming_nemo.endpoint.session import Session, serve
from fleming_nemo.endpoint.spec import Budget, Endpoint

__all__ = [
    "Budget",
    "Client",
    "Endpoint",
    "EndpointForm",
    "Key",
    "NoAnswer",
    "Panel",
    "Reply",
    "Request",
    "Session",
    "Tally",
    "preview",
    "serve",
]
