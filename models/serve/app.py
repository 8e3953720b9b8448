"""The application: a page, a graph, and JSON that is checked on its way in and described by OpenAPI.

What takes time runs in threads, as many as there are processors; the rest of the requests wait their turn there.
"""

from __future__ import annotations

import re
import secrets
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import anyio
import numpy as np
from anyio import to_thread
from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from starlette.middleware.trustedhost import TrustedHostMiddleware

import minigrad as mg
from minigrad import __version__
from models.names import NamesError
from models.sample import next_character, remembered, sample
from models.storage import Trained

from .guard import Guard

MOST_NAMES, LONGEST_START = 100, 50
REMEMBERED = 50_000  # contexts and temperatures, some 15 MB
PAGE = Path(__file__).parent / "page"
FILES = {"style.css": "text/css", "script.js": "text/javascript", "icon.svg": "image/svg+xml"}
T = TypeVar("T")


def _whole(x: Any) -> Any:
    """20.0 is an integer in JSON."""
    return int(x) if isinstance(x, float) and x.is_integer() else x


Start = Annotated[str, Field(max_length=LONGEST_START, description="What each name begins with.", examples=["an"])]
Temperature = Annotated[
    float,
    Field(ge=0.05, le=10, allow_inf_nan=False, description="Below 1 likelier names, above 1 stranger.", examples=[0.8]),
]
Count = Annotated[int, Field(ge=1, le=MOST_NAMES, description="How many."), BeforeValidator(_whole)]
Seed = Annotated[
    int,
    Field(ge=0, lt=2**53, description="The same seed gives the same names; drawn if not given."),
    BeforeValidator(_whole),
]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Wish(_Strict):
    """Which names to make."""

    n: Count = 20
    start: Start = ""
    temperature: Temperature = 1.0
    seed: Seed | None = None


class Names(BaseModel):
    """Names, and the seed that makes them again."""

    names: list[str]
    seed: int


class Prefix(_Strict):
    """Where the next character is asked for."""

    start: Start = ""
    temperature: Temperature = 1.0


class Next(BaseModel):
    """The probability of each character to come next, the end of the name as "."; the likeliest first."""

    characters: list[str]
    probabilities: list[float]


class About(BaseModel):
    """The network that answers."""

    context: int
    embd: int
    hidden: int
    parameters: int
    characters: list[str]
    steps: int | None = None
    train_loss: float | None = None
    val_loss: float | None = None


class Health(BaseModel):
    """That the server answers."""

    status: str
    version: str


class Problem(BaseModel):
    """Why a request was refused."""

    detail: Any


REFUSED: dict[int | str, dict[str, Any]] = {
    400: {"model": Problem, "description": "The body is no text in UTF-8"},
    408: {"model": Problem, "description": "The body did not come"},
    413: {"model": Problem, "description": "The body is larger than 4 KiB"},
    422: {"model": Problem, "description": "A value that cannot be, such as a letter that no name has"},
    503: {"model": Problem, "description": "Too many requests at once"},
}


