"""torch's CPU random stream on numpy: the same numbers for the same seed, call by call.

Everything is drawn from one mt19937 (Matsumoto & Nishimura 1998, "Mersenne Twister: a 623-dimensionally
equidistributed uniform pseudo-random number generator", ACM TOMACS 8(1)), which numpy has too. What is
torch's own is how those 32-bit draws become numbers: each method below says how, and how many it takes.
Held against torch 2.13; the API is https://docs.pytorch.org/docs/stable/generated/torch.Generator.html.

All results are plain numpy arrays; the functions that make Tensors of them are in creation.py.
"""

from __future__ import annotations

import math
import operator
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad.devices import device as cpu_device
from minigrad.graph import Engine
from minigrad.rounding import affine, box_muller, fma, libm
from minigrad.ties import top

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, DTypeLike, NDArray

Shape = int | Sequence[int]

_WORDS = 624  # of mt19937's state; it makes that many draws at a time
_PART = 65_536  # normals made at a time, a multiple of 16
_SEED = 67280421310721  # torch's default_rng_seed_val

# torch's CPUGeneratorImplState, byte for byte, so that a state can travel between the two.
_STATE = np.dtype(
    {
        "names": ["seed", "left", "seeded", "next", "words", "normal", "has_normal"],
        "formats": ["<u8", "<i4", "<i4", "<u8", ("<u8", _WORDS), "<f8", "<i4"],
        "offsets": [0, 8, 12, 16, 24, 5024, 5040],
        "itemsize": 5056,
    }
)


