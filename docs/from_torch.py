"""Writes docs/from-torch.md: which of torch's names are here, which are left out, what is not the same.

`make from-torch`. The table is minigrad/names.py; what is there is found by looking, in torch and in minigrad.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

import minigrad
from minigrad import names

PAGE = Path(__file__).with_name("from-torch.md")

TOP = """# From torch to minigrad

Code that works through a lecture on torch changes two lines:

```python
import minigrad as torch
import minigrad.nn.functional as F
```

Names, defaults, argument names, shapes, dtypes and classes of errors are torch's; `axis` and `keepdims` work beside
`dim` and `keepdim`. The random numbers are torch's for the same seed. A name that is not here raises an AttributeError
that says so and, where there is one, what to use.

This page is made from the table in `minigrad/names.py` and from what the two libraries have: `make from-torch`.
"""

SPACES = {
    "torch": (torch, minigrad),
    "torch.Tensor": (torch.Tensor, minigrad.Tensor),
    "torch.nn": (torch.nn, minigrad.nn),
    "torch.nn.functional": (torch.nn.functional, minigrad.nn.functional),
    "torch.nn.init": (torch.nn.init, minigrad.nn.init),
    "torch.nn.utils": (torch.nn.utils, minigrad.nn.utils),
    "torch.optim": (torch.optim, minigrad.optim),
    "torch.optim.lr_scheduler": (torch.optim.lr_scheduler, minigrad.optim.lr_scheduler),
    "torch.utils.data": (torch.utils.data, minigrad.utils.data),
    "torch.autograd": (torch.autograd, minigrad.autograd),
}


def public(space: Any) -> set[str]:
    """The names that someone would call: no modules that were merely imported, no typing helpers."""
    listed = set(getattr(space, "__all__", ())) or set(dir(space))
    found = set()
    for name in listed - {"annotations", "Tensor"} if space is not torch else listed:
        value = inspect.getattr_static(space, name, None)
        if name.startswith("_") or isinstance(value, types.ModuleType):
            continue
        if str(getattr(value, "__module__", "")).split(".")[0] not in ("typing", "typing_extensions", "collections"):
            found.add(name)
    return found


def here(space: Any, name: str) -> bool:
    """Whether minigrad has the name, as an attribute or as another spelling; its own modules do not count."""
    return not isinstance(getattr(space, name, types), types.ModuleType)


def code(found: Iterable[str]) -> str:
    """Names in alphabetical order, as code."""
    return ", ".join(f"`{name}`" for name in sorted(found, key=lambda name: (name.lower(), name))) or "none"


def page() -> str:
    """The page's text."""
    parts = [TOP, "\n## What is the same\n"]
    for title, (theirs, ours) in SPACES.items():
        both = {name for name in public(theirs) if here(ours, name)}
        parts.append(f"\n**{title}** ({len(both)}): {code(both)}\n")
    parts.append("\nOther spellings: ")
    parts.append(
        ", ".join(f"`{a}` is `{b}`" for a, b in sorted((names.ALIASES | names.FUNCTION_ALIASES).items())) + ".\n"
    )
    parts.append("\n## What is not the same\n\n")
    parts += [f"- {what} {how}.\n" for what, how in names.DIFFERENT]
    parts.append(
        "\n## What is left out, and what to use\n\nminigrad stays small: what a few words say in other names is\n"
    )
    parts.append("not there, nor what needs complex or half-precision numbers, other devices or several processes.\n\n")
    parts.append("| torch | use |\n|---|---|\n")
    parts += [f"| `{name}` | {text.replace('|', chr(92) + '|')} |\n" for name, text in sorted(names.INSTEAD.items())]
    return "".join(parts)


def main() -> None:
    PAGE.write_text(page())
    print(f"wrote {PAGE}")


if __name__ == "__main__":
    main()
