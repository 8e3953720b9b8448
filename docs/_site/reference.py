"""The directives {public}: all public names of a module by autodoc, {others}: those left, {methods}: Tensor's."""

from __future__ import annotations

import importlib
import inspect
from typing import Any

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

OURS = ("minigrad", "viz", "models", "export")


def public(module: Any) -> list[tuple[str, Any]]:
    """The functions and classes that a module offers: its `__all__`, or what it defines or gives on as `x as x`."""
    listed = getattr(module, "__all__", None)
    names = listed or [name for name in vars(module) if not name.startswith("_")]
    given_on = set() if listed else offered(module)
    found = []
    for name in names:
        value = getattr(module, name)
        home = str(getattr(value, "__module__", ""))
        if inspect.ismodule(value) or not callable(value) or home.split(".")[0] not in OURS:
            continue
        if listed or home == module.__name__ or name in given_on:
            found.append((name, value))
    return found


def offered(module: Any) -> set[str]:
    """Names imported as `x as x` (or under a public name of their own), which says that they are meant for others."""
    import ast

    tree = ast.parse(inspect.getsource(module))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    return {alias.asname for node in imports for alias in node.names if alias.asname}


class Public(SphinxDirective):
    """{public} module: its names in the order of its source; of `minigrad`, under the file that defines them.

    Option `from`: only names that this module (or one below it) defines.
    """

    required_arguments, has_content = 1, False
    option_spec = {"from": str, "except": str}

    def run(self) -> list[nodes.Node]:
        module = importlib.import_module(self.arguments[0])
        within, without = self.options.get("from"), self.options.get("except", "").split()
        found = []
        for name, value in public(module):
            home = value.__module__
            if name in without or (within and not (home == within or home.startswith(within + "."))):
                continue
            found.append((name, value))
        if not found:
            raise self.error(f"{self.arguments[0]} offers nothing from {within}")
        return self.entries(module, found)

    def entries(self, module: Any, found: list[tuple[str, Any]]) -> list[nodes.Node]:
        """Each by autodoc."""
        lines = ["```{eval-rst}"]
        for name, value in found:
            self.env.temp_data.setdefault("public shown", set()).add(name)
            kind = "class" if inspect.isclass(value) else "function"
            if kind == "class" and issubclass(value, BaseException):
                kind = "exception"
            lines.append(f".. auto{kind}:: {module.__name__}.{name}")
            if kind == "class":
                members = [key for key in vars(value) if own(key, value)]
                lines += [f"   :members: {', '.join(members)}"] if members else []
            lines.append("")
        return self.parse_text_to_nodes("\n".join([*lines, "```"]))


def own(key: str, value: Any) -> bool:
    """Whether this is a public function, method or property with a docstring that the class itself writes down."""
    thing = inspect.getattr_static(value, key)
    if isinstance(thing, (classmethod, staticmethod)):
        thing = thing.__func__
    if isinstance(thing, property):
        thing = thing.fget
    documented = bool(getattr(thing, "__doc__", None))
    return not key.startswith("_") and documented and getattr(thing, "__module__", None) == value.__module__


class Others(Public):
    """{others} module: the names that no {public} above on the page has shown.

    Option `except`: names that another page shows.
    """

    def run(self) -> list[nodes.Node]:
        module = importlib.import_module(self.arguments[0])
        shown = self.env.temp_data.get("public shown", set()) | set(self.options.get("except", "").split())
        left = [(name, value) for name, value in public(module) if name not in shown]
        return self.entries(module, left)


class Methods(SphinxDirective):
    """{methods} module.Class: a table of what others give to the class, with the first sentence of each."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        module, name = self.arguments[0].rsplit(".", 1)
        cls = getattr(importlib.import_module(module), name)
        lines = ["| method | what it does |", "|---|---|"]
        for key in sorted(key for key in dir(cls) if not key.startswith("_") and not own(key, cls)):
            thing = inspect.getattr_static(cls, key)
            said = inspect.getdoc(thing) or ""
            first = said.split("\n\n")[0].replace("\n", " ").split(" Source:")[0]
            lines.append(f"| `{key}` | {first.translate(SIGNS)} |")
        return self.parse_text_to_nodes("\n".join(lines))


SIGNS = str.maketrans({sign: "\\" + sign for sign in "\\*`|_<[#"})


def setup(app: Any) -> dict[str, Any]:
    """Tell Sphinx."""
    app.add_directive("public", Public)
    app.add_directive("others", Others)
    app.add_directive("methods", Methods)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