class Generator:
    """A stream of random numbers: torch.Generator("cpu"), on numpy.

    A new one is seeded with 67280421310721, as in torch. It is for one thread at a time: where torch takes a
    lock on every draw, two threads drawing at once here may be given the same numbers.
    """

    def __init__(self, device: object = "cpu") -> None:
        self.device = cpu_device(device)  # refuses any other
        self.manual_seed(_SEED)

    # ---- seed and state ----

    def manual_seed(self, seed: int) -> Generator:
        """Start the stream of `seed`, -2**63 .. 2**64 - 1 (a negative one counts from 2**64); returns self.

        As in torch only the low 32 bits reach mt19937. ValueError outside the range, RuntimeError for what
        is no integer.
        """
        try:
            value = operator.index(seed)
        except TypeError:
            value = None
        if value is None or isinstance(seed, bool):
            raise RuntimeError(f"manual_seed expected an int, but got {type(seed).__name__} {seed!r}")
        if not -(2**63) <= value < 2**64:
            raise ValueError(f"manual_seed expected a seed in [-2**63, 2**64), but got {value}")
        self._initial_seed = value % 2**64
        self._twister: Any = None  # numpy's generator, see _mt
        self._block = np.empty(0, np.uint32)  # the draws of the present state, and how many are used up
        self._used = 0
        self._next_normal: float | None = None  # the second of a Box-Muller pair
        return self

    @property
    def _mt(self) -> Any:
        """numpy's mt19937 at the seed, made when it is first needed: numpy.random is a third of `import minigrad`."""
        if self._twister is None:
            self._twister = np.random.MT19937(0)
            # RandomState's seed() is the init_genrand of the paper
            np.random.RandomState(self._twister).seed(self._initial_seed & 0xFFFFFFFF)
        return self._twister

    def seed(self) -> int:
        """Seed from the operating system's entropy and return that seed."""
        self.manual_seed(int.from_bytes(os.urandom(8), "little"))
        return self._initial_seed

    def initial_seed(self) -> int:
        """The seed last set, in 0 .. 2**64 - 1."""
        return self._initial_seed

    def get_state(self) -> NDArray[np.uint8]:
        """All of the state, uint8 (5056,), in the layout of torch's Generator.get_state()."""
        state = np.zeros((), _STATE)
        state["seed"] = self._initial_seed
        state["seeded"] = 1
        state["left"] = len(self._block) - self._used + 1
        state["next"] = self._used
        state["words"] = self._mt.state["state"]["key"]
        state["has_normal"] = self._next_normal is not None
        state["normal"] = self._next_normal or 0.0
        return state.reshape(1).view(np.uint8)

    def set_state(self, state: ArrayLike) -> Generator:
        """Go on from a get_state(), minigrad's or torch's. TypeError, RuntimeError for what cannot be one."""
        raw = np.asarray(state)
        if raw.dtype != np.uint8:
            raise TypeError(f"RNG state must be a uint8 array, got {type(state).__name__} of {raw.dtype}")
        if raw.size != _STATE.itemsize:
            raise RuntimeError(f"RNG state must be {_STATE.itemsize} bytes, got {raw.size}")
        new = np.ascontiguousarray(raw).reshape(-1).view(_STATE)[0]
        left, used = int(new["left"]), int(new["next"])
        fresh = left == 1 and used == 0  # seeded and nothing drawn
        if new["seeded"] != 1 or not (fresh or (used >= 1 and used + left == _WORDS + 1 and left >= 1)):
            raise RuntimeError(f"Invalid mt19937 state: seeded={new['seeded']}, left={left}, next={used}")
        key = new["words"].astype(np.uint32)
        # At position 0 numpy tempers the words it was given; at 624 it makes new ones first.
        position = _WORDS if fresh else 0
        self._mt.state = {"bit_generator": "MT19937", "state": {"key": key, "pos": position}}
        self._block = np.empty(0, np.uint32) if fresh else self._next_block()
        self._used = used
        self._initial_seed = int(new["seed"])
        self._next_normal = float(new["normal"]) if new["has_normal"] else None
        return self

    def clone_state(self) -> Generator:
        """A new Generator that will give the same numbers."""
        return Generator(self.device).set_state(self.get_state())

    def __reduce__(self) -> tuple[Any, ...]:  # pickle, copy and deepcopy: the state alone
        return _from_state, (self.get_state(),)

    # ---- the raw stream ----

    def random_uint32(self, n: int) -> NDArray[np.uint32]:
        """The next n raw draws of mt19937, uint32 (n,)."""
        return self._draw(n).copy()

    def _next_block(self, blocks: int = 1) -> NDArray[np.uint32]:
        return self._mt.random_raw(blocks * _WORDS).astype(np.uint32)

    def _draw(self, n: int) -> NDArray[np.uint32]:
        """n raw draws, maybe a view of the block: not to be written to.

        numpy's generator moves by whole blocks of 624, the size of its state, and a block is used up here.
        So a small draw is a slice, and the state is always numpy's words and our place in the block.
        """
        if Engine.capture is not None:
            Engine.capture.escape("draws random numbers")
        start, end = self._used, self._used + n
        if end <= len(self._block):
            self._used = end
            return self._block[start:end]
        head = self._block[start:]
        whole, self._used = divmod(n - len(head) - 1, _WORDS)
        self._used += 1  # 1 .. 624 of the last block
        middle = self._next_block(whole)
        self._block = self._next_block()
        return np.concatenate([head, middle, self._block[: self._used]])

    def _uniform(self, n: int, dtype: np.dtype) -> NDArray[Any]:
        """[0, 1): 24 bits of one draw for float32, 53 bits of two (high word first) for float64."""
        if dtype == np.float32:
            return (self._draw(n) & 0xFFFFFF).astype(np.float32) * np.float32(2**-24)
        pairs = self._draw(2 * n).reshape(n, 2)
        return ((pairs[:, 0] & 0x1FFFFF) * 2.0**32 + pairs[:, 1]) * 2.0**-53

    # ---- distributions ----

    def rand(self, shape: Shape, dtype: DTypeLike = np.float32) -> NDArray[Any]:
        """Uniform on [0, 1), of `shape`; 1 draw a float32, 2 a float64."""
        shape, dtype = _shape(shape), _real("rand", dtype)
        return self._uniform(math.prod(shape), dtype).reshape(shape)

    def uniform(self, low: float, high: float, shape: Shape, dtype: DTypeLike = np.float32) -> NDArray[Any]:
        """Uniform on [low, high), of `shape`: x * (high - low) + low in one rounding; draws as rand.

        RuntimeError where low > high, or where one of them or their difference is no finite `dtype`.
        """
        shape, dtype = _shape(shape), _real("uniform", dtype)
        with np.errstate(over="ignore"):
            lo, hi = dtype.type(low), dtype.type(high)
            width = hi - lo
        if not (np.isfinite(lo) and np.isfinite(hi) and low <= high and np.isfinite(width)):
            raise RuntimeError(f"uniform expects a finite [low, high) with low <= high, got [{low}, {high})")
        x = fma(self._uniform(math.prod(shape), dtype), float(width), float(lo)).reshape(shape)
        return np.where(x == hi, lo, x)  # the sum may have been rounded up to high

    def randint(self, low: int, high: int, shape: Shape, dtype: DTypeLike = np.int64) -> NDArray[Any]:
        """Integers of [low, high), of `shape`: a draw modulo high - low.

        1 draw each, and 2 (high word first) from a range of 2**28 on; older torch began that at 2**32.
        RuntimeError where low >= high or `dtype` cannot hold the range; ValueError outside int64.
        """
        # A batch's indices, at once: the checks below would take longer than the draw.
        plain = dtype is np.int64 and low == 0 and type(high) is int and 0 < high < 2**28
        if plain and type(shape) is tuple and len(shape) == 1 and type(n := shape[0]) is int and n >= 0:
            return (self._draw(n) % np.uint32(high)).astype(np.int64)
        shape, dtype = _shape(shape), np.dtype(dtype)
        low, high = operator.index(low), operator.index(high)
        if low < -(2**63) or high >= 2**63:
            raise ValueError(f"randint expects low and high in int64, got low={low}, high={high}")
        if low >= high:
            raise RuntimeError(f"random_ expects 'from' to be less than 'to', but got {low} >= {high}")
        if dtype != np.int64 and dtype.kind in "iub":
            least, most = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
            if low < least or high - 1 > most:
                raise RuntimeError(f"randint: [{low}, {high}) is out of bounds for {dtype}")
        n = math.prod(shape)
        if high - low < 2**28:
            x = (self._draw(n) % np.uint32(high - low)).astype(np.int64)
        else:
            pairs = self._draw(2 * n).reshape(n, 2).astype(np.uint64)
            x = ((pairs[:, 0] << np.uint64(32) | pairs[:, 1]) % np.uint64(high - low)).view(np.int64)
        if low:
            x += low  # wraps as torch's does where x was past int64
        return x.reshape(shape).astype(dtype, copy=False)

    def randperm(self, n: int) -> NDArray[np.int64]:
        """A permutation of 0 .. n - 1, int64 (n,), by Fisher and Yates from the front; n - 1 draws.

        RuntimeError for n < 0; NotImplementedError from 214748364 on, where torch takes another algorithm.
        """
        (n,) = _shape(operator.index(n))
        if n >= (2**32 - 1) // 20:
            raise NotImplementedError(f"randperm is for n < {(2**32 - 1) // 20}, got {n}")
        at = np.arange(max(n - 1, 0))
        other = at + self._draw(len(at)) % (n - at)
        x = list(range(n))
        for i, j in enumerate(other.tolist()):  # on a list: an array would be slower by far
            x[i], x[j] = x[j], x[i]
        return np.array(x, np.int64)

    def normal(
        self, shape: Shape, dtype: DTypeLike = np.float32, mean: float = 0.0, std: float = 1.0,
        *, contiguous: bool = True,
    ) -> NDArray[Any]:  # fmt: skip
        """Normal numbers of `shape`, by Box and Muller (1958), in one of torch's two ways.

        16 and more: a uniform each, which make normals 16 by 16; if the size is no multiple of 16, the last
        16 are drawn anew. Fewer, or for memory that is not contiguous: pairs of float64 uniforms, the second
        normal of a pair kept for the next such call, whatever its dtype. RuntimeError for std < 0.
        """
        shape, dtype = _shape(shape), _real("normal", dtype)
        if not std >= 0:
            raise RuntimeError(f"normal expects std >= 0.0, but found std {std}")
        n = math.prod(shape)
        if n < 16 or not contiguous:
            x = affine(self._normal_pairs(n), std, mean).astype(dtype)
        else:
            x = np.empty(n, dtype)
            parts = [x[start : start + _PART] for start in range(0, n, _PART)]  # a large one needs no memory beside it
            for part in parts:
                part[...] = self._uniform(len(part), dtype)
                box_muller(part[: len(part) - len(part) % 16])
            if n % 16:
                x[-16:] = self._uniform(16, dtype)
                box_muller(x[-16:])
            for part in parts:
                part[...] = affine(part, float(dtype.type(std)), float(dtype.type(mean)))
        return x.reshape(shape)

    def _normal_pairs(self, n: int) -> NDArray[np.float64]:
        out = []
        if n and self._next_normal is not None:
            out.append(self._next_normal)
            self._next_normal = None
        u = self._uniform(n - len(out) + (n - len(out)) % 2, np.dtype(np.float64)).tolist()
        for v, w in zip(u[::2], u[1::2], strict=True):
            radius, theta = math.sqrt(-2.0 * math.log1p(-w)), 2.0 * math.pi * v
            out += [radius * math.cos(theta), radius * math.sin(theta)]
        if len(out) > n:
            self._next_normal = out.pop()
        return np.array(out, np.float64)

    def exponential(self, shape: Shape, dtype: DTypeLike = np.float32, lambd: float = 1.0) -> NDArray[Any]:
        """-log(1 - u) / lambd, of `shape`; u is float64 whatever the dtype, so 2 draws each.

        RuntimeError for lambd <= 0.
        """
        shape, dtype = _shape(shape), _real("exponential", dtype)
        if not lambd > 0:
            raise RuntimeError(f"exponential_ expects lambda > 0.0, but found lambda={lambd}")
        u = self._uniform(math.prod(shape), np.dtype(np.float64))
        # numpy's log1p may be off by the last bit of a float64, which a float32 does not see.
        log = libm(math.log1p, -u) if dtype == np.float64 else np.log1p(-u)
        return (-1.0 / lambd * log).astype(dtype).reshape(shape)

    def bernoulli(
        self, p: float | NDArray[Any], shape: Shape = (), dtype: DTypeLike | None = None
    ) -> NDArray[Any]:
        """1 with probability p, else 0.

        For an array p of floats: its shape and, if none is given, its dtype; draws as rand of p's dtype.
        For a number p: `shape` and float32, 2 draws each. RuntimeError for p outside [0, 1].
        """
        real = np.dtype(np.float64)
        if isinstance(p, np.ndarray):
            shape, real = p.shape, _real("bernoulli", p.dtype)
            dtype = dtype or real
        shape = _shape(shape)
        if not np.all((np.asarray(p) >= 0) & (np.asarray(p) <= 1)):
            raise RuntimeError(f"bernoulli expects p to be in [0, 1], but got p={p}")
        u = self._uniform(math.prod(shape), real).reshape(shape)
        return (u < p).astype(dtype or np.float32)

    def multinomial(
        self, probs: NDArray[Any], num_samples: int, replacement: bool = False
    ) -> NDArray[np.int64]:
        """Categories drawn with weights probs (k,) or (rows, k): int64 (num_samples,) or (rows, num_samples).

        The weights need not sum to 1. Without replacement, or for one sample: the largest of probs / q, with
        q exponential; among equal quotients (all are 0 once the positive weights are used up) torch's choice.
        With it: a float64 uniform looked up in the running sum of the weights.
        RuntimeError for weights that are negative, infinite, nan or sum to 0, and for too many or too few
        samples.
        """
        if probs.ndim not in (1, 2):
            raise RuntimeError(f"prob_dist must be 1 or 2 dim, got shape {probs.shape}")
        if probs.dtype.kind != "f":
            raise RuntimeError(f"multinomial only supports floating-point dtypes, got: {probs.dtype}")
        dtype, k = _real("multinomial", probs.dtype), probs.shape[-1]
        if num_samples <= 0:
            raise RuntimeError(f"cannot sample n_sample <= 0 samples, got {num_samples}")
        if not replacement and num_samples > k:
            raise RuntimeError(f"cannot sample n_sample > prob_dist.size(-1) samples without replacement: "
                               f"{num_samples} > {k}")  # fmt: skip
        if k > 2**24:
            raise RuntimeError(f"number of categories cannot exceed 2^24, got {k}")
        if probs.size and not (probs.min() >= 0 and probs.max() < np.inf):  # nan fails both
            raise RuntimeError(f"probability tensor contains either `inf`, `nan` or element < 0: "
                               f"smallest {probs.min()}, largest {probs.max()}")  # fmt: skip
        rows = probs.reshape(-1, k) if k else probs.reshape(math.prod(probs.shape[:-1]), 0)
        if not rows.any(axis=1).all():
            row = int(rows.any(axis=1).argmin())
            raise RuntimeError(f"invalid multinomial distribution (sum of probabilities <= 0) in row {row}")
        out = np.empty((len(rows), num_samples), np.int64)
        if num_samples == 1 or not replacement:
            with np.errstate(divide="ignore", over="ignore", invalid="ignore"):  # q may be 0, as in torch
                race = rows / self.exponential(rows.shape, dtype)
            if num_samples == 1:
                race.argmax(axis=1, keepdims=True, out=out)
            else:
                out[:] = top(race, num_samples)
        else:
            u = self._uniform(out.size, np.dtype(np.float64)).reshape(out.shape)
            below = np.cumsum(rows, axis=1, dtype=dtype)
            below /= below[:, -1:].copy()
            below[:, -1] = 1
            for i in range(len(rows)):
                out[i] = below[i].astype(np.float64).searchsorted(u[i])
        return out.reshape(*probs.shape[:-1], num_samples)


