"""Options from elsewhere than the command line: an option there > the environment > a TOML file > the default.

`makemore train --hidden 100` is MAKEMORE_TRAIN_HIDDEN=100 in the environment and, in a file,

    names = "mine.txt"      # for every command that has --names

    [train]
    hidden = 100            # for makemore train
    chunked = true

The file is the one that --config or MAKEMORE_CONFIG names; otherwise makemore.toml in the working folder, and where
that leaves an option open, makemore/config.toml in ~/.config (or $XDG_CONFIG_HOME). MAKEMORE_DEBUG=1 is --debug.
A value meets the same checks as on the command line, and what is wrong with it names its place.

Own code, and little of it: the libraries that do this either know no subcommands or bring more than numpy.
"""

from __future__ import annotations

import argparse
import difflib
import os
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from models.errors import BadInput
from models.options import path as path_type

PREFIX, FILE = "MAKEMORE_", "makemore.toml"
MAX_BYTES = 2**20
TRUE, FALSE = ("1", "true", "yes", "on"), ("0", "false", "no", "off")
COMMON = ("config", "debug")  # what every command has


def parse(
    parser: argparse.ArgumentParser, arguments: Sequence[str] | None, environment: Mapping[str, str] = os.environ
) -> argparse.Namespace:
    """The options of a command, those not given filled in. BadInput, SystemExit for what argparse itself refuses."""
    commands = _commands(parser)
    defaults = {name: _take_defaults(sub) for name, sub in commands.items()}
    _take_defaults(parser)
    options = parser.parse_args(arguments)
    given = vars(options)
    given.setdefault("debug", _flag(environment.get(PREFIX + "DEBUG", ""), PREFIX + "DEBUG"))
    given.setdefault("config", environment.get(PREFIX + "CONFIG") or None)
    name, sub = options.command, commands[options.command]
    for action in sub._actions:  # of --option=-- argparse makes an empty list (bugs.python.org/issue14364)
        if action.nargs is None and (value := given.get(action.dest)) is not None and (value == [] or value == [[]]):
            sub.error(f"argument {'/'.join(action.option_strings)}: expected one argument")
    layers = [_environment(name, sub, environment)]
    layers += [_table(content, path, name, commands) for path, content in _files(options.config, environment)]
    for slot in _slots(sub):
        if not any(action.dest in given for action in slot):
            for layer in layers:
                found = [
                    (action, *layer[action.dest, key]) for action, key in _keyed(slot) if (action.dest, key) in layer
                ]
                if len(found) > 1:
                    raise BadInput(f"{found[0][2]} and {found[1][2]} exclude each other")
                if found:
                    given[found[0][0].dest] = found[0][1]
                    break
    for dest, default in defaults[name].items():
        given.setdefault(dest, default)
    return options


def _commands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return {}


def _take_defaults(parser: argparse.ArgumentParser) -> dict[str, Any]:
    """The defaults of the options, taken out of the parser: what it then returns is what was given."""
    found: dict[str, Any] = {}
    for action in parser._actions:
        if action.option_strings and action.default is not argparse.SUPPRESS:
            found.setdefault(action.dest, action.default)
            action.default = argparse.SUPPRESS
    return {dest: value for dest, value in found.items() if dest not in COMMON}


def _slots(parser: argparse.ArgumentParser) -> Iterator[list[argparse.Action]]:
    """The options, those together that exclude each other or set the same thing."""
    together = [list(group._group_actions) for group in parser._mutually_exclusive_groups]
    for action in parser._actions:
        if _key(action) and not any(action in group for group in together):
            together.append([action])
    yield from together


def _keyed(slot: list[argparse.Action]) -> list[tuple[argparse.Action, str]]:
    return [(action, key) for action in slot if (key := _key(action))]


def _key(action: argparse.Action) -> str:
    """What an option is called in a file: its long name; "" for what cannot stand there, such as --help."""
    if not action.option_strings or action.dest in (*COMMON, "help", "version"):
        return ""
    return max(action.option_strings, key=len).lstrip("-")


# What stands in one place: by (dest, key) the value and where it was found.
Layer = dict[tuple[str, str], tuple[Any, str]]


def _environment(name: str, parser: argparse.ArgumentParser, environment: Mapping[str, str]) -> Layer:
    prefix = f"{PREFIX}{name.upper()}_"
    known = {prefix + _key(action).upper().replace("-", "_"): action for action in parser._actions if _key(action)}
    layer: Layer = {}
    for variable in sorted(environment):
        if not variable.startswith(prefix) or not environment[variable]:  # an empty one is as none
            continue
        if variable not in known:
            raise BadInput(f"{variable} in the environment: makemore {name} has no such option{_like(variable, known)}")
        action, text = known[variable], environment[variable]
        if _is_flag(action):
            _set_flag(layer, action, _flag(text, variable), variable)
        elif isinstance(action, argparse._AppendAction):
            parts = [part.strip() for part in text.split(",")]
            layer[action.dest, _key(action)] = [_checked(action, part, variable) for part in parts], variable
        else:
            layer[action.dest, _key(action)] = _checked(action, text, variable), variable
    return layer


