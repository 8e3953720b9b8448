"""Wrong rules made from right ones: each mutant is a rule or a helper of the rules with one simple mistake in it.

A mutant is made from the function's syntax tree and put in its place by exchanging the function's code in the running
process: nothing is written to disk, and every name that leads to the function leads to the mutant.
"""

import ast
import builtins
import copy
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from types import CodeType, FunctionType
from typing import Any

import numpy as np

from minigrad import autograd, graph, ops
from minigrad.ops import shape

Path = tuple[tuple[str, int | None], ...]


@dataclass(frozen=True, eq=False)
class Subject:
    """A function to be mutated: a rule's gradient, or what gradients call."""

    name: str  # as in Mul.dx, or kept
    function: FunctionType
    op: type[ops.Op] | None = None
    only: tuple[str, ...] = ()  # only the expressions that read so, where the rest is not about gradients
    tree: ast.FunctionDef = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "tree", _tree(self.function))


@dataclass(frozen=True, eq=False)
class Mutant:
    """One mistake: its kind, the functions concerned, and the code that each gets."""

    kind: str
    what: str  # before -> after
    subject: Subject
    codes: dict[FunctionType, CodeType]

    def __str__(self) -> str:
        return f"{self.subject.name}: {self.what}"


# ---------------------------------------------------------------------------------------------- what is mutated

# Forwards that only gradients call (the others' values are what the suite compares first), and the engine's part
# in a gradient: undoing broadcasting, choosing, what was kept as Tensors again, adding up. Messages are left alone.
MORE = [
    (ops.SumTo.forward, ops.SumTo, ()),
    (ops.Place.forward, ops.Place, ()),
    (ops.ScatterIndex.forward, ops.ScatterIndex, ()),
    (shape.Parts.__add__, None, ()),
    (shape.Parts.gradients, None, ()),
    (graph._fit, None, tuple(f"return SumTo.{how}(gradient, shape=shape)" for how in ("forward", "apply"))),
    (graph._chosen, None, ("[gradients[i] for i in node.plan.positions]",)),
    (autograd.lift, None, ()),
    (autograd._linked, None, ()),
    (graph.walk, None, ("held + gradient", "flight[root] + gradient", "gradient.astype(parent.dtype)")),
]

# Gradients that nothing broadcasts: what is written into x has its shape, or the slope is 0.
IN_SHAPE = {"IndexAdd.dx", "SetItem.dx", "PutFlat.dx", "PutFlat.dv", "DivRound.dx", "DivRound.dy"}


@cache
def subjects() -> tuple[Subject, ...]:
    """The gradients of all ops, the functions of minigrad.ops that they call, and MORE."""
    found: dict[FunctionType, Subject] = {}
    for op in ops.ALL.values():
        for name, function in vars(op).items():
            if isinstance(function, staticmethod) and (name == "backward" or _is_gradient(op, name)):
                found[function.__func__] = Subject(f"{op.__name__}.{name}", function.__func__, op)
    for function, op, only in MORE:
        found[function] = Subject(function.__qualname__.lstrip("_"), function, op, only)
    todo = list(found)
    while todo:
        function = todo.pop()
        for name in _names(function.__code__):
            called = function.__globals__.get(name)
            if (
                isinstance(called, FunctionType)
                and called.__module__.startswith("minigrad.ops.")
                and called.__module__ != "minigrad.ops.total"  # a forward's sum, which tests/ops/test_total.py holds
                and called not in found
            ):
                found[called] = Subject(called.__name__, called)
                todo.append(called)
    return tuple(found.values())


def _is_gradient(op: type[ops.Op], name: str) -> bool:
    """Whether the name is d<input>."""
    code = op.forward.__code__
    return name[:1] == "d" and name[1:] in code.co_varnames[: code.co_argcount]


def _names(code: CodeType) -> set[str]:
    """The names that a function's code looks up, those of its comprehensions too."""
    found = set(code.co_names)
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            found |= _names(inner)
    return found


