"""Where a server is, and the key that opens it."""

from __future__ import annotations

import os
import secrets
import urllib.parse
from dataclasses import dataclass
from pathlib import Path

from fleming_nemo.config.errors import UserError
from fleming_nemo.endpoint.key import Key

__all__ = ["Address", "Key", "make_key"]

_KEY_BYTES = 32


@dataclass(frozen=True)
class Address:
    """One server; its key is kept apart (`Key`, which prints nothing).

    Attributes:
        url: scheme, host and port, without a path or a slash at the end.
        world: tensor-parallel size of the server, the ranks that take part in a weight transfer.
    """

    url: str
    world: int = 1

    def __post_init__(self) -> None:
        parts = urllib.parse.urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.path or parts.query:
            raise UserError(f"{self.url!r} is no address of a server; write http://HOST:PORT.")
        if self.world < 1:
            raise UserError(f"{self.url}: a server has at least one rank, not {self.world}.")


def make_key(path: Path) -> Key:
    """A new random key, written where its owner alone can read it. Raises FileExistsError where there is one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as out:
        out.write(secrets.token_urlsafe(_KEY_BYTES) + "\n")
    return Key.from_file(path)
