"""The `makemore` command: train, sample, eval, check, graph, plot.

Exit status: 0 done; 1 a run that failed or a gradient that is wrong; 2 input or options that cannot be used, one line
on stderr and nothing written; 70 a mistake of this program; 130 ctrl-C and 143 SIGTERM, after saving what was trained;
141 nobody reads on, as in `makemore sample | head`. Where options come from is in config.py.
"""

from __future__ import annotations

import argparse
import importlib.util
import math
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from models import config
from models.commands import completion, exchange, serve
from models.errors import BadInput, Failed
from models.help import epilog
from models.names import NamesError
from models.options import path as _path, positive as _positive, seed as _seed, whole as _whole

BAD_INPUT, FAILED, MISTAKE, INTERRUPTED, PIPE_CLOSED = 2, 1, 70, 130, 141

GRAPH_STEP = """

Step N is the batch number N of the run, through the parameters as they are after N updates. With a model in --out
the steps are that run's: N = its number of steps takes the model as it is, an earlier step is trained again from its
seed. Without one it is the lecture's network on names.txt, trained N steps. The file is
graph-step-N-chunked.svg, or as the options say, in --out."""

PLOTS = """

loss, update_to_data and grad_to_data are the run's own; dlogits, activations, saturation and gradients are of one
batch through its model, the one that would have come next; embedding is there for --embd 2."""


class _Parser(argparse.ArgumentParser):
    """argparse, but an error is one line, without the usage above it."""

    def error(self, message: str) -> NoReturn:
        line = " ".join(message.split())
        message = line if len(line) < 400 else f"{line[:200]} ... {line[-150:]}"
        self.exit(BAD_INPUT, f"{self.prog}: error: {message} (see {self.prog} --help)\n")


class _Version(argparse.Action):
    """--version, which imports the engine only when it is asked for: --help is at once."""

    def __init__(self, option_strings: Sequence[str], dest: str, help: str | None = None) -> None:
        super().__init__(option_strings, argparse.SUPPRESS, nargs=0, default=argparse.SUPPRESS, help=help)

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        from minigrad import __version__

        print(f"makemore (minigrad) {__version__}")
        parser.exit()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command with these arguments, sys.argv's by default; returns the exit status."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a name in letters that the terminal does not have
    command, debug = "makemore", False
    try:
        options = config.parse(_parser(), arguments)
        command, debug = f"makemore {options.command}", options.debug
        return int(options.run(options))
    except SystemExit as stop:  # --help, --version or an error: argparse has printed it
        return int(stop.code or 0)
    except (BadInput, NamesError) as error:
        return _say(command, error, BAD_INPUT, debug)
    except Failed as error:
        return _say(command, error, FAILED, debug)
    except MemoryError:
        return _say(command, "out of memory; make --hidden, --embd, --context or --batch smaller", FAILED)
    except BrokenPipeError:  # who was reading has enough, as in `makemore sample | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains at exit
        return PIPE_CLOSED
    except KeyboardInterrupt as error:
        return _say(command, str(error) or "stopped; nothing was written", INTERRUPTED)
    except Exception as error:
        kind = f"{type(error).__name__}: {error}"
        again = "" if debug else "; run it again with --debug to see where, and report it"
        return _say(command, f"a mistake of this program: {kind}{again}", MISTAKE, debug)


def _say(command: str, error: object, status: int, debug: bool = False) -> int:
    """One line for the user; before it, for who asked for it, where the error came from."""
    if debug:
        traceback.print_exc()
    kind = "" if status == INTERRUPTED else "error: "
    print(f"{command}: {kind}{' '.join(str(error).split())}", file=sys.stderr)
    return status


# -------------------------------------------------------------------------------------------------- options