def _files(named: str | None, environment: Mapping[str, str]) -> Iterator[tuple[Path, dict[str, Any]]]:
    home = environment.get("XDG_CONFIG_HOME") or os.path.join(environment.get("HOME", ""), ".config")
    places = [Path(named)] if named else [Path(FILE), Path(home) / "makemore" / "config.toml"]
    for path in places:
        try:
            with open(path, "rb") as file:
                content = file.read(MAX_BYTES + 1)
        except FileNotFoundError:
            if named:
                raise BadInput(f"{path}: no such file") from None
            continue
        except OSError as error:
            if not named and not path.is_file():  # a home that is not one, say
                continue
            raise BadInput(f"{path}: cannot be read: {error.strerror or error}") from None
        if len(content) > MAX_BYTES:
            raise BadInput(f"{path}: more than {MAX_BYTES:,} bytes, which is no file of options")
        try:
            yield path, tomllib.loads(content.decode())
        except (ValueError, RecursionError) as error:
            raise BadInput(f"{path}: no TOML: {str(error)[:200]}") from None


def _table(content: dict[str, Any], path: Path, name: str, commands: Mapping[str, argparse.ArgumentParser]) -> Layer:
    """What a file says for this command. What it says for others is looked at too: a mistake is found early."""
    layer: Layer = {}
    every = {key for sub in commands.values() for action in sub._actions if (key := _key(action))}
    for key, value in content.items():
        if isinstance(value, dict):
            if key not in commands:
                raise BadInput(f"{path}: [{_named(key)}]: makemore has no such command{_like(key, commands)}")
            _read(layer if key == name else {}, commands[key], value, path, key)
        elif _plain(key) not in every:
            raise BadInput(f"{path}: {_named(key)}: no command has such an option{_like(key, every)}")
    for key, value in content.items():
        known = {_key(action) for action in commands[name]._actions}
        if not isinstance(value, dict) and _plain(key) in known:
            shared: Layer = {}
            _read(shared, commands[name], {key: value}, path, "")
            for place, found in shared.items():
                if not any(place[0] == dest for dest, _ in layer):  # [train] goes before what is above the tables
                    layer[place] = found
    return layer


def _read(layer: Layer, parser: argparse.ArgumentParser, table: dict[str, Any], path: Path, name: str) -> None:
    known = {_key(action): action for action in parser._actions if _key(action)}
    for key, value in table.items():
        where = f"{path}: {name}.{_named(key)}" if name else f"{path}: {_named(key)}"
        action = known.get(_plain(key))
        if action is None:
            raise BadInput(f"{where}: makemore {name} has no such option{_like(key, known)}")
        if _is_flag(action):
            if not isinstance(value, bool):
                raise BadInput(f"{where}: true or false, not {_shown(value)}")
            _set_flag(layer, action, value, where)
        elif isinstance(action, argparse._AppendAction):
            parts = value if isinstance(value, list) else [value]
            layer[action.dest, _key(action)] = [_from_toml(action, part, where) for part in parts], where
        else:
            layer[action.dest, _key(action)] = _from_toml(action, value, where), where


def _from_toml(action: argparse.Action, value: Any, where: str) -> Any:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    numeric = action.type not in (None, path_type)
    if not isinstance(value, str) and not (number and numeric):
        raise BadInput(f"{where}: {'a number or ' if numeric else ''}a text, not {_shown(value)}")
    return _checked(action, str(value), where)


def _checked(action: argparse.Action, text: str, where: str) -> Any:
    """The option's value of a text, by the option's own type and choices."""
    try:
        value = action.type(text) if callable(action.type) else text
    except argparse.ArgumentTypeError as error:
        raise BadInput(f"{where}: {error}") from None
    except (TypeError, ValueError):
        raise BadInput(f"{where}: {text[:40]!r} is no {getattr(action.type, '__name__', 'such value')}") from None
    if action.choices is not None and value not in action.choices:
        raise BadInput(f"{where}: {text[:40]!r} is not one of {', '.join(map(str, action.choices))}")
    return value


def _is_flag(action: argparse.Action) -> bool:
    return action.nargs == 0 or isinstance(action, argparse.BooleanOptionalAction)


def _set_flag(layer: Layer, action: argparse.Action, on: bool, where: str) -> None:
    if isinstance(action, argparse.BooleanOptionalAction):
        layer[action.dest, _key(action)] = on, where
    elif on:
        layer[action.dest, _key(action)] = action.const, where
    elif isinstance(action, (argparse._StoreTrueAction, argparse._StoreFalseAction)):
        layer[action.dest, _key(action)] = not action.const, where


def _flag(text: str, where: str) -> bool:
    if text.lower() not in (*TRUE, *FALSE, ""):
        raise BadInput(f"{where}: {text[:40]!r} is not one of {', '.join((*TRUE, *FALSE))}")
    return text.lower() in TRUE


def _named(key: str) -> str:
    """A key as a message has it: it may be any text."""
    return key if re.fullmatch(r"[\w-]{1,40}", key) else repr(key[:40])


def _plain(key: str) -> str:
    return key.replace("_", "-")


def _like(name: str, known: Any) -> str:
    close = difflib.get_close_matches(name, [str(k) for k in known], 1)
    return f"; is it {close[0]}?" if close else ""


def _shown(value: Any) -> str:
    kinds = {bool: str(value).lower(), dict: "a table", list: "a list", int: str(value)[:40], float: str(value)[:40]}
    return kinds.get(type(value), repr(str(value)[:40]))
