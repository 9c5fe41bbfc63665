"""The options of scripts that ask an endpoint."""

from __future__ import annotations

import argparse
from pathlib import Path

from fleming_nemo.config.errors import UserError
from fleming_nemo.endpoint.form import KEY_ENV, EndpointForm
from fleming_nemo.endpoint.spec import Budget, Endpoint


def add(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("endpoint")
    group.add_argument("--endpoint", metavar="URL", help="OpenAI-compatible server, such as http://127.0.0.1:8000/v1")
    group.add_argument("--model", help="model that the server serves")
    key = group.add_mutually_exclusive_group()
    env = "environment variable that holds the key, if the server wants one (default: %(default)s)"
    key.add_argument("--key-env", default=KEY_ENV, metavar="NAME", help=env)
    key.add_argument("--key-file", type=Path, metavar="FILE", help="file that holds the key, readable by you alone")
    text = "calls at a time (default: %(default)s)"
    group.add_argument("--concurrency", type=int, default=Endpoint.concurrency, metavar="N", help=text)
    text = "seconds for one answer (default: %(default)s)"
    group.add_argument("--timeout", type=float, default=Endpoint.timeout_s, metavar="S", help=text)
    group.add_argument("--requests-per-minute", type=float, metavar="N", help="rate limit to keep to")
    group.add_argument("--tokens-per-minute", type=float, metavar="N", help="rate limit, prompt and completion")
    text = "stop before more than N tokens are used, earlier runs on the same folder included"
    group.add_argument("--budget-tokens", type=int, metavar="N", help=text)
    group.add_argument("--budget-money", type=float, metavar="X", help="the same in money; needs the prices")
    group.add_argument("--price-in", type=float, default=0.0, metavar="X", help="per million prompt tokens")
    group.add_argument("--price-out", type=float, default=0.0, metavar="X", help="per million completion tokens")


def read(args: argparse.Namespace) -> tuple[Endpoint, Budget]:
    """Raises UserError when there is no endpoint or no model, for a key that cannot be had and for bad numbers."""
    asked = form(args)
    return asked.endpoint(), asked.budget()


def form(args: argparse.Namespace) -> EndpointForm:
    """Raises UserError when there is no endpoint or no model."""
    if not (args.endpoint and args.model):
        raise UserError("no endpoint to ask; give --endpoint URL and --model NAME.")
    return EndpointForm(
        args.endpoint,
        args.model,
        args.key_env,
        str(args.key_file or ""),
        args.concurrency,
        args.timeout,
        requests_per_minute=args.requests_per_minute,
        tokens_per_minute=args.tokens_per_minute,
        price_in=args.price_in,
        price_out=args.price_out,
        budget_tokens=args.budget_tokens,
        budget_money=args.budget_money,
    )