@cache
def _module(file: str) -> ast.Module:
    with open(file, encoding="utf-8") as source:
        return ast.parse(source.read(), file)


def _tree(function: FunctionType) -> ast.FunctionDef:
    """The function's syntax tree, out of its file."""
    file, line = inspect.getsourcefile(function) or "", function.__code__.co_firstlineno
    for node in ast.walk(_module(file)):
        if isinstance(node, ast.FunctionDef) and node.name == function.__name__ and node.lineno == line:
            return node
    raise LookupError(f"{function.__qualname__} is not found in {file}: was the file changed since it was imported?")


# ------------------------------------------------------------------------------------------------------ mutants


@cache
def mutants() -> tuple[Mutant, ...]:
    """All mutants; no two have the same code."""
    return tuple(mutant for subject in subjects() for mutant in of(subject))


def of(subject: Subject) -> list[Mutant]:
    """The mutants of one function. A text that occurs twice is told apart by its number."""
    found, seen, times = [], {ast.dump(_bare(subject.tree))}, {}
    for kind, what, tree in _changes(subject):
        bare = ast.dump(_bare(tree))
        if bare in seen:
            continue
        seen.add(bare)
        times[what] = times.get(what, 0) + 1
        what = what if times[what] == 1 else f"{what} ({times[what]})"
        found.append(Mutant(kind, what, subject, {subject.function: compiled(tree, subject.function)}))
    return found + [swapped for swapped in _swapped(subject)]


def compiled(tree: ast.FunctionDef, function: FunctionType) -> CodeType:
    """The code of a changed tree, to stand for function's."""
    module = ast.fix_missing_locations(ast.Module([tree], []))
    code = compile(module, function.__code__.co_filename, "exec", dont_inherit=True)
    return next(c for c in code.co_consts if isinstance(c, CodeType) and c.co_name == function.__name__)


def _bare(tree: ast.FunctionDef) -> ast.FunctionDef:
    """Without the annotations and defaults, which are never evaluated again: only the code is exchanged."""
    tree = copy.deepcopy(tree)
    for arg in [*tree.args.args, *tree.args.kwonlyargs]:
        arg.annotation = None
    tree.returns, tree.args.defaults, tree.args.kw_defaults = None, [], [None] * len(tree.args.kwonlyargs)
    return tree


def _changes(subject: Subject) -> Iterator[tuple[str, str, ast.FunctionDef]]:
    """(kind, before -> after, the changed tree) for each mistake in one function."""
    bare = _bare(subject.tree)
    taken = [arg.arg for arg in bare.args.args]
    values = _values(subject, taken)
    for path, node, around in _walk(bare):
        if subject.only and not any(
            isinstance(n, (ast.expr, ast.Return)) and ast.unparse(n) in subject.only for n in (node, *around)
        ):
            continue
        for kind, new in [*_expression(node, around, values), *_statement(node, subject.op is not None)]:
            text = ast.unparse(node) if not isinstance(node, ast.If) else f"if {ast.unparse(node.test)}"
            after = "gone" if isinstance(new, ast.Pass) else ast.unparse(new)
            if isinstance(node, ast.If) and isinstance(new, ast.If):
                after = f"if {ast.unparse(new.test)}"
            yield kind, f"{text} -> {after}", _put(bare, path, new)
    if subject.op is None or subject.only or subject.function is subject.op.forward:
        return
    inputs = _inputs(subject.op)
    outs = [taken[0][1:]] if taken else []
    if len(inputs) > 1 and subject.tree.name != "backward" and subject.name not in IN_SHAPE:
        shape = f"{subject.tree.name[1:]}_shape"
        for kind, helper in (("sum for unbroadcast", _whole_sum), ("unbroadcast missing", _first_only)):
            tree = copy.deepcopy(bare)
            if shape not in taken:
                tree.args.args.append(ast.arg(shape))
            for path, node, _ in _walk(tree):
                if isinstance(node, ast.Return) and node.value is not None:
                    tree = _put(tree, (*path, ("value", None)), _call(helper, node.value, ast.Name(shape, ast.Load())))
            yield kind, f"{helper.__name__.strip('_')} in place of unbroadcasting", tree
    for name in taken[1:]:
        for other in [*inputs, *outs]:
            if name in [*inputs, *outs] and other not in taken:
                yield "another value kept", f"{name} -> {other}", _renamed(bare, name, other)


