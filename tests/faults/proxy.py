"""A small proxy on loopback in front of one server: as far away as wanted, and while it stalls it accepts connections
and passes nothing on.
"""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from project.server_process import Server


@contextmanager
def proxied(server: Server) -> Iterator["Proxy"]:
    """A proxy in front of the server until the block ends."""
    proxy = Proxy(server.socket)
    try:
        yield proxy
    finally:
        proxy.close()


class Proxy:
    """Passes bytes between TCP clients and a server on a unix socket, both ways, until told to stall."""

    def __init__(self, server: Path) -> None:
        # Where new connections lead; change it for a fail-over.
        self.server = server
        # How long bytes are under way, each way.
        self.way_seconds = 0.0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._is_flowing = threading.Event()
        self._is_flowing.set()
        threading.Thread(target=self._accept, daemon=True).start()

    @contextmanager
    def stalled(self) -> Iterator[None]:
        """Nothing is passed on, in any connection, for as long as the block lasts."""
        self._is_flowing.clear()
        try:
            yield
        finally:
            self._is_flowing.set()

    def close(self) -> None:
        self._listener.close()
        self._is_flowing.set()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        self._is_flowing.wait()
        with closing(client), closing(socket.socket(socket.AF_UNIX)) as server, suppress(OSError):
            server.connect(str(self.server))
            answers = threading.Thread(target=self._pass_on, args=(server, client), daemon=True)
            answers.start()
            self._pass_on(client, server)
            answers.join()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                self._is_flowing.wait()
                time.sleep(self.way_seconds)
                target.sendall(data)
        for side in (source, target):
            with suppress(OSError):
                side.shutdown(socket.SHUT_RDWR)
