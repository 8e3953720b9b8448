"""makemore serve as a browser and other programs have it: a process of its own, asked over the loopback."""

import asyncio
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import minigrad as mg
from models.commands import serve
from models.mlp import MLP, Config
from models.names import Vocabulary
from models.sample import sample
from models.serve.guard import LET_GO, MOST_BYTES, Guard
from models.storage import Trained, save_model
from tests.alone import run as run_alone

for needed in ("fastapi", "uvicorn"):
    pytest.importorskip(needed, reason=f"nothing is served: pip install {needed}")

PROJECT = Path(__file__).resolve().parents[2]
LETTERS = [chr(ord("a") + i) for i in range(26)]


@pytest.fixture(scope="module")
def trained():
    model = MLP(Config(27, hidden=30))
    model.calibrate(np.asarray(mg.Generator().manual_seed(3).randint(0, 27, (500, 3))))
    return Trained(model, Vocabulary(LETTERS), {"steps": 7, "loss": {"train": 2.5, "val": 2.6}})


class Server:
    """A `makemore serve` that runs, and how to ask it."""

    def __init__(self, folder, *options):
        self.process = subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "models", "serve", "--port", "0", "--model", str(folder), *options],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder,
            env={**os.environ, "PYTHONPATH": str(PROJECT), "OPENBLAS_NUM_THREADS": "1"},
        )  # fmt: skip
        assert self.process.stdout is not None
        said = self.process.stdout.readline()
        assert "(ctrl-C stops it)" in said, self.process.communicate()[1]
        self.port = int(said.split()[2].rpartition(":")[2])
        self.url = f"http://127.0.0.1:{self.port}"

    def ask(self, method, path, body=None, headers=None):
        """(status, headers, content) of one request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def post(self, path, **body):
        status, _, content = self.ask("POST", path, json.dumps(body), {"content-type": "application/json"})
        return status, json.loads(content)

    def stop(self, how=signal.SIGTERM):
        """(exit status, what it said)."""
        self.process.send_signal(how)
        out, err = self.process.communicate(timeout=60)
        return self.process.returncode, out, err


@pytest.fixture(scope="module")
def server(trained, tmp_path_factory):
    folder = tmp_path_factory.mktemp("served")
    save_model(folder / "model.safetensors", trained)
    server = Server(folder)
    yield server
    status, out, err = server.stop()
    assert (status, out, err) == (0, "makemore serve: stopped\n", "")  # and nothing went wrong on the way


# ------------------------------------------------------------------------------------------ what it answers


def test_names_are_those_of_makemore_sample(server, trained):
    status, found = server.post("/api/names", n=5, start="An", temperature=0.8, seed=42)
    generator = mg.Generator().manual_seed(42)
    want = list(sample(trained.model, trained.vocab, 5, generator, start="an", temperature=0.8))
    assert (status, found) == (200, {"names": want, "seed": 42})
    assert server.post("/api/names", n=5.0, start="An", temperature=0.8, seed=42.0)[1] == found
    status, found = server.post("/api/names")
    assert status == 200 and len(found["names"]) == 20
    assert server.post("/api/names", seed=found["seed"])[1] == found  # the seed it drew makes them again


def test_what_comes_next(server):
    status, found = server.post("/api/next", start="ma")
    assert status == 200 and sorted(found["characters"]) == [".", *LETTERS]
    assert abs(sum(found["probabilities"]) - 1) < 1e-5
    assert found["probabilities"] == sorted(found["probabilities"], reverse=True)


def test_about_it_and_health(server):
    assert json.loads(server.ask("GET", "/healthz")[2]) == {"status": "ok", "version": mg.__version__}
    about = json.loads(server.ask("GET", "/api/model")[2])
    assert about["hidden"] == 30 and about["steps"] == 7 and about["val_loss"] == 2.6
    described = json.loads(server.ask("GET", "/openapi.json")[2])
    assert described["info"]["version"] == mg.__version__
    assert set(described["paths"]) == {"/api/names", "/api/next", "/api/model", "/healthz"}
    assert set(described["paths"]["/api/names"]["post"]["responses"]) == {"200", "400", "408", "413", "422", "503"}
    start = described["components"]["schemas"]["Wish"]["properties"]["start"]
    assert re.fullmatch(start["pattern"], "Anna") and not re.fullmatch(start["pattern"], "r2")


def test_every_answer_has_the_headers(server):
    for path in ("/", "/page/script.js", "/page/style.css", "/healthz", "/nowhere", "/graph", "/page/..%2fapp.py"):
        status, headers, _ = server.ask("GET", path)
        assert status == (404 if path in ("/nowhere", "/page/..%2fapp.py") else 200)
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 's") and "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy and "http" not in policy
        assert headers["x-content-type-options"] == "nosniff" and headers["referrer-policy"] == "no-referrer"
        assert "server" not in headers


# ------------------------------------------------------------------------------------------ what it refuses

BODIES = [
    "", "{", "[]", "null", "[" * 3000, '{"n": 0}', '{"n": 101}', '{"n": true}', '{"n": "5"}', '{"n": 1.5}',
    '{"n": 1e99}', '{"temperature": 0}', '{"temperature": NaN}', '{"temperature": Infinity}', '{"temperature": 1e999}',
    '{"temperature": -1}', '{"temperature": "hot"}', '{"start": "%s"}' % ("a" * 51), '{"start": "r2d2"}',
    '{"start": "a."}', '{"start": "\\ud800"}', '{"start": "\\u0000"}', '{"start": 5}', '{"seed": -1}',
    '{"seed": 9007199254740992}', '{"more": 1}', '{"n": ' + "9" * 4000 + "}", b"\xff\xfe", '{"start": "é"}',
]  # fmt: skip


@pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
def test_bodies_that_cannot_be(server, body):
    body = body if isinstance(body, bytes) else body.encode()
    status, _, content = server.ask("POST", "/api/names", body, {"content-type": "application/json"})
    assert status in (400, 422) and json.loads(content)["detail"]


def test_bodies_that_are_too_large(server):
    kind = {"content-type": "application/json"}
    big = b'{"start": "' + b" " * MOST_BYTES + b'"}'
    assert server.ask("POST", "/api/names", big, kind)[0] == 413

    def pieces():
        for _ in range(20):
            yield b" " * 1000

    assert server.ask("POST", "/api/names", pieces(), kind)[0] == 413  # chunked, and without a length
    exact = b'{"n": 1}'.ljust(MOST_BYTES)
    assert server.ask("POST", "/api/names", exact, kind)[0] == 200


def test_a_body_without_end_is_read_no_further_than_that():
    """The answer does not wait for all of it, and the step behind the guard never sees it."""
    piece, asked, sent = b" " * 1000, 0, []

    async def receive():
        nonlocal asked
        asked += 1
        return {"type": "http.request", "body": piece, "more_body": True}

    async def send(message):
        sent.append(message)

    async def app(*_):
        raise AssertionError("it was let through")

    asyncio.run(Guard(app, 1)({"type": "http", "path": "/api/names", "headers": []}, receive, send))
    assert sent[0]["status"] == 413 and (b"connection", b"close") in sent[0]["headers"]
    assert asked == LET_GO // len(piece) + 1


def test_other_hosts_methods_and_paths(server):
    assert server.ask("GET", "/", headers={"Host": "names.example"})[0] == 400  # a name that was made to point here
    assert server.ask("GET", "/", headers={"Host": f"localhost:{server.port}"})[0] == 200
    assert server.ask("GET", "/api/names")[0] == 405
    assert server.ask("GET", "/docs")[0] == 404  # whose page would load from elsewhere


def test_what_is_no_http(server):
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as s:
        s.sendall(b"\x16\x03\x01 hello\r\n\r\n")
        assert s.recv(100).startswith(b"HTTP/1.1 400")
    assert server.ask("GET", "/healthz")[0] == 200


# ------------------------------------------------------------------------------------------ much at once


def test_a_load_of_requests_and_none_fails(server):
    def one(i):
        status, found = server.post("/api/names", n=3, seed=i, temperature=0.5 + i % 7 / 5)
        return status, len(found["names"])

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(one, range(200))) == {(200, 3)}


def guarded(requests, most=2, body=b"", pause=0.0):
    """What the Guard answers to so many requests at once, whose app takes its time; and how many ran together."""
    running, peak, answers = 0, 0, []

    async def app(scope, receive, send):
        nonlocal running, peak
        await receive()
        running += 1
        peak = max(peak, running)
        await asyncio.sleep(0.05)
        running -= 1
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    guard = Guard(app, most)

    async def one(path):
        async def receive():
            await asyncio.sleep(pause)
            return {"type": "http.request", "body": body, "more_body": pause > 0}

        async def send(message):
            if message["type"] == "http.response.start":
                answers.append((message["status"], dict(message["headers"]).get(b"retry-after")))

        await guard({"type": "http", "path": path, "headers": []}, receive, send)

    async def all_of_them():
        await asyncio.gather(*[one(path) for path in requests])

    run_alone(all_of_them())
    return sorted(answers), peak, guard.running


def test_more_at_once_than_allowed_are_told_to_come_again():
    answers, peak, left = guarded(["/api/names"] * 5 + ["/healthz"])
    assert [status for status, _ in answers] == [200] * 3 + [503] * 3  # two, and the health
    assert {retry for status, retry in answers if status == 503} == {b"1"}
    assert peak == 3 and left == 0
    assert guarded(["/"] * 2)[0] == [(200, None)] * 2


def test_a_body_that_does_not_come(monkeypatch):
    monkeypatch.setattr("models.serve.guard.BODY_SECONDS", 0.1)
    assert guarded(["/api/names"], pause=0.03)[0] == [(408, None)]


# ------------------------------------------------------------------------------------------ start and stop


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_it_answers_what_it_began_before_it_stops(trained, tmp_path, how):
    save_model(tmp_path / "model.safetensors", trained)
    server = Server(tmp_path)
    answers = []
    asked = threading.Thread(target=lambda: answers.append(server.ask("GET", "/graph")))  # takes a while
    asked.start()
    threading.Event().wait(0.15)
    assert server.stop(how) == (0, "makemore serve: stopped\n", "")
    asked.join()
    ((status, _, content),) = answers
    assert status == 200 and content.rstrip().endswith(b"</html>")


def refused(*arguments, cwd):
    done = subprocess.run(
        [sys.executable, "-m", "models", "serve", *map(str, arguments)], cwd=cwd, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(PROJECT)}, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2 and done.stdout == "" and done.stderr.count("\n") == 1
    return done.stderr


def test_answers_do_not_wait_for_each_others_packets():
    """asyncio sends at once (TCP_NODELAY) only on what is named as TCP; else an answer of two packets takes 40 ms."""
    for host in ("127.0.0.1", "localhost"):
        listening = serve._listen(host, 0)
        assert listening.proto == socket.IPPROTO_TCP
        listening.close()


def test_what_cannot_be_served(server, trained, tmp_path):
    assert "no such model" in refused(cwd=tmp_path)
    save_model(tmp_path / "model.safetensors", trained)
    model = ("--model", tmp_path)
    assert f"port {server.port} cannot be listened at" in refused(*model, "--port", server.port, cwd=tmp_path)
    assert "no address of this machine" in refused(*model, "--host", "no.such.host.invalid", cwd=tmp_path)
    assert "'70000' is not a whole number from 0 to 65,535" in refused(*model, "--port", 70000, cwd=tmp_path)


# ------------------------------------------------------------------------------------------ the page


@pytest.fixture
def look(chromium, server):
    """Open the page; at the end there was nothing on the console, no error, and no request to elsewhere."""
    seen, contexts = [], []

    def opened(path="/", **settings):
        context = chromium.new_context(**{"viewport": {"width": 1280, "height": 800}, **settings})
        contexts.append(context)
        tab = context.new_page()
        tab.set_default_timeout(60_000)  # a busy machine is slow
        tab.on("console", lambda message: seen.append(message.text) if "422" not in message.text else None)
        tab.on("pageerror", lambda error: seen.append(str(error)))
        tab.on("request", lambda r: None if r.url.startswith(server.url + "/") else seen.append(r.url))
        tab.goto(server.url + path)
        return tab

    yield opened
    for context in contexts:
        context.close()
    assert seen == []


def expect(locator):
    from playwright.sync_api import expect

    return expect(locator)


def test_the_page_makes_names(look):
    tab = look()
    tab.wait_for_selector("#names li")
    assert tab.locator("#names li").count() == 20
    assert "looks at 3 characters" in tab.inner_text("#about")
    tab.fill("#start", "Ma")
    tab.evaluate("t => { t.value = 0.5; t.dispatchEvent(new Event('input')) }", tab.query_selector("#temperature"))
    tab.evaluate("t => { t.value = 7; t.dispatchEvent(new Event('input')) }", tab.query_selector("#count"))
    with tab.expect_request("**/api/names") as asked:
        tab.press("#start", "Enter")
    assert asked.value.post_data_json == {"n": 7, "start": "Ma", "temperature": 0.5}
    expect(tab.locator("#names b")).to_have_count(7)
    assert all(name.startswith("ma") for name in tab.locator("#names li").all_inner_texts())
    expect(tab.locator("#next-title")).to_have_text("After “Ma” comes")
    expect(tab.locator("#bars li")).to_have_count(8)
    assert "7 names in" in tab.inner_text("#status") and tab.inner_text("#temperature-value") == "0.50"


def test_the_page_says_what_cannot_be(look):
    tab = look()
    tab.wait_for_selector("#names li")
    tab.fill("#start", "<b>2")
    tab.click("#make")
    expect(tab.locator("#problem")).to_contain_text("is not in the vocabulary")
    assert tab.get_attribute("#start", "aria-invalid") == "true" and tab.locator("#names li").count() == 20
    tab.fill("#start", "an")
    expect(tab.locator("#problem")).to_be_empty()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_is_accessible(look, scheme):
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="the page is not checked: axe is not there"
    )
    tab = look(color_scheme=scheme, bypass_csp=True)  # for axe's own script
    tab.wait_for_selector("#names li")
    found = axe.Axe().run(tab, options={"resultTypes": ["violations"]}).response["violations"]
    assert [(v["id"], [node["html"] for node in v["nodes"]]) for v in found] == []


def test_the_page_fits_a_phone(look):
    tab = look(viewport={"width": 360, "height": 740}, is_mobile=True, has_touch=True)
    tab.wait_for_selector("#names li")
    tab.fill("#start", "a" * 50)
    tab.click("#make")
    expect(tab.locator("#names b")).to_have_count(20)
    assert tab.evaluate("document.documentElement.scrollWidth") <= 360
    small = [e for e in tab.locator("button:visible").all() if (e.bounding_box() or {"height": 0})["height"] < 24]
    assert not small


def test_the_graph_page(look):
    tab = look("/graph")
    tab.wait_for_selector(".node")
    assert "one training step" in tab.inner_text("h1")
    tab.click("#first")
    tab.click("#next")
    assert "emb = C[Xb]" in tab.inner_text("#status")
