"""A port for a server, kept for it until it listens there, and the proof that it is that server who listens."""

from __future__ import annotations

import errno
import random
import socket

import psutil

# Below the ephemeral range (32768 on Linux): no outgoing connection takes it.
_PORTS = (20000, 30000)


class Port:
    """A port that is bound here and not listened on, until `release`.

    Two sockets may be bound to one port if both allow it (SO_REUSEADDR, socket(7)) and neither listens yet: vLLM's do.
    Others that look for a free port find this one taken.

    Attributes:
        number: the port.
    """

    def __init__(self, host: str) -> None:
        draw = random.SystemRandom()
        while True:
            self.number = draw.randrange(*_PORTS)
            self._socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
            try:
                self._socket.bind((host, self.number))
            except OSError as error:
                self._socket.close()
                if error.errno == errno.EADDRINUSE:
                    continue
                raise
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            return

    def release(self) -> None:
        self._socket.close()


def is_listening(ancestor: int, port: int) -> bool:
    """Whether a process below this one listens on the port: only then does anybody there get to see the key."""
    try:
        below = psutil.Process(ancestor).children(recursive=True)
    except psutil.NoSuchProcess:
        return False
    for process in below:
        try:
            sockets = process.net_connections(kind="tcp")
        except psutil.Error:
            continue
        if any(s.status == psutil.CONN_LISTEN and s.laddr.port == port for s in sockets):
            return True
    return False
