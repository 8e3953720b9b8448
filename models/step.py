"""One training step of a run, found again: its parameters and its batch, as they were when it began."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import minigrad as mg
import viz
from minigrad import Tensor
from models.errors import BadInput, Failed
from models.job import names_hash
from models.mlp import MLP, Config
from models.names import Vocabulary, build_dataset, read_names, split_names
from models.sizes import TooLarge, check_fits
from models.storage import ModelError, Trained, load_model, model_file
from models.train import Diverged, Plan, Trainer

MANY = 1_000_000  # draws at a time
DRAWS = 10**10  # to find the batch that would have come next: a minute or so
WAITED_FOR = 2_000  # steps


@dataclass
class Step:
    """Training step `number`, counted from 0: the network before it, and its batch, Xb (n, context) and Yb (n,)."""

    number: int
    model: MLP
    vocab: Vocabulary
    Xb: NDArray[np.int64]
    Yb: NDArray[np.int64]

    def forward(self, fused: bool = False) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss and the intermediates by name, with gradients in each of them and in the parameters."""
        for p in self.model.parameters():
            p.grad = None  # of the training that led here
        if fused:
            loss, values = self.model.forward_fused_named(self.Xb, self.Yb)
        else:
            loss, values = self.model.forward_chunked(self.Xb, self.Yb, scope=viz.scope)
        for t in (loss, *values.values()):
            t.retain_grad()
        loss.backward(retain_graph=True)  # the graph is still to be drawn
        return loss, values

    def names(self, loss: Tensor, values: dict[str, Tensor]) -> dict[str, Any]:
        """What each value of the step is called."""
        return {**values, "model": self.model, "Xb": self.Xb, "Yb": self.Yb, "loss": loss}


def find(out: Path, number: int | None, names_file: str, say: Callable[[str], None] = lambda line: None) -> Step:
    """Step `number` of the run in `out`, or, where there is no model, of the lecture's network on this list.

    The model in `out` is what its last step left, so `number` = the steps of the run takes it as it is, with the batch
    that would have come next; that is the default. An earlier step is trained again from the run's own seed, sizes
    and list. Without a model the default is step 0: the network as drawn. `say` hears of a training that is waited for.
    Raises BadInput for a step that the run never came to or another list, NamesError, Failed.
    """
    words = read_names(names_file)
    train_words = split_names(words, source=names_file)[0]
    trained = _load(out)
    if trained is None:
        vocab, done = Vocabulary(words), 0
        config = Config(len(vocab))
        steps = number or 0
        plan = Plan(max(Plan.steps, steps))
    else:
        vocab, config = trained.vocab, trained.model.config
        plan, done, hashed = _plan(out, trained)
        steps = done if number is None else number
        if steps > done:
            raise BadInput(f"--step {steps}: the run in {out} has {done:,} steps; name one from 0 to {done}")
        if number is not None and number < done and (trained.about.get("changes") or trained.about.get("skipped")):
            raise BadInput(
                f"--step {number}: the run in {out} was changed or skipped steps on its way, so that it is not trained "
                f"again from its seed; its last one, {done}, can be drawn"
            )
        if hashed != names_hash(words):
            raise BadInput(
                f"{names_file} is not the list that {model_file(out)} was trained on, and the batches are from that "
                "one; name it with --names FILE"
            )
    try:
        check_fits(config, plan, rows=sum(len(word) + 1 for word in words))
    except TooLarge as error:
        raise BadInput(str(error)) from None
    if trained is not None and steps == done and steps * plan.batch > DRAWS:
        raise BadInput(f"{model_file(out)}: to draw {steps:,} batches of {plan.batch:,} again would take too long")
    X, Y = build_dataset(train_words, vocab, config.context)
    generator = mg.Generator().manual_seed(config.seed)
    model = MLP(config, generator)
    if trained is not None and steps == done:
        model = trained.model
        skip(generator, len(X), steps * plan.batch)
    else:
        trainer = Trainer(model, plan, X, Y, generator)
        if steps >= WAITED_FOR:
            say(f"training {steps:,} steps from the seed to find step {steps:,}")
        try:
            for _ in range(steps):
                trainer.step()
        except Diverged as error:
            raise Failed(f"{error}, before step {steps:,}; draw an earlier one") from None
    ix = generator.randint(0, len(X), (plan.batch,))
    return Step(steps, model, vocab, X[ix], Y[ix])


def skip(generator: mg.Generator, high: int, draws: int) -> None:
    """Leave out that many draws of randint(0, high): those of the batches that came before."""
    for start in range(0, draws, MANY):
        generator.randint(0, high, (min(MANY, draws - start),))


def _load(out: Path) -> Trained | None:
    try:
        if not (model_file(out)).exists():
            return None
    except OSError:
        return None  # it cannot be written to either, which is said there
    try:
        return load_model(model_file(out))
    except ModelError as error:
        raise BadInput(str(error)) from None


def _plan(out: Path, trained: Trained) -> tuple[Plan, int, str]:
    """What the run did, how many steps of it, and on which list."""
    about = trained.about
    try:
        done, hashed = about["steps"], about["names"]["sha256"]
        plan = Plan(
            about["planned_steps"], about["batch"], about["lr"], about["optimizer"], about.get("chunked", False)
        )
        if not (isinstance(done, int) and 0 < done <= plan.steps):
            raise ValueError
    except (KeyError, TypeError, ValueError):
        raise BadInput(f"{model_file(out)}: does not say how it was trained; train it again: makemore train") from None
    return plan, done, hashed
