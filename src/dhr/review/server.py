"""Serves the page on this machine, from a thread."""

import os
import socket
import threading
import time
from dataclasses import dataclass, field

import uvicorn

from dhr.errors import OutputError
from dhr.review.app import application
from dhr.review.desk import Desk
from dhr.review.guard import HOSTS, Secrets

_START, _STOP = 30.0, 5.0  # seconds
_CONNECTIONS = 500


@dataclass
class Server:
    """A server on loopback; it answers from the moment it is made until :meth:`close`."""

    desk: Desk
    port: int
    """0: a free one."""
    keys: Secrets = field(default_factory=Secrets)

    def __post_init__(self) -> None:
        listener = _bound(self.port)
        self.port = int(listener.getsockname()[1])
        config = uvicorn.Config(
            application(self.desk, self.keys), loop="asyncio", http="h11", ws="none", lifespan="on", log_config=None,
            log_level="critical", access_log=False, server_header=False, limit_concurrency=_CONNECTIONS,
            timeout_graceful_shutdown=1,
        )  # fmt: skip
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([listener],), name="dhr-review", daemon=True)
        self._thread.start()
        until = time.monotonic() + _START
        while not self._server.started and self._thread.is_alive() and time.monotonic() < until:
            time.sleep(0.01)
        if not self._server.started:
            raise OutputError(f"the server did not start on port {self.port}; try again, or choose another --port")

    @property
    def url(self) -> str:
        """The address of the page, with the secret."""
        return f"http://{HOSTS[0]}:{self.port}/{self.keys.token}/"

    @property
    def start_url(self) -> str:
        """The address with which a browser is started; it leads to :attr:`url` for a short time."""
        return f"http://{HOSTS[0]}:{self.port}/{self.keys.start}"

    def wait(self) -> None:
        """Wait until the server ends; signals are handled meanwhile."""
        while self._thread.is_alive():
            self._thread.join(0.5)

    def close(self) -> None:
        """End the server; requests that are being answered have some seconds."""
        self._server.should_exit = True
        if self._thread is not threading.current_thread():
            self._thread.join(_STOP)


def _bound(port: int) -> socket.socket:
    listener = socket.socket()
    try:
        if os.name == "posix":  # a server that was killed starts again on its port; on Windows it could share the port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOSTS[0], port))
    except OSError as failure:
        listener.close()
        reason = failure.strerror or failure
        raise OutputError(
            f"port {port} cannot be used ({reason}); choose another --port, or 0 for a free one"
        ) from failure
    return listener
