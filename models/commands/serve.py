"""`makemore serve`: a page and a JSON API for a trained network."""

from __future__ import annotations

import argparse
import importlib.util
import ipaddress
import os
import signal
import socket
import sys
from collections.abc import Callable
from typing import Any

from models.errors import BadInput
from models.options import path, whole

ABOUT = """

/ is a page to make names with, /graph one training step to look at, /openapi.json describes the JSON API
(POST /api/names {"n": 5, "start": "an", "temperature": 0.8}), /healthz answers while the server does.
It is for this machine alone unless --host says otherwise; there is no login and no encryption: to offer it to others,
put it behind a server that has both. ctrl-C or SIGTERM stops it when the running requests are answered: status 0."""

SECONDS_TO_STOP, BACKLOG = 10, 2048


def register(command: Callable[..., Any]) -> None:
    """Add the command."""
    add = command("serve", run, "Serve a trained network over HTTP.", ABOUT).add_argument
    add("--model", type=path, default="out", metavar="FILE", help="a model file or its folder (out)")
    add("--host", default="127.0.0.1", metavar="ADDRESS", help="where to listen (127.0.0.1)")
    add("--port", type=whole(0, 65535), default=8000, metavar="N", help="0 takes a free one (8000)")
    add("--concurrency", type=whole(1, 10_000), default=64, metavar="N", help="requests at a time (64)")


def run(options: argparse.Namespace) -> int:
    """Serve until stopped. Raises BadInput for a model or an address that cannot be used."""
    missing = [name for name in ("fastapi", "uvicorn") if importlib.util.find_spec(name) is None]
    if missing:
        raise BadInput(f"serving needs {' and '.join(missing)}: pip install 'minigrad[serve]'")
    from models.storage import ModelError, load_model

    try:
        trained = load_model(options.model)
    except ModelError as error:
        raise BadInput(str(error)) from None
    listening = _listen(options.host, options.port)
    import uvicorn

    from models.serve.app import build

    here = _is_local(options.host)
    if not here:
        print(f"makemore serve: note: whoever reaches {options.host} can use it", file=sys.stderr)
    hosts = ("localhost", "127.0.0.1", "[::1]", _bracketed(options.host)) if here else ("*",)
    app = build(trained, most=options.concurrency, workers=os.cpu_count() or 1, hosts=hosts)
    server = uvicorn.Server(
        uvicorn.Config(
            app, lifespan="off", log_level="info" if options.debug else "error", access_log=options.debug,
            server_header=False, timeout_keep_alive=5, timeout_graceful_shutdown=SECONDS_TO_STOP,
            limit_concurrency=4 * options.concurrency, backlog=BACKLOG, h11_max_incomplete_event_size=16_384,
        )
    )  # fmt: skip
    name = _bracketed(listening.getsockname()[0])
    print(f"makemore serve: http://{name}:{listening.getsockname()[1]} (ctrl-C stops it)", flush=True)
    # uvicorn raises the signal that stopped it once more at its end: then it has done its work.
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        server.run(sockets=[listening])
    except KeyboardInterrupt:
        pass
    finally:
        signal.signal(signal.SIGTERM, before)
        listening.close()
    print("makemore serve: stopped", flush=True)
    return 0


def _listen(host: str, port: int) -> socket.socket:
    """A socket of that address, so that one that is taken or is none is said in a line."""
    try:
        # Named as TCP, which asyncio looks at: without, each answer would wait 40 ms for the ACK of its first packet.
        kind, _, protocol, _, address = socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM, socket.IPPROTO_TCP)[0]
        listening = socket.socket(kind, socket.SOCK_STREAM, protocol)
    except (OSError, UnicodeError) as error:
        raise BadInput(f"--host {host}: no address of this machine: {error}") from None
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(BACKLOG)  # from now on who asks waits, and is not refused
    except OSError as error:
        listening.close()
        raise BadInput(
            f"{host} port {port} cannot be listened at: {error.strerror}; name another with --port (0 takes a free one)"
        ) from None
    return listening


def _is_local(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return host == "localhost"


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
