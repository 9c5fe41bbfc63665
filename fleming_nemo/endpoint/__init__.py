"""One client for every model behind an OpenAI-compatible server."""

from fleming_nemo.endpoint.exchange import Client, NoAnswer, Reply, Request
from fleming_nemo.endpoint.key import Key
from fleming_nemo.endpoint.panel import Panel
from fleming_nemo.endpoint.serve import serve
from fleming_nemo.endpoint.spec import Budget, Endpoint

__all__ = ["Budget", "Client", "Endpoint", "Key", "NoAnswer", "Panel", "Reply", "Request", "serve"]
