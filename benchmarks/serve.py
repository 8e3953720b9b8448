"""How long `makemore serve` takes to answer: clients on this machine ask it for names, and nothing may fail.

python benchmarks/serve.py --model out --clients 8 --requests 2000
"""

from __future__ import annotations

import argparse
import http.client
import json
import signal
import subprocess
import sys
import threading
import time

import numpy as np


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="out")
    parser.add_argument("--clients", type=int, default=8, help="at a time, each with a connection of its own")
    parser.add_argument("--requests", type=int, default=2000, help="of all of them together")
    parser.add_argument("--names", type=int, default=20, help="a request")
    options = parser.parse_args()
    process = subprocess.Popen(
        [sys.executable, "-m", "models", "serve", "--port", "0", "--model", options.model],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    port = int(process.stdout.readline().split()[2].rpartition(":")[2])
    try:
        for path, body in (
            ("/healthz", None),
            ("/api/next", {"start": "an"}),
            ("/api/names", {"n": options.names, "temperature": 0.8}),
        ):
            report(path, *load(port, path, body, options.clients, options.requests))
    finally:
        process.send_signal(signal.SIGTERM)
        status = process.wait(30)
    print(f"stopped with status {status}")
    return status


def load(port: int, path: str, body: dict | None, clients: int, requests: int) -> tuple[list[float], list[int], float]:
    """Milliseconds of each request, the statuses, and seconds in all."""
    times: list[list[float]] = [[] for _ in range(clients)]
    statuses: list[list[int]] = [[] for _ in range(clients)]

    def client(i: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        for _ in range(requests // clients):
            began = time.perf_counter()
            if body is None:
                connection.request("GET", path)
            else:
                connection.request("POST", path, json.dumps(body), {"content-type": "application/json"})
            answer = connection.getresponse()
            answer.read()
            times[i].append(1000 * (time.perf_counter() - began))
            statuses[i].append(answer.status)
        connection.close()

    threads = [threading.Thread(target=client, args=(i,)) for i in range(clients)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - began
    return [t for each in times for t in each], [s for each in statuses for s in each], seconds


def report(path: str, times: list[float], statuses: list[int], seconds: float) -> None:
    p50, p99 = np.percentile(times, (50, 99))
    failed = sum(status != 200 for status in statuses)
    print(
        f"{path:12s} {len(times)} requests, {failed} failed, {len(times) / seconds:,.0f} a second, "
        f"p50 {p50:.1f} ms, p99 {p99:.1f} ms, slowest {max(times):.1f} ms", flush=True,
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
