"""Cuts off a client that takes nothing: a server of ASGI applications waits for it as long as it likes."""

import os
import socket
import struct
from contextlib import suppress
from typing import Any

OPEN_FILES = "/dev/fd"


def cut(client: Any) -> bool:
    """The connection of this process to (host, port) is shut, and what it was to be sent is thrown away.

    False: none was found, e.g. where clients come by a unix socket.
    """
    if not client:
        return False
    for name in os.listdir(OPEN_FILES):
        with suppress(OSError, ValueError), socket.socket(fileno=os.dup(int(name))) as found:
            if found.family in (socket.AF_INET, socket.AF_INET6) and _peer(found) == (str(client[0]), int(client[1])):
                # Nothing lingers: the system, too, would wait for room at the other end.
                found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                found.shutdown(socket.SHUT_RDWR)
                return True
    return False


def _peer(found: socket.socket) -> tuple[str, int]:
    host, port, *_ = found.getpeername()
    return str(host), int(port)
