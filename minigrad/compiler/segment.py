"""A run of loops as the source of one compiled function."""

from __future__ import annotations

from typing import Any

import numpy as np

from .arrange import COMPARE
from .calls import Call, Local, Place
from .loops import BINARY, REDUCED, UNARY, Loop, Single, axes, calls_of, code

TYPES = {"f4": "f4", "f8": "f8", "i8": "i8", "b1": "b1", "i4": "i4", "u8": "u8"}
CHECKED = ("do", "getitem", "setitem", "expect")  # calls that ask themselves whether a check failed
IN_FLOAT32 = {"exp": "exp32", "tanh": "tanh32", "log": "log32"}
IN_FLOAT64 = {
    "exp": "math.exp", "tanh": "math.tanh", "log": "log64", "sqrt": "math.sqrt", "expm1": "math.expm1",
    "log1p": "math.log1p", "sin": "math.sin", "cos": "math.cos", "isfinite": "math.isfinite",
}  # fmt: skip


class Segment:
    """A run of loops as one compiled function."""

    def __init__(self, writer: Any, number: int, steps: list[Loop | Single]) -> None:
        self.writer, self.number, self.steps = writer, number, steps
        self.args: dict[str, Any] = {}  # by name: an array, or the value that a scalar had
        self.arrays: dict[Any, str] = {}
        self.head: list[str] = []
        self.body: list[str] = []
        self.made: list[Local] = []
        self.values: dict[Any, str] = {}
        self.count = 0
        calls = [call for step in steps for call in calls_of(step)]
        self.outside = any(call.changes for call in calls)
        self.lines = calls[0].line
        # Of each index: what is wrong where it is out of bounds, its line, and whether something was changed before.
        # Of a number that is not as expected the text is None.
        self.checks: list[tuple[str | None, Any, bool]] = []
        self.checked: list[tuple[Place, int]] = []  # indices that were looked at, and how many rows there are
        self.changed = False  # whether a loop before this one changes what was there before the step
        self.calls: list[Call] = []  # of the loop that is being written

    # ------------------------------------------------------------------------------ names

    def array(self, place: Place) -> str:
        """The name of a place's array in the function."""
        writer, memory, kind = self.writer, place.memory, code(place.dtype)
        n = int(np.prod(place.shape))
        kept = memory in writer.kept_offsets
        ours = place.dense and (kept or memory in writer.offsets)
        key = writer.key(place)
        if ours:  # by where it is: of two names for one place LLVM would only know that they may overlap
            offset = (writer.kept_offsets if kept else writer.offsets)[memory] + place.offset
            key = kept, offset, place.shape, kind
        if key in self.arrays:
            return self.arrays[key]
        name = f"v{len(self.arrays)}"
        self.arrays[key] = name
        if ours:
            block = f"{'kept' if kept else 'arena'}_{kind}"
            size = place.dtype.itemsize
            buffer = writer.kept if kept else writer.arena
            self.args.setdefault(block, buffer[: len(buffer) // size * size].view(place.dtype))
            start = offset // size
            self.head.append(f"{name} = {block}[{start}:{start + n}].reshape({place.shape})")
        else:
            outer = writer.name(place)
            self.args.setdefault(outer, writer.scope[outer])
            self.head.append(f"{name} = {outer}")
        return name

    def scalar(self, local: Local) -> str:
        if local in self.made:
            return f"s{local.number}"
        self.args.setdefault(f"s{local.number}", local.value)
        return f"s{local.number}"

    # ------------------------------------------------------------------------------ one loop

    def operand(self, x: Any, shape: tuple[int, ...], flat: bool, dtype: np.dtype) -> str:
        """An operand of a call, at the element the loop is at, in the dtype that the call computes in."""
        to = TYPES[code(dtype)]
        if type(x) is Place:
            value = next((v for key, v in self.values.items() if key[0] is x.memory), None)
            text = value if value is not None else self.element(x, shape, flat)
            return text if x.dtype == dtype else f"{to}({text})"
        if type(x) is Local:
            return f"{to}({self.scalar(x)})"
        x = x.item() if isinstance(x, np.generic) else x
        if isinstance(x, float) and not np.isfinite(x):
            return f"{to}({'math.nan' if x != x else 'math.inf' if x > 0 else '-math.inf'})"
        return f"{to}({x!r})"

    def element(self, place: Place, shape: tuple[int, ...], flat: bool) -> str:
        name = self.array(place)
        if not place.shape:
            return f"{name}[()]"
        if flat:
            if place.shape != shape:
                return f"{name}[{', '.join('0' for _ in place.shape)}]"
            return f"{name}_flat[i]"
        lead = len(shape) - len(place.shape)
        index = ["0" if n == 1 and shape[lead + d] != 1 else f"i{lead + d}" for d, n in enumerate(place.shape)]
        return f"{name}[{', '.join(index)}]"

    def loop(self, loop: Loop) -> None:
        shape = loop.shape
        reductions = {id(call): axes(call) for call in loop.calls if call.kind == "reduce"}
        rank = len(shape)
        whole = all(over == tuple(range(rank)) for over in reductions.values())
        places = [p for call in loop.calls if call.kind != "reduce" for p in call.places()]
        places += [call.args[0] for call in loop.calls if call.kind == "reduce"]
        flat = rank > 0 and whole and all(p.shape == shape or int(np.prod(p.shape)) == 1 for p in places)
        depth = 1 if flat else rank
        before: list[list[str]] = [[] for _ in range(depth + 1)]
        after: list[list[str]] = [[] for _ in range(depth + 1)]
        inner: list[str] = []
        self.values = {}
        self.calls = loop.calls
        flats = set()
        for call in loop.calls:
            if call.kind == "reduce":
                self.reduction(call, reductions[id(call)] or (), shape, flat, before, after, inner)
                continue
            name = f"t{self.count}"
            self.count += 1
            inner.append(f"{name} = {self.expression(call, shape, flat)}")
            self.values = {key: value for key, value in self.values.items() if key[0] is not call.out.memory}
            self.values[(call.out.memory, name)] = name
            if call.out.memory not in self.writer.registers:
                inner.append(f"{self.element(call.out, shape, flat)} = {name}")
        if flat:
            for place in places:
                if place.shape == shape and place.memory not in self.writer.registers:
                    flats.add(self.array(place))
            self.head += [
                line
                for line in (f"{name}_flat = {name}.reshape(-1)" for name in sorted(flats))
                if line not in self.head
            ]
        indent = ""
        lines = [*before[0]]
        for d in range(depth):
            n = int(np.prod(shape)) if flat else shape[d]
            lines.append(f"{indent}for i{'' if flat else d} in range({n}):")
            indent += "    "
            lines += [indent + text for text in before[d + 1]]
        lines += [indent + text for text in inner]
        for d in range(depth, 0, -1):
            lines += [indent + text for text in after[d]]
            indent = indent[4:]
        lines += after[0]
        self.body += lines

    def reduction(
        self, call: Call, over: tuple[int, ...], shape: tuple[int, ...], flat: bool, before: Any, after: Any, inner: Any
    ) -> None:
        source, out = call.args[0], call.out
        combine, start = REDUCED[call.function.__name__]
        to = TYPES[code(source.dtype)]
        start = 0 if source.dtype.kind == "u" else start
        first = f"{to}({'math.inf' if start == np.inf else '-math.inf' if start == -np.inf else start})"
        value = self.operand(source, shape, flat, source.dtype)
        rank = len(shape)
        trailing = over == tuple(range(rank - len(over), rank))
        if flat or trailing:
            name = f"a{self.count}"
            self.count += 1
            depth = 0 if flat else rank - len(over)
            before[depth].append(f"{name} = {first}")
            inner.append(f"{name} = {combine.format(name, value)}")
            if type(out) is Local:
                after[depth].append(f"s{out.number} = {name}")
                self.made.append(out)
            else:
                after[depth].append(f"{self._reduced(out, over, shape)} = {name}")
            return
        target = self._reduced(out, over, shape)
        before[0].append(f"{self.array(out)}[...] = {first}")
        inner.append(f"{target} = {combine.format(target, value)}")

    def _reduced(self, out: Place, over: tuple[int, ...], shape: tuple[int, ...]) -> str:
        """The element of a reduction's result that the element of the loop goes to."""
        name = self.array(out)
        if len(out.shape) == len(shape):
            index = ["0" if d in over else f"i{d}" for d in range(len(shape))]
        else:
            index = [f"i{d}" for d in range(len(shape)) if d not in over]
        return f"{name}[{', '.join(index) or '()'}]"

    def expression(self, call: Call, shape: tuple[int, ...], flat: bool) -> str:
        out = call.out.dtype
        to = TYPES[code(out)]
        if call.kind == "copy":
            return f"{to}({self.operand(call.args[0], shape, flat, call.args[0].dtype)})"
        if call.kind == "call":  # where
            condition = self.operand(call.args[0], shape, flat, np.dtype(bool))
            x, y = [self.operand(a, shape, flat, out) for a in call.args[1:]]
            return f"{x} if {condition} else {y}"
        name = call.function.__name__
        given = [x.dtype for x in call.args if type(x) is Place]
        dtype = out if out.kind != "b" else np.result_type(*given) if given else np.dtype(np.float64)
        narrow = all(d == np.float32 for d in given) and bool(given)
        args = call.args
        if name in IN_FLOAT32 and (narrow or (source := self.widened(call)) is not None):
            # The rule goes through float64 since numpy's own float32 is less exact; the kernels are exact enough.
            dtype = np.dtype(np.float32)
            args = args if narrow else (source,)
        operands = [self.operand(x, shape, flat, dtype) for x in args]
        if name in IN_FLOAT32 and dtype == np.float32:
            text = f"{IN_FLOAT32[name]}({operands[0]})"
        elif name in IN_FLOAT64:
            text = f"{IN_FLOAT64[name]}({operands[0]})" if name != "sqrt" else f"np.sqrt({operands[0]})"
        elif name in BINARY:
            text = BINARY[name].format(*operands)
        else:
            text = UNARY[name].format(*operands).replace("one /", f"{to}(1) /")
        return f"{to}({text})"

    def widened(self, call: Call) -> Any:
        """What was cast to float64 for this call alone, whose result is cast back at once; None if it is not so."""
        x, out = call.args[0], call.out
        if type(x) is not Place or x.memory not in self.writer.registers or out.memory not in self.writer.registers:
            return None
        made = [c for c in self.calls if type(c.out) is Place and c.out.memory is x.memory]
        used = [c for c in self.calls if c is not call and any(p.memory is out.memory for p in c.places())]
        if len(made) != 1 or made[0].kind != "copy" or made[0].args[0].dtype != np.float32:
            return None
        return made[0].args[0] if all(c.kind == "copy" and c.out.dtype == np.float32 for c in used) else None

    # ------------------------------------------------------------------------------ gathers and the like

    def single(self, call: Call) -> None:
        if call.kind == "expect":
            self.expect(call)
        elif call.function is np.matmul:
            self.product(call)
        elif call.kind == "fill":
            self.body.append(f"{self.array(call.out)}[...] = {self.operand(call.args[0], (), False, call.out.dtype)}")
        elif call.kind == "do":
            x, at, values = [self.array(p) for p in call.args]
            self.check(call, call.args[1], 0)
            self.unless_bad([
                f"for i in range({call.args[1].shape[0]}):",
                f"    j = {at}[i]",
                f"    if j < 0: j += {call.args[0].shape[0]}",
                f"    {x}[j] += {values}[i]",
            ])  # fmt: skip
        else:
            self.indexed(call)

    def check(self, call: Call, index: Place, axis: int) -> None:
        """Note the first index out of bounds: no element is read or written by it, and no later call changes anything.

        Without a return, with which LLVM makes slower code of the loops after it.
        """
        shape = call.args[0].shape
        if any(index.same(one) and n == shape[axis] for one, n in self.checked):
            return
        self.checked.append((index, shape[axis]))
        self.checks.append((
            f'f"indexing a Tensor of shape {shape}: index {{at}} is out of bounds for axis {axis} with size '
            f'{shape[axis]}"', call.line, self.changed,
        ))  # fmt: skip
        indent = ""
        for d, n in enumerate(index.shape):
            self.body.append(f"{indent}for i{d} in range({n}):")
            indent += "    "
        at = ", ".join(f"i{d}" for d in range(len(index.shape))) or "()"
        self.body += [
            f"{indent}j = i8({self.array(index)}[{at}])",
            f"{indent}if bad == 0 and (j < {-shape[axis]} or j >= {shape[axis]}):",
            f"{indent}    bad, at = {len(self.checks)}, j",
        ]

    def expect(self, call: Call) -> None:
        """The step went its way by this comparison: another outcome needs another one."""
        number, limit, expected = call.args
        self.checks.append((None, call.line, self.changed))
        test = f"{self.scalar(number)} {COMPARE[call.function]} {TYPES[code(number.value.dtype)]}({limit})"
        self.body.append(f"if bad == 0 and {'not ' if expected else ''}({test}): bad = {len(self.checks)}")

    def unless_bad(self, lines: list[str]) -> None:
        self.body += ["if bad == 0:", *("    " + line for line in lines)]

    def indexed(self, call: Call) -> None:
        """x[i, j, ...] read into, or written from, another array."""
        x, index = call.args[:2]
        other = call.out if call.kind == "getitem" else call.args[2]
        index = index if type(index) is tuple else (index,)
        rank = len(index[0].shape)
        lines, indent = [], ""
        for k, place in enumerate(index):
            self.check(call, place, k)
        for d in range(rank):
            lines.append(f"{indent}for i{d} in range({index[0].shape[d]}):")
            indent += "    "
        at = ", ".join(f"i{d}" for d in range(rank)) or "()"
        names = []
        for k, place in enumerate(index):
            lines += [f"{indent}j{k} = {self.array(place)}[{at}]", f"{indent}if j{k} < 0: j{k} += {x.shape[k]}"]
            names.append(f"j{k}")
        rest = [f"r{d}" for d in range(len(x.shape) - len(index))]
        for d, name in enumerate(rest):
            lines.append(f"{indent}for {name} in range({x.shape[len(index) + d]}):")
            indent += "    "
        there = f"{self.array(x)}[{', '.join([*names, *rest])}]"
        here = f"{self.array(other)}[{', '.join([*(f'i{d}' for d in range(rank)), *rest]) or '()'}]"
        lines.append(f"{indent}{here} = {there}" if call.kind == "getitem" else f"{indent}{there} = {here}")
        self.unless_bad(lines)

    # ------------------------------------------------------------------------------ matrix products

    def product(self, call: Call) -> None:
        out = call.out
        (m, k), n = call.args[0].shape[-2:], call.args[1].shape[-1]
        stack = out.shape[:-2]
        number, self.count = self.count, self.count + 1
        lines, indent = [], ""
        for d, size in enumerate(stack):
            lines.append(f"{indent}for i{d} in range({size}):")
            indent += "    "
        names = [f"m{number}_{i}" for i in range(3)]
        for name, place in zip(names, (*call.args, out), strict=True):
            lines.append(f"{indent}{name} = {self.matrix(place, stack)}")
        a, b, made = names
        if n > 1 and call.args[1].strides[-1] != out.dtype.itemsize:  # a tile reads whole rows of b
            self.head.append(f"r{number} = np.empty(({k}, {n}), {TYPES[code(out.dtype)]})")
            if min(k, n) >= 8 and call.args[1].strides[-2] == out.dtype.itemsize:
                lines += [
                    f"{indent}for j in range(0, {n}, 8):",
                    f"{indent}    for p in range(0, {k}, 8):",
                    f"{indent}        turn({b}.T, r{number}, min(j, {n - 8}), min(p, {k - 8}))",
                ]
            else:
                lines += [f"{indent}for p in range({k}):", f"{indent}    for j in range({n}):"]
                lines.append(f"{indent}        r{number}[p, j] = {b}[p, j]")
            b = f"r{number}"
        width = 64 // out.dtype.itemsize  # two vectors of AVX2: with them, and 4 rows, all sums have a register
        while width > n:
            width //= 2
        height = min(m, 4)
        lines += [
            # The last tile is moved back to end where the matrix does, over what is there already.
            f"{indent}for j in range(0, {n}, {width}):",
            f"{indent}    for i in range(0, {m}, {height}):",
            f"{indent}        top, left = min(i, {m - height}), min(j, {n - width})",
            f"{indent}        tile({a}, {b}, {made}, top, left, {k}, {height}, {width})",
        ]
        self.body += lines

    def matrix(self, place: Place, stack: tuple[int, ...]) -> str:
        """The matrix of a stack that the loops are at."""
        turned = not place.dense and place.transposed.dense
        text = self.array(place.transposed if turned else place)
        lead = len(stack) - (len(place.shape) - 2)
        index = [f"i{lead + d}" if n > 1 else "0" for d, n in enumerate(place.shape[:-2])]
        text += f"[{', '.join(index)}]" if index else ""
        return f"{text}.T" if turned else text

    # ------------------------------------------------------------------------------ the function

    def source(self) -> str:
        for step in self.steps:
            calls = calls_of(step)
            changes = any(call.changes for call in calls)
            before = len(self.body)
            if isinstance(step, Loop):
                self.loop(step)
            else:
                self.single(step.call)
            # What outlives the step stays as it is where a check failed; gather and scatter ask that themselves.
            lasting = changes or any(x in self.writer.kept_offsets for call in calls for x in call.written)
            if self.checks and lasting and not (isinstance(step, Single) and step.call.kind in CHECKED):
                lines = self.body[before:]
                del self.body[before:]
                self.unless_bad(lines)
            self.changed = self.changed or changes
            written = {x for call in calls for x in call.written}
            self.checked = [(index, n) for index, n in self.checked if index.memory not in written]
        made = self.results()
        results = (["bad", "at"] if self.checks else []) + [f"s{local.number}" for local in made]
        self.hand_over()
        # Each operation is rounded by itself and in the step's order, as numpy's are; only plus() sums in any order.
        lines = ['@numba.njit(cache=True, error_model="numpy")']
        lines.append(f"def segment{self.number}({', '.join(self.args)}):")
        if self.checks:
            lines.append("    bad, at = 0, i8(0)")
            lines += [f"    s{local.number} = {TYPES[code(local.value.dtype)]}(0)" for local in made]
        lines += ["    " + line for line in self.head + self.body]
        lines.append(f"    return {', '.join(results) or 'None'}")
        return "\n".join(lines)

    def hand_over(self) -> None:
        """Give the arrays that stay where they are by their addresses, in one array: each argument takes time."""
        stay = {
            name: x for name, x in self.args.items()
            if isinstance(x, np.ndarray) and x.ndim and x.flags.c_contiguous and x.flags.aligned
        }  # fmt: skip
        if not stay:
            return
        for name in stay:
            self.writer.scope.setdefault(name, self.args.pop(name))  # where it is held
        self.head[:0] = [
            f"{name} = carray(pointer(table[{i}]), {x.shape}, {TYPES[code(x.dtype)]})"
            for i, (name, x) in enumerate(stay.items())
        ]
        table = np.array([x.ctypes.data for x in stay.values()], np.int64)
        self.args = {"table": table, **self.args}
        self.writer.scope[f"table{self.number}"] = table

    def results(self) -> list[Local]:
        """The numbers that others than these loops use."""
        return [local for local in self.made if local not in self.writer.within]

    def statements(self, changed: bool) -> list[tuple[str, Any]]:
        """The call, and what becomes of its results, each with its line of the step.

        changed: whether an earlier call changes what was there before the step, so that it cannot run eagerly where an
        index is out of bounds.
        """
        call = f"segment{self.number}({', '.join(map(self._argument, self.args))})"
        made = self.results()
        results = (["bad", "at"] if self.checks else []) + [f"s{local.number}" for local in made]
        lines = [(f"{', '.join(results)} = {call}" if results else call, self.lines)]
        late = [k for k, (text, _, after) in enumerate(self.checks, 1) if text is not None and (after or changed)]
        for k in late:
            text, line, _ = self.checks[k - 1]
            lines.append((f"if bad == {k}: raise IndexError({text})", line))
        if len(late) < len(self.checks):
            lines.append(("if bad: raise Different", self.lines))
        for local in made:  # numba gives Python numbers
            if local in self.writer.compared:
                continue
            kind = self.writer.constant(type(local.value), type(local.value).__name__)
            lines.append((f"s{local.number} = {kind}(s{local.number})", self.lines))
        return lines

    def _argument(self, name: str) -> str:
        """The name of an argument in the replay."""
        return f"table{self.number}" if name == "table" else name
