"""One TCP connection: uvicorn's protocol, and what it leaves to others.

What is no HTTP is refused with a problem as everything else is; a client that closes its sending half after a whole
request still gets the answer (RFC 9112 §9.6 allows it to); and one that never finishes its head is not waited for.
"""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from textrec.serve import limits
from textrec.serve.problems import problem

__all__ = ["Connection"]


class Connection(HttpToolsProtocol):
    """A connection over httptools."""

    seconds = limits.SECONDS
    """For the head of a request; its body and answer are timed by the guard."""

    _silence: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._wait()

    def on_message_begin(self) -> None:
        """Begin to wait for the rest of the head."""
        self._wait()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """The head is there."""
        self._wait_no_more()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing more comes, nothing more goes."""
        self._wait_no_more()
        super().connection_lost(exc)

    def eof_received(self) -> bool:  # type: ignore[override]
        """Nothing more comes; whether the way out stays open, for the answer to a request that came as a whole."""
        if not self._answering() or self.cycle.more_body:
            return False
        self.cycle.keep_alive = False  # then the answer is followed by closing
        return True

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP/1.1."""
        self._wait_no_more()
        refusal = problem(400, "this is no HTTP/1.1 request that can be read", headers={"Connection": "close"})
        head = b"".join(b"%s: %s\r\n" % pair for pair in refusal.raw_headers)
        self.transport.write(b"HTTP/1.1 400 Bad Request\r\n" + head + b"\r\n" + bytes(refusal.body))
        self.transport.close()

    def _wait(self) -> None:
        self._wait_no_more()
        self._silence = self.loop.call_later(self.seconds, self._give_up)

    def _give_up(self) -> None:
        if self._answering():  # the half head is that of a request sent ahead
            self._wait()
        else:
            self.transport.close()

    def _answering(self) -> bool:
        asked: RequestResponseCycle | None = self.cycle  # uvicorn's type leaves out the time before the first
        return asked is not None and not asked.response_complete

    def _wait_no_more(self) -> None:
        if self._silence is not None:
            self._silence.cancel()
            self._silence = None
