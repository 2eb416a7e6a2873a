"""A server behind TLS, with a certificate of a CA made for the test: what a hosted Redis or PostgreSQL looks like.

The servers in the wheels know no TLS, so that it ends in front of them; the clients don't see that.
"""

import asyncio
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import trustme

from project.server_process import Server

HOST = "localhost"
SECONDS = 20
# What libpq sends before it speaks TLS.
SSL_REQUEST_BYTES = 8


@dataclass(frozen=True)
class Authority:
    """A CA: the file that clients verify with."""

    file: Path
    ca: trustme.CA

    def context(self, host: str = HOST) -> ssl.SSLContext:
        """What a server uses that has a certificate of this CA for the host."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.ca.issue_cert(host).configure_cert(context)
        return context


def authority(folder: Path, name: str) -> Authority:
    ca, file = trustme.CA(), folder / f"{name}.pem"
    ca.cert_pem.write_to_path(str(file))
    return Authority(file, ca)


@contextmanager
def behind_tls(server: Server, context: ssl.SSLContext, *, is_postgres: bool = False) -> Iterator[int]:
    """The port at which the server is reached by TLS, and not without, until the block ends."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            if is_postgres:
                await reader.readexactly(SSL_REQUEST_BYTES)
                writer.write(b"S")
                await writer.start_tls(context)
            inner_reader, inner_writer = await asyncio.open_unix_connection(str(server.socket))
            await asyncio.gather(pass_on(reader, inner_writer), pass_on(inner_reader, writer))

    async def listen() -> asyncio.Server:
        return await asyncio.start_server(serve, "127.0.0.1", 0, ssl=None if is_postgres else context)

    listening = asyncio.run_coroutine_threadsafe(listen(), loop).result(SECONDS)
    try:
        yield listening.sockets[0].getsockname()[1]
    finally:
        asyncio.run_coroutine_threadsafe(end(listening), loop).result(SECONDS)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(SECONDS)
        loop.close()


async def end(listening: asyncio.Server) -> None:
    """Nothing is listened to any more, and no connection is under way."""
    listening.close()
    open_still = asyncio.all_tasks() - {asyncio.current_task()}
    for task in open_still:
        task.cancel()
    await asyncio.gather(*open_still, return_exceptions=True)


async def pass_on(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await source.read(65536):
            target.write(data)
            await target.drain()
    target.close()