def _parser() -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    parser = _Parser(
        prog="makemore", description="The makemore MLP on minigrad: learn names, make new ones.", epilog=epilog(),
        formatter_class=raw, allow_abbrev=False,
    )  # fmt: skip
    parser.add_argument("--version", action=_Version, help="show the version and exit")
    _common(parser)
    commands = parser.add_subparsers(dest="command", required=True, metavar="train | sample | eval | ...")

    def command(name: str, run: Callable[[argparse.Namespace], int], text: str, more: str = "") -> Any:
        sub = commands.add_parser(
            name, help=text, description=text + more, allow_abbrev=False, epilog=epilog(name), formatter_class=raw
        )
        sub.set_defaults(run=run)
        _common(sub)
        return sub

    add = command("train", _train, "Train a network on a list of names.").add_argument
    # No defaults here for what a checkpoint knows: not given means as Config and Plan have it, or as in the checkpoint.
    add("--steps", type=_whole(1), metavar="N", help="training steps (200000)")
    add("--hidden", type=_whole(1), metavar="N", help="neurons in the hidden layer (200)")
    add("--embd", type=_whole(1), metavar="N", help="dimensions of a character's embedding (10)")
    add("--context", type=_whole(1), metavar="N", help="characters that predict the next one (3)")
    add("--batch", type=_whole(2), metavar="N", help="rows a step (32)")
    add("--lr", type=_positive, metavar="X", help="learning rate, a tenth after half the steps (0.1, adamw 0.003)")
    add("--optimizer", choices=("sgd", "adamw"), help="(sgd)")
    add("--seed", type=_seed, metavar="N", help="of parameters and batches (2147483647)")
    add("--names", type=_path, metavar="FILE", help="the list, one name a line (names.txt)")
    add("--out", type=_path, default="out", metavar="DIR", help="where the results go (out)")
    small = "the forward pass in exercise 1's small steps: slower, the same network"
    add("--chunked", action="store_true", default=None, help=small)
    add("--eager", action="store_true", help="each step op by op, not captured: slower, the same result to the bit")
    add("--quiet", action="store_true", help="no progress, only the results")
    add("--checkpoint-every", type=_whole(1), metavar="N", help="steps between two checkpoints (only when stopped)")
    add("--keep", type=_whole(1), default=3, metavar="K", help="checkpoints that stay, the newest ones (3)")
    add("--resume", action="store_true", help="go on from the newest checkpoint in --out, with its options")
    add("--force", action="store_true", help="resume with options or names changed; begin anew over an unfinished run")
    add("--profile", type=_path, metavar="FILE", help="a Chrome trace of 20 steps, each op and rule as a span")
    add("--ddp", action="store_true", help="divide each batch among the processes of mpirun -n 4 makemore train --ddp")
    add("--ddp-timeout", type=_positive, default=60.0, metavar="S", help="seconds to wait for the others (60)")
    add("--on-nan", choices=("stop", "skip", "raise"), default="stop", help="at a loss that is no number (stop)")

    add = command("sample", _sample, "Make new names with a trained network.").add_argument
    add("-n", type=_whole(1), default=20, metavar="N", help="how many (20)")
    add("--seed", type=_seed, metavar="N", help="of the draw (the one trained with, plus 10)")
    add("--start", default="", metavar="TEXT", help="what each name begins with")
    add("--temperature", type=_positive, default=1.0, metavar="X", help="below 1 likelier names, above 1 stranger (1)")
    add("--model", type=_path, default="out", metavar="FILE", help="a model.safetensors or its folder (out)")

    add = command("eval", _eval, "Print the losses of a trained network.").add_argument
    add("--model", type=_path, default="out", metavar="FILE", help="a model.safetensors or its folder (out)")
    add("--names", type=_path, metavar="FILE", help="the list to split and measure on (names.txt)")

    add = command(
        "check", _check, "Derive every gradient of one batch by hand, as the lecture's exercises do, and compare."
    ).add_argument
    add("--seed", type=_seed, default=2147483647, metavar="N", help="of parameters and batch (2147483647)")
    add("--dtype", choices=("float32", "float64"), default="float32", help="(float32)")
    add("--names", type=_path, metavar="FILE", help="the list, one name a line (names.txt)")
    add("--torch", action="store_true", help="compare with torch's gradients too")
    add("--json", action="store_true", help="the rows as JSON")

    sub = command("graph", _graph, "Draw the graph of one training step, forward and backward.", GRAPH_STEP)
    add = sub.add_argument
    add("--step", type=_whole(0), metavar="N", help="from 0, the network as drawn (the last one of --out, or else 0)")
    kind = sub.add_mutually_exclusive_group()
    kind.add_argument("--chunked", dest="fused", action="store_false", default=False, help="exercise 1's steps (yes)")
    kind.add_argument("--fused", action="store_true", help="exercise 4's: batch norm and cross entropy one op each")
    form = sub.add_mutually_exclusive_group()
    for name, suffix, what in (
        ("svg", "svg", "a picture (yes)"), ("png", "png", "a picture in pixels"), ("page", "html", "a page to explore"),
    ):  # fmt: skip
        form.add_argument(f"--{name}", dest="form", action="store_const", const=suffix, default="svg", help=what)
    add("--collapse", action="append", default=[], metavar="GROUP", help="a group as one box, such as 'linear*'")
    add("--open", action="store_true", help="show it in the browser")
    add("--names", type=_path, metavar="FILE", help="the list that was trained on (names.txt)")
    add("--out", type=_path, default="out", metavar="DIR", help="the run, and where the picture goes (out)")

    sub = command("plot", _plot, "Draw the lecture's plots of a run, as PNG and SVG.", PLOTS)
    add = sub.add_argument
    add("--names", type=_path, metavar="FILE", help="the list that was trained on (names.txt)")
    add("--out", type=_path, default="out", metavar="DIR", help="the run; the plots go to its folder plots/ (out)")

    exchange.register(command)
    serve.register(command)
    completion.register(command, parser)
    return parser


