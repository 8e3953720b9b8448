"""`makemore completion SHELL`: what a shell needs to complete commands, options and files on the tab key."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from models.errors import BadInput

WHERE = """

For bash:  makemore completion bash > ~/.local/share/bash-completion/completions/makemore
For zsh:   makemore completion zsh > ~/.zfunc/_makemore     (a folder of $fpath)
For fish:  makemore completion fish > ~/.config/fish/completions/makemore.fish"""


def register(command: Callable[..., Any], parser: argparse.ArgumentParser) -> None:
    """Add the command to the parser, which is also what it completes."""

    def run(options: argparse.Namespace) -> int:
        print(script(parser, options.shell))
        return 0

    add = command("completion", run, "Print the completion script of a shell.", WHERE).add_argument
    add("shell", metavar="SHELL", help="bash, zsh, fish, tcsh or powershell")


def script(parser: argparse.ArgumentParser, shell: str) -> str:
    """The script. BadInput for another shell, or where shtab is not installed."""
    try:
        import shtab
    except ImportError:
        raise BadInput("completion needs shtab: pip install 'minigrad[completion]'") from None
    if shell not in shtab.SUPPORTED_SHELLS:
        raise BadInput(f"no completion for {shell[:40]!r}; there is one for {', '.join(shtab.SUPPORTED_SHELLS)}")
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for sub in set(action.choices.values()):
                _files(sub, shtab)
    return shtab.complete(parser, shell=shell)


def _files(parser: argparse.ArgumentParser, shtab: Any) -> None:
    """An option whose value is a FILE or a DIR completes to one."""
    kinds = {"FILE": shtab.FILE, "DIR": shtab.DIRECTORY}
    for action in parser._actions:
        if action.metavar in kinds:
            action.complete = kinds[action.metavar]  # type: ignore[attr-defined]
