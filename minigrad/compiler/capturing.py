"""Capturing a step: run it on traced arrays, see what it did to the state around it, and lay out a replay."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from weakref import ref

from .. import dtypes
from ..graph import Engine
from ..modes import _recording
from ..optim.lr_scheduler import LRScheduler
from ..optim.optimizer import Optimizer
from ..tensor import Tensor
from .calls import Memory, may_stop_after, root
from .capture import Capture
from .replay import Captured
from .results import Outputs, Unfit
from .state import Guard, changes, owned
from .structure import Structure
from .traced import Traced, concrete, give_back, plain
from .walk import Code, Reached, reach
from .watching import Watch

SMALL = 65_536  # bytes of a numpy array that is compared before each replay
# Where a traced array was put in place of one: the Tensor, and that array. And of each Tensor its gradient of before,
# with its memory. All weakly, so that zero_grad() frees them as it would without a capture.
Swapped = list[tuple[ref[Tensor], ref[Traced]]]
Grads = dict[Tensor, tuple[ref[Tensor], Memory] | None]


def look(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Code, str | None]:
    """Run the step as it is, only watched: (its result, the code that ran, why it cannot be captured or None)."""
    reasons: list[str] = []
    with Watch(lambda reason, frame: reasons.append(f"it {_at(reason, frame)}")) as watch:
        result = function(*args, **kwargs)
    code = Code()
    code.add(watch.codes, watch.dynamic)
    return result, code, reasons[0] if reasons else None


def capture_run(
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    code: Code,
    fullgraph: bool,
    backend: str,
) -> tuple[Any, Captured | None, str | None]:
    """Run the step and capture it: (its result, the captured run or None, why not or None).

    The result and all that the step changes are the eager ones, captured or not.
    """
    structure = Structure(args, kwargs)
    if structure.reason:
        return function(*args, **kwargs), None, structure.reason
    capture = Capture(fullgraph)
    left: list[Any] = []
    try:
        result, captured = _followed(function, args, kwargs, code, backend, structure, capture, left)
    finally:
        give_back([x for ref in left if (x := ref()) is not None] + capture.numbers)
    if captured is not None:
        captured.settled()
    return result, captured, capture.reason


def _followed(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], code: Code, backend: str,
    structure: Structure, capture: Capture, left: list[Any],
) -> tuple[Any, Captured | None]:  # fmt: skip
    """The run itself; into *left* go references to the traced arrays that outlived it."""
    roots = [(function, getattr(function, "__qualname__", "step")), *structure.objects]
    before = reach(roots, code)
    grads: Grads = dict.fromkeys(before.tensors)
    held = [(array, path, array.tobytes()) for array, path in before.arrays if array.nbytes <= SMALL]
    swapped: Swapped = []
    watch = Watch(lambda reason, frame: capture.refuse(f"it {_at(reason, frame)}"))
    try:
        _swap(capture, before, grads, swapped)
        _lend(capture, before)
        given_args, given_kwargs = structure.enter(capture, args, kwargs)
        Engine.capture = capture
        with watch:
            result = function(*given_args, **given_kwargs)
    finally:
        Engine.capture = None
        capture.leave()
        memories = _restore(swapped)
        structure.leave()
        survivors = concrete(left)
    captured = None
    if capture.reason is None:
        new = sorted(c.co_name for c in watch.codes - code.codes)
        try:
            if new:
                raise Unfit(f"other code ran than in the run before: {', '.join(new[:5])}")
            if not structure.fits(args, kwargs):
                raise Unfit("it changes a list or dict that it is given")
            for array, path, was in held:
                if array.tobytes() != was:
                    raise Unfit(f"it changes the numpy array {path}")
            if any(memory.changed() for memory in capture.constants):
                raise Unfit("it changes an array that it made itself, unseen, after it used it")
            code.add(set(), watch.dynamic)
            after = reach(roots, code)
            captured = finish(capture, structure, before, grads, after, result, memories, survivors, backend)
        except Unfit as unfit:
            capture.reason = str(unfit)
        except Exception as error:  # the step itself is done, and its result good
            capture.reason = f"it could not be laid out for replays: {type(error).__name__}: {error}"
    code.add(watch.codes, watch.dynamic)
    return plain(result), captured


def finish(
    capture: Capture, structure: Structure, before: Reached, grads: Grads, after: Reached,
    result: Any, memories: dict[int, Memory], survivors: dict[int, Any], backend: str,
) -> Captured:  # fmt: skip
    """The captured run, if a replay can stand for it; or Unfit, saying why not."""
    if structure.written(capture):
        raise Unfit("it changes one of its arguments in place")
    for thing, path in after.opaque:
        raise Unfit(f"it uses {path}, a {type(thing).__name__}, whose state cannot be seen")
    different = changes(before, after, capture.handled)
    if different:
        raise Unfit(f"it changes Python state: {'; '.join(different[:3])}")
    captured = Captured(structure)
    outputs = Outputs(before, survivors)
    for tensor, path in after.tensors.items():
        if tensor not in before.tensors:
            raise Unfit(f"it puts a new Tensor in {path}")
        if tensor._node is not None:
            raise Unfit(f"it goes on from {path}, a Tensor of a graph made before it: detach() that")
        gradient, old = tensor._grad, grads[tensor]
        if gradient is None:
            if old is not None:
                captured.cleared.append(tensor)
            continue
        if old is not None and gradient is old[0]():
            continue
        captured.gradients.append((tensor, gradient, outputs.gradient(gradient, path)))
    captured.result = outputs.template(result)
    outputs.check_strangers()
    for array, path in after.arrays:
        if array.nbytes > SMALL and (array.flags.writeable or root(array).flags.writeable):
            raise Unfit(
                f"it uses the numpy array {path} of shape {array.shape}, whose values could change unseen: make it a "
                f"Tensor, or read-only with {path}.flags.writeable = False"
            )
    own = {place.memory for place, keep in zip(outputs.values, outputs.kept, strict=True) if keep}
    if may_stop_after(capture.calls, own):  # the gradients of the last run stay what they are then
        outputs.kept = [False] * len(outputs.kept)
    if backend == "numba":
        from .numba_backend import build
    else:
        from .plan import build
    captured.plan = build(capture, structure.places, outputs.values, outputs.kept)
    for _, gradient, i in captured.gradients:
        memory = captured.plan.kept[i]
        if memory is not None:
            memory[...] = gradient.array
            gradient.array = memory
    written = {memory for call in captured.plan.calls for memory in call.writes if memory.kind == "external"}
    for tensor in before.tensors:
        if memories.get(id(tensor)) in written:
            captured.written.append(tensor)
    used = {place.memory: place.value for call in captured.plan.calls for place in call.places()}
    structure.apart_from([root(used[memory]) for memory in written])
    captured.guard = _guard(after, grads, capture, used, memories)
    return captured


def _swap(capture: Capture, before: Reached, grads: Grads, swapped: Swapped) -> None:
    """Put traced arrays into the Tensors that the step can reach, and into their gradients, which go into *grads*."""
    for array, _ in before.arrays:
        if array.dtype.kind in "fiub" and array.dtype in dtypes.SUPPORTED:
            capture.enter(array, "external")
    for tensor in before.tensors:
        for x in (tensor, tensor._grad):
            if x is not None and type(x.array) is not Traced:  # or it was reached before
                x.array = capture.enter(x._shared(), "external")
                swapped.append((ref(x), ref(x.array)))
        if tensor._grad is not None:
            grads[tensor] = ref(tensor._grad), tensor._grad.array.place.memory


def _lend(capture: Capture, before: Reached) -> None:
    """What a step's optimizers and schedules read and count: each replay works it out."""
    for thing in before.things.values():
        if isinstance(thing, Optimizer):
            for group in thing.param_groups:
                capture.lend(group, "lr")
            for state in thing.state.values():
                capture.lend(state, "step")
        elif isinstance(thing, LRScheduler):
            capture.lend(vars(thing), "last_epoch")
            capture.lend(vars(thing), "_last_lr")


