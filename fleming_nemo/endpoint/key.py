"""The key of an endpoint, in a type that shows it nowhere: it leaves by `reveal` only, into one request header."""

from __future__ import annotations

import os
import stat
import urllib.parse
from pathlib import Path
from typing import NoReturn

from fleming_nemo.config.errors import UserError

# Shorter ones ("EMPTY", "none") are placeholders for servers without keys, and words that a reply may well contain.
_SHORTEST_SECRET = 8
_SHOWN = "[key]"


class Key:
    """A secret, or nothing for a server without keys.

    repr, str and format show no letter of it, `dataclasses.asdict` and copies keep this very object, json and pickle
    refuse it. Raises UserError for characters that fit no header (RFC 9110 allows visible ASCII in a token).
    """

    __slots__ = ("_secret",)
    _secret: str

    def __init__(self, secret: str = "", where: str = "the key") -> None:
        secret = secret.strip()
        if not all("!" <= letter <= "~" for letter in secret):
            raise UserError(f"{where} holds blanks or letters outside ASCII; give the key alone, on one line.")
        object.__setattr__(self, "_secret", secret)

    @classmethod
    def from_environment(cls, variable: str) -> Key:
        """The key of `variable`; none where it is unset, as for a server of one's own."""
        return cls(os.environ.get(variable, ""), f"environment variable {variable}")

    @classmethod
    def from_file(cls, path: Path) -> Key:
        """The key on the only line of `path`. Raises UserError when other users can read the file, or it is empty."""
        try:
            with open(path, encoding="utf-8") as file:
                mode = os.fstat(file.fileno()).st_mode
                if mode & (stat.S_IROTH | stat.S_IWOTH):
                    raise UserError(f"{path}: every user can read or change this key; run `chmod 600 {path}`.")
                secret = file.read(10_000)
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"{path}: the key cannot be read ({type(error).__name__}); check --key-file.") from None
        key = cls(secret, str(path))
        if not key:
            raise UserError(f"{path}: the file is empty; put the key into it.")
        return key

    def reveal(self) -> str:
        return self._secret

    def scrub(self, message: str) -> str:
        """`message` without the key: servers quote the key that they refuse."""
        if not self._secret:
            return message
        for form in (self._secret, urllib.parse.quote(self._secret, safe="")):
            message = message.replace(form, _SHOWN)
        return message

    def scrub_reply(self, text: str) -> str:
        """As `scrub`, but leaves placeholder keys alone, which are words that an answer may use."""
        return self.scrub(text) if len(self._secret) >= _SHORTEST_SECRET else text

    def __bool__(self) -> bool:
        return bool(self._secret)

    def __repr__(self) -> str:
        return "Key(hidden)" if self else "Key(none)"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return format(repr(self), spec)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("a key does not change")

    def __copy__(self) -> Key:
        return self

    def __deepcopy__(self, memo: object) -> Key:
        return self

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a key is not pickled; read it again where it is needed")
