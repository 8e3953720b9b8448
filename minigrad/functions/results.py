"""What functions with two results return: named tuples that print as torch's do."""

from __future__ import annotations

from collections import namedtuple
from typing import Any


def _result(name: str, base: Any) -> Any:
    """A named tuple for the results of torch's function of that name. Source: torch.return_types."""
    fields = base._fields

    def show(self: Any) -> str:
        return f"torch.return_types.{name}(\n" + ",\n".join(f"{f}={getattr(self, f)!r}" for f in fields) + ")"

    body = {"__slots__": (), "__repr__": show, "__module__": __name__, "__doc__": f"{', '.join(fields)} of {name}()."}
    return type(name, (base,), body)


_Picked = namedtuple("_Picked", "values indices")
max = _result("max", _Picked)
min = _result("min", _Picked)
median = _result("median", _Picked)
sort = _result("sort", _Picked)
topk = _result("topk", _Picked)
histogram = _result("histogram", namedtuple("histogram", "hist bin_edges"))