def _common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=_path, metavar="FILE", help="options in TOML (makemore.toml)")
    parser.add_argument("--debug", action="store_true", help="show where an error came from")


def _names_file(given: str | None) -> str:
    """--names, or names.txt: in the working folder, or else beside this package (a checkout) or in it (a wheel)."""
    if given is not None:
        return given
    package = Path(__file__).resolve().parent
    for path in (Path("names.txt"), package.parent / "names.txt", package / "names.txt"):
        if path.is_file():
            return str(path)
    raise BadInput("names.txt is not in this folder; name a list, one name a line, with --names FILE")


# -------------------------------------------------------------------------------------------------- commands
# numpy, the engine and matplotlib are imported when a command needs them: --help is at once.


def _train(options: argparse.Namespace) -> int:
    missing = [name for name in ("matplotlib", "tqdm", "graphviz") if importlib.util.find_spec(name) is None]
    if missing:
        raise BadInput(f"training needs {' and '.join(missing)}: pip install 'minigrad[train]'")
    if options.ddp:
        from models.distributed.launch import run as train
    else:
        from models.job import train

    ended_by = train(options, _names_file(options.names))
    return 128 + ended_by if ended_by else 0


def _sample(options: argparse.Namespace) -> int:
    import minigrad as mg
    from models.sample import SEED_AFTER, sample
    from models.storage import ModelError, load_model

    try:
        trained = load_model(options.model)
    except ModelError as error:
        raise BadInput(str(error)) from None
    seed = trained.model.config.seed + SEED_AFTER if options.seed is None else options.seed
    generator = mg.Generator().manual_seed(seed % 2**64)
    try:
        names = sample(
            trained.model, trained.vocab, options.n, generator, start=options.start, temperature=options.temperature
        )
    except NamesError as error:
        raise BadInput(f"--start: {error}") from None
    try:
        for name in names:
            print(name)
    except ValueError as error:
        raise BadInput(f"{options.model}: {error}") from None
    sys.stdout.flush()  # here, where a closed pipe is still handled
    return 0


def _eval(options: argparse.Namespace) -> int:
    from models.job import evaluate
    from models.storage import ModelError, load_model

    try:
        trained = load_model(options.model)
    except ModelError as error:
        raise BadInput(str(error)) from None
    note, losses = evaluate(trained, _names_file(options.names))
    if not all(math.isfinite(loss) for loss in losses.values()):
        raise BadInput(f"{options.model}: its loss is no number: its weights are too large; train it again")
    if note:
        print(f"makemore eval: note: {note}", file=sys.stderr)
    for name, loss in losses.items():
        print(f"{name} {loss:.4f}")
    return 0


def _check(options: argparse.Namespace) -> int:
    from models import check, check_output

    names_file = _names_file(options.names)
    rows = check.rows(check.draw(names_file, options.seed, options.dtype), options.torch)
    if options.json:
        about = {"seed": options.seed, "dtype": options.dtype, "names": names_file, "batch": check.BATCH}
        print(check_output.as_json(rows, about))
    else:
        check_output.write(rows)
    sys.stdout.flush()  # here, where a closed pipe is still handled
    return 0 if all(row.right for row in rows) else FAILED


def _graph(options: argparse.Namespace) -> int:
    from models.graph import graph

    return graph(options, _names_file(options.names))


def _plot(options: argparse.Namespace) -> int:
    if importlib.util.find_spec("matplotlib") is None:
        raise BadInput("plots need matplotlib: pip install 'minigrad[train]'")
    from models.plot import plot

    return plot(options, _names_file(options.names))


if __name__ == "__main__":
    sys.exit(main())