def _restore(swapped: Swapped) -> dict[int, Memory]:
    """Put the arrays back; returns each Tensor's memory by its id, where its array is still the same."""
    memories = {}
    for alive, was in swapped:
        tensor, traced = alive(), was()
        if tensor is not None and traced is not None and tensor.array is traced:
            memories[id(tensor)] = traced.place.memory
            tensor.array = traced.value
    return memories


def _guard(
    after: Reached, grads: Grads, capture: Capture, used: dict[Memory, Any], memories: dict[int, Memory]
) -> Guard:
    own = owned(after, capture.handled)
    entries = [e for e in after.entries if id(e) not in own]
    more: list[tuple[str, dict[str, Any]]] = [
        ("{mode}.get() is {value}", {"mode": _recording, "value": _recording.get()}),
        ("{dtypes}._default is {value}", {"dtypes": dtypes, "value": dtypes._default}),
    ]
    for read, kind in capture.types:
        more.append(("type({read}()) is {kind}", {"read": read, "kind": kind}))
    for tensor in after.tensors:
        if memories.get(id(tensor)) in used:
            more.append(("{t}.array is {a}", {"t": tensor, "a": tensor.array}))
        else:
            looks = f"{{t}}.array.shape == {tensor.array.shape!r} and {{t}}.array.dtype is {{d}}"
            more.append((looks, {"t": tensor, "d": tensor.array.dtype}))
        more.append(("{t}._requires_grad is {r}", {"t": tensor, "r": tensor._requires_grad}))
        more.append(("{t}._node is {n}", {"t": tensor, "n": tensor._node}))
        if tensor._requires_grad and not (tensor._extra and tensor._extra.hooks):
            more.append(("({t}._extra is None or not {t}._extra.hooks)", {"t": tensor}))
        old = grads[tensor]
        if old is None:
            more.append(("{t}._grad is None", {"t": tensor}))
        elif old[1] in used:
            gradient = old[0]()
            if gradient is None:
                raise Unfit("it uses a gradient of before it and then puts another in its place")
            more.append(("{t}._grad is {g} and {g}.array is {a}", {"t": tensor, "g": gradient, "a": gradient.array}))
        else:
            more.append(("{t}._grad is not None", {"t": tensor}))
    for array, _ in after.arrays:
        looks = f"{{a}}.shape == {array.shape!r} and {{a}}.strides == {array.strides!r} and {{a}}.dtype is {{d}}"
        more.append((looks, {"a": array, "d": array.dtype}))
        if array.nbytes <= SMALL and (array.flags.writeable or root(array).flags.writeable):
            more.append(("{a}.tobytes() == {b}", {"a": array, "b": array.tobytes()}))
    return Guard(entries, more)


def _at(reason: str, frame: Any) -> str:
    return f"{reason} ({Path(frame.f_code.co_filename).name}:{frame.f_lineno}, in {frame.f_code.co_name})"
