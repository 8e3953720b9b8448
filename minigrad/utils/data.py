"""Datasets, samplers and the DataLoader, in this process; batches come in torch's order for the same seed.

Source: https://docs.pytorch.org/docs/stable/data.html
"""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import GenericAlias
from typing import Any

import numpy as np

from .. import creation, random as _random
from ..dtypes import int64
from ..functions.shape import stack
from ..tensor import Tensor


class Dataset:
    """Base: a subclass has __getitem__(index) and __len__(); with __getitems__(indices) it gives a batch's at once."""

    __class_getitem__: Any = classmethod(GenericAlias)  # Dataset[int] says what an item is

    def __getitem__(self, index: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} needs __getitem__(index)")


class TensorDataset(Dataset):
    """Row i is (tensor[i] of each Tensor); AssertionError unless all have as many rows, TypeError for other things."""

    def __init__(self, *tensors: Tensor) -> None:
        for t in tensors:
            if not isinstance(t, Tensor):
                raise TypeError(f"TensorDataset takes Tensors, got {type(t).__name__}: make it one with tensor()")
        if not tensors or any(not t.ndim or len(t) != len(tensors[0]) for t in tensors):
            shapes = ", ".join(str(t.array.shape) for t in tensors)
            raise AssertionError(f"TensorDataset needs Tensors of as many rows each, got shapes {shapes or 'of none'}")
        self.tensors = tensors

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        return tuple([t[index] for t in self.tensors])

    def __len__(self) -> int:
        return len(self.tensors[0])


class Subset(Dataset):
    """The rows of a dataset at these indices."""

    def __init__(self, dataset: Any, indices: Sequence[int]) -> None:
        self.dataset, self.indices = dataset, indices

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, list):
            return self.dataset[[self.indices[i] for i in index]]
        return self.dataset[self.indices[index]]

    def __getitems__(self, indices: list[int]) -> list[Any]:
        return _items(self.dataset, [self.indices[i] for i in indices])

    def __len__(self) -> int:
        return len(self.indices)


def _items(dataset: Any, indices: list[int]) -> list[Any]:
    """The dataset's items at these indices."""
    at_once = getattr(dataset, "__getitems__", None)
    return at_once(indices) if at_once is not None else [dataset[i] for i in indices]


def random_split(dataset: Any, lengths: Sequence[float], generator: Any = None) -> list[Subset]:
    """Subsets of these lengths, or of these shares that sum to 1, of the dataset in random order.

    ValueError unless the lengths add up to the dataset's. Warns of a share that comes to no item.
    """
    n = len(dataset)
    if math.isclose(sum(lengths), 1) and sum(lengths) <= 1:
        if min(lengths) < 0 or max(lengths) > 1:
            raise ValueError(f"random_split: shares must be between 0 and 1, got {list(lengths)}")
        sizes = [math.floor(n * share) for share in lengths]
        for i in range(n - sum(sizes)):
            sizes[i % len(sizes)] += 1
        if 0 in sizes:
            warnings.warn(f"random_split: share {sizes.index(0)} of {n} items has none of them", stacklevel=2)
    else:
        sizes = [int(k) for k in lengths]
    if sum(sizes) != n:
        raise ValueError(f"random_split: the lengths {sizes} do not add up to the {n} of the dataset")
    order = creation.randperm(n, generator=generator).tolist()
    ends = np.cumsum(sizes).tolist()
    return [Subset(dataset, order[end - size : end]) for size, end in zip(sizes, ends, strict=True)]


# ------------------------------------------------------------------------------------------------- samplers


class Sampler:
    """Base: a subclass iterates over indices (or lists of them)."""

    __class_getitem__: Any = classmethod(GenericAlias)

    def __iter__(self) -> Iterator[Any]:
        raise NotImplementedError(f"{type(self).__name__} needs __iter__()")


class SequentialSampler(Sampler):
    """0, 1, 2 ... in order."""

    def __init__(self, data_source: Any) -> None:
        self.data_source = data_source

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.data_source)))

    def __len__(self) -> int:
        return len(self.data_source)


def _seed(generator: Any) -> int:
    """A seed drawn from a generator, as torch draws it."""
    return creation.empty((), dtype=int64).random_(generator=generator).item()