def build(trained: Trained, *, most: int = 64, workers: int = 2, hosts: tuple[str, ...] = ("*",)) -> Any:
    """The ASGI application for this network.

    most: requests at a time, those that wait among them; more get a 503. workers: threads that work. hosts: the names
    it may be asked by, as in the Host header; against pages elsewhere that let a name of theirs point here.
    """
    app = FastAPI(
        title="makemore", version=__version__, summary="Names from a small neural network.", docs_url=None,
        redoc_url=None, openapi_url="/openapi.json",
        description="The makemore MLP on minigrad, as JSON. Every body is at most 4 KiB.",
    )  # fmt: skip
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(hosts), www_redirect=False)
    limiter: list[anyio.CapacityLimiter] = []  # made in the loop it is used in
    picture = _Once(lambda: _graph(trained))
    odds = remembered(trained.model, REMEMBERED)

    async def work(function: Callable[[], T]) -> T:
        if not limiter:
            limiter.append(anyio.CapacityLimiter(workers))
        return await to_thread.run_sync(function, limiter=limiter[0])

    @app.exception_handler(RequestValidationError)
    async def refused(request: Request, error: RequestValidationError) -> Response:
        # Without what was given: it may be no JSON (nan, half a surrogate pair), and need not be told back.
        detail = [{"loc": e["loc"], "msg": e["msg"], "type": e["type"]} for e in error.errors()]
        return JSONResponse({"detail": detail}, 422)

    @app.post("/api/names", responses=REFUSED, tags=["names"], operation_id="make_names")
    async def names(wish: Wish) -> Names:
        """Make names."""
        seed = secrets.randbits(32) if wish.seed is None else wish.seed
        generator = mg.Generator().manual_seed(seed)
        try:
            drawn = sample(
                trained.model, trained.vocab, wish.n, generator, start=wish.start, temperature=wish.temperature,
                odds=odds,
            )  # fmt: skip
        except NamesError as error:
            raise HTTPException(422, f"start: {error}") from None
        return Names(names=await work(lambda: list(drawn)), seed=seed)

    @app.post("/api/next", responses=REFUSED, tags=["names"], operation_id="next_character")
    async def next_(prefix: Prefix) -> Next:
        """What may come after a start, and how likely it is."""
        try:
            likely = await work(
                lambda: next_character(trained.model, trained.vocab, prefix.start, prefix.temperature)
            )  # fmt: skip
        except NamesError as error:
            raise HTTPException(422, f"start: {error}") from None
        return Next(characters=[c for c, _ in likely], probabilities=[p for _, p in likely])

    @app.get("/api/model", tags=["about"], operation_id="about_model", responses={503: REFUSED[503]})
    async def model() -> About:
        """The network's sizes, and what is known of its training."""
        return _about(trained)

    @app.get("/healthz", tags=["about"], operation_id="health")
    async def healthz() -> Health:
        """Whether the server answers; also when it is busy."""
        return Health(status="ok", version=__version__)

    @app.get("/", include_in_schema=False)
    async def page() -> Response:
        return HTMLResponse((PAGE / "index.html").read_bytes())

    @app.get("/page/{name}", include_in_schema=False)
    async def file(name: str) -> Response:
        if name not in FILES:
            raise HTTPException(404, "there is no such file")
        return Response((PAGE / name).read_bytes(), media_type=FILES[name])

    @app.get("/graph", include_in_schema=False)
    async def graph() -> Response:
        content, policy = await work(picture)
        return HTMLResponse(content, headers={"content-security-policy": policy})

    described = app.openapi

    def openapi() -> dict[str, Any]:
        """With the letters that this network knows: another one answers with 422, and says which it was."""
        found = described()
        letters = "".join(re.escape(c) for c in sorted({d for c in trained.vocab.chars for d in (c, c.upper())}))
        for name in ("Wish", "Prefix"):
            found["components"]["schemas"][name]["properties"]["start"]["pattern"] = f"^[{letters}]*$"
        return found

    app.openapi = openapi  # type: ignore[method-assign]
    return Guard(app, most)


def _about(trained: Trained) -> About:
    config, about = trained.model.config, trained.about
    loss: Any = about.get("loss")
    loss = loss if isinstance(loss, dict) else {}
    steps = about.get("steps")
    return About(
        context=config.context, embd=config.embd, hidden=config.hidden,
        parameters=sum(p.numel() for p in trained.model.parameters()),
        characters=list(trained.vocab.chars), steps=steps if isinstance(steps, int) else None,
        train_loss=_number(loss.get("train")), val_loss=_number(loss.get("val")),
    )  # fmt: skip


def _number(x: Any) -> float | None:
    return float(x) if isinstance(x, (int, float)) and np.isfinite(x) else None


class _Once:
    """What a function returns, worked out at the first call; an error is not kept."""

    def __init__(self, function: Callable[[], Any]) -> None:
        self.function, self.lock, self.found = function, threading.Lock(), None

    def __call__(self) -> Any:
        with self.lock:
            if self.found is None:
                self.found = self.function()
        return self.found


def _graph(trained: Trained) -> tuple[bytes, str]:
    """The page of one training step, on a batch of names that the network itself made, and its policy."""
    import viz
    from models.names import build_dataset
    from models.step import Step

    generator = mg.Generator().manual_seed(trained.model.config.seed % 2**64)
    made = [name for name in sample(trained.model, trained.vocab, 40, generator) if name] or [trained.vocab.chars[0]]
    X, Y = build_dataset(made, trained.vocab, trained.model.config.context)
    rows = np.arange(32) % len(X)
    step = Step(0, trained.model, trained.vocab, X[rows], Y[rows])
    loss, values = step.forward()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "graph.html"
        viz.page(loss, path, names=step.names(loss, values), title="makemore, one training step", labels=["one step"])
        content = path.read_bytes()
    policy = content.partition(b'Content-Security-Policy" content="')[2].partition(b'"')[0].decode()
    return content, f"{policy}; frame-ancestors 'none'"
