"""What functions with two results return: named tuples that print as torch's do."""

from __future__ import annotations

from collections import namedtuple
from typing import Any


def _result(name: str, *fields: str) -> Any:
    """A named tuple for the results of torch's function of that name. Source: torch.return_types."""

    def show(self: Any) -> str:
        return f"torch.return_types.{name}(\n" + ",\n".join(f"{f}={getattr(self, f)!r}" for f in fields) + ")"

    body = {"__slots__": (), "__repr__": show, "__module__": __name__, "__doc__": f"{', '.join(fields)} of {name}()."}
    return type(name, (namedtuple(name, fields),), body)


max = _result("max", "values", "indices")
min = _result("min", "values", "indices")
median = _result("median", "values", "indices")
sort = _result("sort", "values", "indices")
topk = _result("topk", "values", "indices")
histogram = _result("histogram", "hist", "bin_edges")