class RandomSampler(Sampler):
    """Indices in random order: each once or, with replacement, num_samples draws. ValueError for num_samples < 1."""

    def __init__(
        self, data_source: Any, replacement: bool = False, num_samples: int | None = None, generator: Any = None
    ) -> None:
        if not isinstance(replacement, bool):
            raise TypeError(f"replacement should be a boolean value, but got replacement={replacement}")
        self.data_source, self.replacement, self.generator = data_source, replacement, generator
        self._num_samples = num_samples
        if not isinstance(self.num_samples, int) or self.num_samples <= 0:
            raise ValueError(f"num_samples should be a positive integer value, but got num_samples={self.num_samples}")

    @property
    def num_samples(self) -> int:
        """How many indices an iteration gives."""
        return len(self.data_source) if self._num_samples is None else self._num_samples

    def __iter__(self) -> Iterator[int]:
        n, wanted, generator = len(self.data_source), self.num_samples, self.generator
        if generator is None:
            generator = _random.Generator().manual_seed(_seed(None))
        if self.replacement:
            for start in range(0, wanted, 32):
                yield from generator.randint(0, n, (min(32, wanted - start),)).tolist()
            return
        for _ in range(wanted // n):
            yield from generator.randperm(n).tolist()
        yield from generator.randperm(n).tolist()[: wanted % n]

    def __len__(self) -> int:
        return self.num_samples


class SubsetRandomSampler(Sampler):
    """The given indices, each once, in random order."""

    def __init__(self, indices: Sequence[int], generator: Any = None) -> None:
        self.indices, self.generator = indices, generator

    def __iter__(self) -> Iterator[int]:
        for i in creation.randperm(len(self.indices), generator=self.generator).tolist():
            yield self.indices[i]

    def __len__(self) -> int:
        return len(self.indices)


class BatchSampler(Sampler):
    """Lists of batch_size indices of a sampler; the last may be shorter, or is dropped."""

    def __init__(self, sampler: Any, batch_size: int, drop_last: bool) -> None:
        if not isinstance(batch_size, int) or isinstance(batch_size, bool) or batch_size <= 0:
            raise ValueError(f"batch_size should be a positive integer value, but got batch_size={batch_size}")
        if not isinstance(drop_last, bool):
            raise ValueError(f"drop_last should be a boolean value, but got drop_last={drop_last}")
        self.sampler, self.batch_size, self.drop_last = sampler, batch_size, drop_last

    def __iter__(self) -> Iterator[list[int]]:
        batch: list[int] = []
        for index in self.sampler:
            batch.append(index)
            if len(batch) == self.batch_size:
                yield batch
                batch = []
        if batch and not self.drop_last:
            yield batch

    def __len__(self) -> int:
        n = len(self.sampler)
        return n // self.batch_size if self.drop_last else -(-n // self.batch_size)


# --------------------------------------------------------------------------------------------------- loader


def default_collate(batch: Sequence[Any]) -> Any:
    """Samples as one batch: Tensors, arrays and numbers stacked, in tuples (then a list), lists and dicts; strings
    beside each other.

    TypeError for anything else, RuntimeError for samples that are not alike.
    """
    first = batch[0]
    if isinstance(first, Tensor):
        return stack(list(batch))
    if isinstance(first, (np.ndarray, np.generic)):
        arrays = [np.asarray(x) for x in batch]
        if len({a.shape for a in arrays}) > 1:
            raise RuntimeError(f"the arrays of a batch need one shape, got {', '.join(str(a.shape) for a in arrays)}")
        return creation.tensor(np.stack(arrays))
    if isinstance(first, float):
        return creation.tensor(np.array(batch, np.float64))
    if isinstance(first, (bool, int)):
        return creation.tensor(list(batch))
    if isinstance(first, (str, bytes)):
        return batch
    if isinstance(first, Mapping):
        return _like(first, {key: default_collate([sample[key] for sample in batch]) for key in first})
    if isinstance(first, Sequence):
        if any(len(sample) != len(first) for sample in batch):
            raise RuntimeError(f"the samples of a batch need one length, got {[len(sample) for sample in batch]}")
        return _like(first, [default_collate(part) for part in zip(*batch, strict=True)])
    raise TypeError(f"a batch is made of Tensors, arrays, numbers, strings, tuples, lists and dicts, got {type(first)}")


def default_convert(data: Any) -> Any:
    """One sample with its arrays as Tensors (memory shared), in tuples (then a list), lists and dicts."""
    if isinstance(data, (np.ndarray, np.generic)) and data.dtype.kind in "fiub":
        return creation.from_numpy(np.asarray(data))
    if isinstance(data, Mapping):
        return _like(data, {key: default_convert(value) for key, value in data.items()})
    if isinstance(data, Sequence) and not isinstance(data, (str, bytes)):
        return _like(data, [default_convert(x) for x in data])
    return data


def _like(first: Any, made: Any) -> Any:
    """What was made of each entry of *first*, in a container of its kind; a tuple without names becomes a list."""
    if isinstance(first, tuple):
        return type(first)(*made) if hasattr(first, "_fields") else made
    try:
        if isinstance(first, dict):
            found = copy.copy(first)
            found.update(made)
            return found
        return type(first)(made)
    except TypeError:  # a kind that is made otherwise, range for one
        return made


class DataLoader:
    """Batches of a dataset: collate_fn of the samples at each list of indices. Iterate over it once an epoch.

    shuffle: in random order, anew each time. sampler or batch_sampler: the order, in place of shuffle. batch_size None:
    one sample at a time, not stacked. generator: for the order, else the global one gives it a seed; the same batches
    as torch's for the same seed. ValueError for options that exclude each other, and for num_workers above 0: there is
    this process alone, so that what is meant for workers (timeout and all after it but the generator) does nothing.
    Source: torch.utils.data.DataLoader.
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Any = None,
        batch_sampler: Any = None,
        num_workers: int = 0,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Any = None,
        multiprocessing_context: Any = None,
        generator: Any = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
    ) -> None:
        if num_workers:
            raise ValueError(f"num_workers={num_workers}: batches are made in this process, leave it at 0")
        if timeout < 0:
            raise ValueError(f"timeout should not be negative, got {timeout}")
        if prefetch_factor is not None or persistent_workers:
            raise ValueError(
                f"prefetch_factor={prefetch_factor}, persistent_workers={persistent_workers}: these need num_workers > "
                "0, and there is this process alone"
            )
        if sampler is not None and shuffle:
            raise ValueError("sampler option is mutually exclusive with shuffle")
        if batch_sampler is not None and (batch_size != 1 or shuffle or sampler is not None or drop_last):
            raise ValueError(
                "batch_sampler option is mutually exclusive with batch_size, shuffle, sampler, and drop_last"
            )
        if batch_size is None and drop_last:
            raise ValueError("batch_size=None option disables auto-batching and is mutually exclusive with drop_last")
        self.dataset, self.drop_last, self.generator = dataset, drop_last, generator
        self.num_workers, self.pin_memory, self.timeout = num_workers, pin_memory, timeout
        if sampler is None:
            sampler = RandomSampler(dataset, generator=generator) if shuffle else SequentialSampler(dataset)
        self.batch_size = None if batch_sampler is not None else batch_size
        if batch_size is not None and batch_sampler is None:
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)
        self.sampler, self.batch_sampler = sampler, batch_sampler
        self.collate_fn = collate_fn or (default_convert if batch_sampler is None else default_collate)

    def __iter__(self) -> Iterator[Any]:
        order = iter(self.sampler if self.batch_sampler is None else self.batch_sampler)
        _seed(self.generator)  # torch draws one for its workers, with or without any
        return self._batches(order)

    def _batches(self, order: Iterator[Any]) -> Iterator[Any]:
        whole = type(self.dataset) is TensorDataset and self.collate_fn is default_collate
        for found in order:
            if self.batch_sampler is None:
                yield self.collate_fn(self.dataset[found])
            elif whole:  # the rows at once, which is what stacking them gives
                yield list(self.dataset[[int(i) for i in found]])
            else:
                yield self.collate_fn(_items(self.dataset, found))

    def __len__(self) -> int:
        return len(self.sampler if self.batch_sampler is None else self.batch_sampler)


def __getattr__(name: str) -> Any:
    from ..names import missing

    raise missing("minigrad.utils.data", name, globals())
