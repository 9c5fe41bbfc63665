"""The one exception that means: the user can fix this."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


class UserError(Exception):
    """One sentence: what is wrong and what to do next. Entry points print it and exit with code 2."""


@contextmanager
def reported(debug: bool = False) -> Iterator[None]:
    """Wraps an entry point: a UserError becomes one line on stderr and exit code 2; `debug` keeps its traceback."""
    try:
        yield
    except UserError as error:
        if debug:
            raise
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        raise SystemExit(2) from None