def _from_state(state: NDArray[np.uint8]) -> Generator:
    return Generator().set_state(state)


def _shape(shape: Shape) -> tuple[int, ...]:
    out = (shape,) if isinstance(shape, int) else tuple(shape)
    if out and min(out) < 0:
        raise RuntimeError(f"Trying to create tensor with negative dimension {min(out)}: {list(out)}")
    return out


def _real(what: str, dtype: DTypeLike) -> np.dtype:
    out = np.dtype(dtype)
    if out not in (np.float32, np.float64):
        raise NotImplementedError(f"{what} is for float32 and float64, not implemented for {out}")
    return out


# ---- the global generator ----

default_generator = Generator()
default_generator.seed()  # torch's is unpredictable too until it is seeded


def manual_seed(seed: int) -> Generator:
    """Seed the global generator with int(seed), and return it. See Generator.manual_seed."""
    return default_generator.manual_seed(int(seed))


def seed() -> int:
    """Seed the global generator from the operating system's entropy; returns the seed."""
    return default_generator.seed()


def initial_seed() -> int:
    """The seed last set on the global generator."""
    return default_generator.initial_seed()


def get_rng_state() -> NDArray[np.uint8]:
    """The global generator's state, uint8 (5056,)."""
    return default_generator.get_state()


def set_rng_state(new_state: ArrayLike) -> None:
    """Set the global generator's state."""
    default_generator.set_state(new_state)