def _values(subject: Subject, taken: list[str]) -> list[str]:
    """The parameters that a second derivative goes through: inputs, the output and what forward hands on."""
    op = subject.op
    if op is None:
        return [name for name in taken[:1] if name in ("x", "y", "dm")]
    if subject.function is op.forward:
        return []
    return [name for name in taken[1:] if name in [*_inputs(op), taken[0][1:], *op.keeps] and not op.constant_extras]


def _inputs(op: type[ops.Op]) -> list[str]:
    code = op.forward.__code__
    return list(code.co_varnames[: code.co_argcount])


def _renamed(tree: ast.FunctionDef, name: str, other: str) -> ast.FunctionDef:
    tree = copy.deepcopy(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id == name:
            node.id = other
        elif isinstance(node, ast.arg) and node.arg == name:
            node.arg = other
    return tree


def _swapped(subject: Subject) -> list[Mutant]:
    """One input's gradient exchanged with a later one's."""
    op, name = subject.op, subject.tree.name
    if op is None or not _is_gradient(op, name):
        return []
    found, inputs = [], _inputs(op)
    for other in inputs[inputs.index(name[1:]) + 1 :]:
        partner = getattr(op, f"d{other}", None)
        if partner is None:
            continue
        trees = [_bare(_tree(f)) for f in (subject.function, partner)]
        if len({ast.dump(ast.Module([ast.arguments([], t.args.args), *t.body], [])) for t in trees}) == 2:
            codes = {subject.function: partner.__code__, partner: subject.function.__code__}
            found.append(Mutant("gradients swapped", f"d{other} in its place, and it in d{other}'s", subject, codes))
    return found


def _walk(tree: Any, path: Path = (), around: tuple[Any, ...] = ()) -> Iterator[tuple[Path, Any, tuple[Any, ...]]]:
    """Every node with its path and what stands around it; without docstrings, parameters, and what raises errors."""
    for name, value in ast.iter_fields(tree):
        if name in ("args", "annotation", "op", "ops", "ctx") and not isinstance(tree, ast.Call):
            continue
        if isinstance(tree, ast.keyword) and tree.arg == "strict":  # it only checks
            continue
        for i, node in enumerate(value if isinstance(value, list) else [value]):
            if not isinstance(node, ast.AST) or isinstance(node, ast.Raise) or _is_docstring(node):
                continue
            if ast.unparse(node) == "-1" and any(_calls(n, "reshape") for n in (*around, tree)):
                continue  # any negative number says the same there
            if isinstance(node, ast.If) and all(isinstance(line, ast.Raise) for line in node.body):
                continue
            here = (*path, (name, i if isinstance(value, list) else None))
            yield here, node, (*around, tree)
            yield from _walk(node, here, (*around, tree))


def _calls(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == name


def _is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _put(tree: ast.FunctionDef, path: Path, new: ast.AST) -> ast.FunctionDef:
    """A copy of the tree with another node at the path."""
    tree = copy.deepcopy(tree)
    parent: Any = tree
    for name, i in path[:-1]:
        parent = getattr(parent, name) if i is None else getattr(parent, name)[i]
    name, i = path[-1]
    if i is None:
        setattr(parent, name, new)
    else:
        getattr(parent, name)[i] = new
    return tree


# ------------------------------------------------------------------------------------------------- the mistakes

SWAPPED: dict[type[ast.operator], tuple[str, type[ast.operator]]] = {
    ast.Add: ("+ for -", ast.Sub),
    ast.Sub: ("+ for -", ast.Add),
    ast.Mult: ("* for /", ast.Div),
    ast.Div: ("* for /", ast.Mult),
    ast.FloorDiv: ("* for /", ast.Div),
    ast.Pow: ("* for /", ast.Mult),
    ast.BitAnd: ("condition", ast.BitOr),
    ast.BitOr: ("condition", ast.BitAnd),
}
COMPARED: dict[type[ast.cmpop], list[type[ast.cmpop]]] = {
    ast.Lt: [ast.LtE, ast.Gt],
    ast.LtE: [ast.Lt, ast.GtE],
    ast.Gt: [ast.GtE, ast.Lt],
    ast.GtE: [ast.Gt, ast.LtE],
    ast.Eq: [ast.NotEq],
    ast.NotEq: [ast.Eq],
    ast.Is: [ast.IsNot],
    ast.IsNot: [ast.Is],
    ast.In: [ast.NotIn],
    ast.NotIn: [ast.In],
}
TRANSPOSES = ("swapaxes", "transpose", "flip", "roll")
# Without these calls nothing would run: such a mistake proves nothing.
NEEDED = (
    *("zeros", "zeros_like", "ones", "eye", "arange", "empty", "asarray", "ascontiguousarray", "prod", "at"),
    *("append", "get", "items", "gradients", "split"),
)
# What an argument called strict does is check; and of another dtype a gradient is cast to its input's.
IDLE = ("strict", "dtype")


def _expression(node: Any, around: tuple[Any, ...], values: list[str]) -> Iterator[tuple[str, ast.expr]]:
    """The mistakes that can be made in one expression: (kind, the wrong one)."""
    match node:
        case ast.BinOp(left, op, right):
            if type(op) in SWAPPED:
                kind, other = SWAPPED[type(op)]
                yield kind, ast.BinOp(left, other(), right)
            if isinstance(op, (ast.Mult, ast.Div, ast.Pow, ast.FloorDiv)):
                yield "factor dropped", left
            if isinstance(op, ast.Mult):
                yield "factor dropped", right
            if isinstance(op, (ast.Add, ast.Sub)):
                yield "term dropped", left
                yield "term dropped", right if isinstance(op, ast.Add) else ast.UnaryOp(ast.USub(), right)
            if isinstance(op, (ast.BitAnd, ast.BitOr)):
                yield "condition", left
                yield "condition", right
        case ast.UnaryOp(ast.USub(), operand):
            yield "sign flipped", operand
        case ast.UnaryOp(ast.Not(), operand):
            yield "condition", operand
        case ast.Constant(bool() as value):
            keepdim = isinstance(around[-1], ast.keyword) and around[-1].arg in ("keepdim", "keepdims")
            yield "keepdim" if keepdim else "constant", ast.Constant(not value)
        case ast.Constant(int() | float() as value):
            yield "constant", ast.Constant(value + 1)
            if value > 1:
                yield "constant", ast.Constant(value / 2 if isinstance(value, float) else value - 1)
        case ast.Compare(left, [op], right):
            for comparison in COMPARED[type(op)]:
                yield "comparison", ast.Compare(left, [comparison()], right)
        case ast.BoolOp(op, values):
            yield "condition", ast.BoolOp(ast.Or() if isinstance(op, ast.And) else ast.And(), values)
            for i in range(len(values)):
                rest = values[:i] + values[i + 1 :]
                yield "condition", rest[0] if len(rest) == 1 else ast.BoolOp(op, rest)
        case ast.IfExp(_, body, orelse):
            yield "branch", body
            yield "branch", orelse
        case ast.Call():
            yield from _called(node)
        case ast.Attribute(value, "T" | "mT"):
            yield "transpose dropped", value
        case ast.Subscript(value, _, ast.Load()) if not ast.unparse(value).endswith("shape"):
            yield "index dropped", value
        case ast.Name("dim", ast.Load()) if any(isinstance(n, ast.Call) for n in around):
            yield "dim", ast.Constant(None)
            yield "dim", ast.Constant(0)
        case ast.Name(name, ast.Load()) if name in values and not _decides(around, node):
            yield "link to the graph dropped", _call(_constant, node)


def _called(node: ast.Call) -> Iterator[tuple[str, ast.expr]]:
    """The mistakes that can be made in a call: not made, an argument left out, the branches of where exchanged."""
    of = node.func.value if isinstance(node.func, ast.Attribute) else None
    name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
    if name == "where" and len(node.args) == 3:
        c, a, b = node.args
        yield "branch", a
        yield "branch", b
        yield "branch", ast.Call(node.func, [c, b, a], [])
        return
    kind = "transpose dropped" if name in TRANSPOSES else "call dropped"
    if name in NEEDED or (of is None and isinstance(node.func, ast.Name) and hasattr(builtins, node.func.id)):
        pass
    elif of is not None and not (isinstance(of, ast.Name) and (of.id in ("np", "math") or hasattr(ops, of.id))):
        yield kind, of  # x.swapaxes(0, 1) -> x
    elif node.args and not isinstance(node.args[0], (ast.Starred, ast.GeneratorExp)):
        yield kind, node.args[0]  # np.flip(x, dim) -> x
    for i, keyword in enumerate(node.keywords):
        if keyword.arg not in IDLE:
            yield "argument dropped", ast.Call(node.func, node.args, node.keywords[:i] + node.keywords[i + 1 :])
    if len(node.args) > 1 and not ast.unparse(node.args[-1]).endswith("dtype"):
        yield "argument dropped", ast.Call(node.func, node.args[:-1], node.keywords)


def _statement(node: Any, rule: bool) -> Iterator[tuple[str, ast.stmt]]:
    """The mistakes that can be made in one statement."""
    match node:
        case ast.Return(ast.Tuple(elements)):
            for i, element in enumerate(elements):
                yield "sign flipped", _tuple(elements, i, ast.UnaryOp(ast.USub(), element))
                yield "gradient left out", _tuple(elements, i, ast.Constant(None))
                yield "counted twice", _tuple(elements, i, ast.BinOp(element, ast.Mult(), ast.Constant(2)))
                if i:
                    others = [*elements[: i - 1], element, elements[i - 1], *elements[i + 1 :]]
                    yield "gradients swapped", ast.Return(ast.Tuple(others, ast.Load()))
        case ast.Return(ast.List() | ast.ListComp() | ast.Name("gradients") as value):
            back = ast.Slice(step=ast.UnaryOp(ast.USub(), ast.Constant(1)))
            yield "gradients swapped", ast.Return(ast.Subscript(value, back, ast.Load()))
            yield "sign flipped", ast.Return(_call(_negated, value))
        case ast.Return(ast.expr() as value):
            if not ast.unparse(value).startswith("np.zeros"):
                yield "sign flipped", ast.Return(ast.UnaryOp(ast.USub(), value))
                if rule:
                    yield "counted twice", ast.Return(ast.BinOp(value, ast.Mult(), ast.Constant(2)))
            if rule:
                yield "gradient left out", ast.Return(ast.Constant(None))
        case ast.If(test, body, orelse):
            yield "condition", ast.If(ast.UnaryOp(ast.Not(), test), body, orelse)
            if not orelse:
                yield "branch", ast.Pass()
        case ast.AugAssign(target, op, value):
            yield "statement dropped", ast.Pass()
            kind, other = SWAPPED[type(op)]
            yield kind, ast.AugAssign(target, other(), value)
        case ast.Assign([ast.Subscript()], _) | ast.Expr() | ast.Continue():
            yield "statement dropped", ast.Pass()


def _tuple(elements: list[ast.expr], i: int, new: ast.expr) -> ast.Return:
    return ast.Return(ast.Tuple([*elements[:i], new, *elements[i + 1 :]], ast.Load()))


def _decides(around: tuple[Any, ...], node: ast.AST) -> bool:
    """Whether a value that stands there only decides or tells its shape: no gradient goes through it."""
    for n in around:
        if isinstance(n, (ast.If, ast.IfExp)):
            deciding: Any = n.test
        elif isinstance(n, ast.Call) and ast.unparse(n.func) in ("np.where", "Sign.apply"):
            deciding = n.args[0]
        elif (
            isinstance(n, ast.Compare)
            or (isinstance(n, ast.BinOp) and isinstance(n.op, ast.FloorDiv))
            or (isinstance(n, ast.Attribute) and n.attr in ("shape", "dtype", "size"))
            or (isinstance(n, ast.Assign) and isinstance(n.targets[0], ast.Subscript))  # of an array: not recorded
        ):
            return True
        else:
            continue
        if any(inner is node for inner in ast.walk(deciding)):
            return True
    return False


# -------------------------------------------------------------------------- what the wrong rules call, and how


def _call(helper: Callable[..., Any], *args: ast.expr) -> ast.Call:
    return ast.Call(ast.Name(NAMES[helper], ast.Load()), list(args), [])


def _constant(x: Any) -> Any:
    """x as if nothing led to it."""
    return x.detach() if hasattr(x, "detach") else x


def _negated(gradients: Any) -> Any:
    return [None if g is None else -g for g in gradients]


def _whole_sum(gradient: Any, shape: tuple[int, ...]) -> Any:
    """The sum of all of a gradient, where its sum over the broadcast dimensions is right."""
    return gradient if gradient.shape == shape else np.broadcast_to(np.sum(gradient), shape)


def _first_only(gradient: Any, shape: tuple[int, ...]) -> Any:
    """The first of the broadcast elements in place of their sum."""
    lead = len(gradient.shape) - len(shape)
    if gradient.shape == shape or 0 in gradient.shape:
        return gradient
    gradient = gradient[(0,) * lead]
    return gradient[tuple([slice(0, n) for n in shape])] if shape else gradient


NAMES = {f: f"mutant{f.__name__}" for f in (_constant, _negated, _whole_sum, _first_only)}


@contextmanager
def applied(mutant: Mutant) -> Iterator[None]:
    """The mutant in place of the rule, for as long as the block runs."""
    with _exchanged(mutant.codes, {name: helper for helper, name in NAMES.items()}):
        yield


@contextmanager
def observed(ran: set[Subject]) -> Iterator[None]:
    """Each subject that runs within the block is added to the set."""
    changed = {}
    for i, subject in enumerate(subjects()):
        tree = _bare(subject.tree)
        tree.body.insert(0, ast.parse(f"mutant_ran({i})").body[0])
        changed[subject.function] = compiled(tree, subject.function)
    with _exchanged(changed, {"mutant_ran": lambda i: ran.add(subjects()[i])}):
        yield


@contextmanager
def _exchanged(changed: dict[FunctionType, CodeType], helpers: dict[str, Any]) -> Iterator[None]:
    """These functions with this code, for as long as the block runs; ops read their signatures anew."""
    before = {function: function.__code__ for function in changed}
    try:
        for function, code in changed.items():
            function.__globals__.update(helpers)
            function.__code__ = code
        _forget_plans()
        yield
    finally:
        for function, code in before.items():
            function.__code__ = code
            for name in helpers:
                function.__globals__.pop(name, None)
        _forget_plans()


def _forget_plans() -> None:
    """Ops compile their signatures once; after a change they must do so again."""
    for op in ops.ALL.values():
        op._plans, op._rule = {}, None
