"""How a streamed answer that fails half-way is kept from looking complete.

Granian ends such an answer as if it were whole, whatever is raised (2.8.7 in WSGI mode, tried). It does not say either
which connection a request came by. So all connections of the asker's address to this process are shut down: on others
of theirs, requests under way fail too and are tried again, as after a restart of the process.
"""

import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

# Linux and macOS list the process's own file descriptors here.
DESCRIPTORS = "/dev/fd"


def break_off(environ: Mapping[str, Any]) -> int:
    """The connections from the address that a WSGI request came from are shut down; returns how many."""
    found = list(_connections(str(environ.get("REMOTE_ADDR", "")), str(environ.get("SERVER_PORT", ""))))
    for each in found:
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
        each.close()
    return len(found)


def _connections(address: str, port: str) -> Iterator[socket.socket]:
    """Duplicates of the sockets that are connected from the address to the port; the server keeps its own."""
    for name in os.listdir(DESCRIPTORS):
        with suppress(OSError):  # closed meanwhile, or no socket
            connected = socket.socket(fileno=os.dup(int(name)))
            if _leads(connected, address, port):
                yield connected
            else:
                connected.close()


def _leads(connected: socket.socket, address: str, port: str) -> bool:
    with suppress(OSError):
        peer, own = connected.getpeername(), connected.getsockname()
        is_internet = connected.family in (socket.AF_INET, socket.AF_INET6)
        return is_internet and peer[0].removeprefix("::ffff:") == address and str(own[1]) == port
    return False
