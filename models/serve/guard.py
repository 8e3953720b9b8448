"""What stands before every request: how many at a time, how large, how slow; and the headers of every answer.

An ASGI middleware of its own, since the order matters: a request that is refused must not be read, nor wait for others.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

MOST_BYTES = 4096  # of a request's body
LET_GO = 16 * MOST_BYTES  # of a larger one that are read first: who is still sending at the answer may miss it
BODY_SECONDS = 10.0  # until the body is here
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


class Guard:
    """Refuses a body of more than 4 KiB (413), one that does not come (408), and what is too much at once (503)."""

    def __init__(self, app: App, most: int) -> None:
        self.app, self.most = app, most
        self.running = 0

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = {name.lower() for name, _ in message["headers"]}
                more = [(k.encode(), v.encode()) for k, v in HEADERS.items() if k.encode() not in given]
                message = {**message, "headers": [*message["headers"], *more]}
            await send(message)

        if scope["path"] != "/healthz" and self.running >= self.most:  # that it is busy is no illness
            await _refuse(guarded, 503, "too many requests at once; try again in a second", retry=True)
            return
        self.running += 1
        try:
            body = await _body(scope, receive)
            if isinstance(body, int):
                said = {413: f"a body of more than {MOST_BYTES:,} bytes", 408: "the body did not come"}[body]
                await _refuse(guarded, body, said)
                return
            given = False

            async def read() -> Message:
                nonlocal given
                if given:
                    return await receive()  # that the client has gone
                given = True
                return {"type": "http.request", "body": body, "more_body": False}

            await self.app(scope, read, guarded)
        finally:
            self.running -= 1


async def _body(scope: MutableMapping[str, Any], receive: Receive) -> bytes | int:
    """The whole body, or the status that refuses it."""
    length = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
    if length.isdigit() and int(length[:20]) > MOST_BYTES:
        return 413
    parts: list[bytes] = []
    size, more = 0, True
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    break
                part = message.get("body", b"")
                size += len(part)
                more = message.get("more_body", False)
                if size <= MOST_BYTES:
                    parts.append(part)
                elif size > LET_GO:
                    break
    except TimeoutError:
        return 413 if size > MOST_BYTES else 408
    return 413 if size > MOST_BYTES else b"".join(parts)


async def _refuse(send: Send, status: int, why: str, retry: bool = False) -> None:
    body = json.dumps({"detail": why}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if retry:
        headers.append((b"retry-after", b"1"))
    if status in (408, 413):
        headers.append((b"connection", b"close"))  # what is still to come of the body is not read
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
