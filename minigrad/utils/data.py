"""Datasets, samplers and the DataLoader, in this process; batches come in torch's order for the same seed.

Source: https://docs.pytorch.org/docs/stable/data.html
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from .. import creation, random as _random
from ..dtypes import int64
from ..functions.shape import stack
from ..tensor import Tensor


class Dataset:
    """Base: a subclass has __getitem__(index) and __len__()."""

    def __getitem__(self, index: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} needs __getitem__(index)")


class TensorDataset(Dataset):
    """Row i is (tensor[i] of each Tensor); ValueError unless all have as many rows."""

    def __init__(self, *tensors: Tensor) -> None:
        if not tensors or any(not t.ndim or len(t) != len(tensors[0]) for t in tensors):
            shapes = ", ".join(str(t.array.shape) for t in tensors)
            raise ValueError(f"TensorDataset needs Tensors of as many rows each, got shapes {shapes or 'of none'}")
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

    def __len__(self) -> int:
        return len(self.indices)


def random_split(dataset: Any, lengths: Sequence[float], generator: Any = None) -> list[Subset]:
    """Subsets of these lengths, or of these shares that sum to 1, of the dataset in random order.

    ValueError unless the lengths add up to the dataset's.
    """
    n = len(dataset)
    if math.isclose(sum(lengths), 1) and sum(lengths) <= 1 and n != 1:
        if min(lengths) < 0:
            raise ValueError(f"random_split: shares must be between 0 and 1, got {list(lengths)}")
        sizes = [math.floor(n * share) for share in lengths]
        for i in range(n - sum(sizes)):
            sizes[i % len(sizes)] += 1
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


class BatchSampler(Sampler):
    """Lists of batch_size indices of a sampler; the last may be shorter, or is dropped."""

    def __init__(self, sampler: Any, batch_size: int, drop_last: bool) -> None:
        if not isinstance(batch_size, int) or isinstance(batch_size, bool) or batch_size <= 0:
            raise ValueError(f"batch_size should be a positive integer value, but got batch_size={batch_size}")
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


def default_collate(batch: list[Any]) -> Any:
    """Samples as one batch: Tensors, arrays and numbers stacked, in tuples, lists and dicts; strings as a list.

    TypeError for anything else.
    """
    first = batch[0]
    if isinstance(first, Tensor):
        return stack(batch)
    if isinstance(first, (np.ndarray, np.generic)):
        return creation.tensor(np.stack(batch))
    if isinstance(first, float):
        return creation.tensor(np.array(batch, np.float64))
    if isinstance(first, (bool, int)):
        return creation.tensor(batch)
    if isinstance(first, (str, bytes)):
        return batch
    if isinstance(first, Mapping):
        return {key: default_collate([sample[key] for sample in batch]) for key in first}
    if isinstance(first, (tuple, list)):
        parts = [default_collate(list(part)) for part in zip(*batch, strict=True)]
        return type(first)(*parts) if hasattr(first, "_fields") else parts
    raise TypeError(f"a batch is made of Tensors, arrays, numbers, strings, tuples, lists and dicts, got {type(first)}")


class DataLoader:
    """Batches of a dataset: collate_fn of the samples at each list of indices. Iterate over it once an epoch.

    shuffle: in random order, anew each time. sampler or batch_sampler: the order, in place of shuffle. batch_size None:
    one sample at a time, not stacked. generator: for the order, else the global one gives it a seed; the same batches
    as torch's for the same seed. ValueError for options that exclude each other, and for num_workers above 0: there is
    this process alone.
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
        *,
        generator: Any = None,
    ) -> None:
        if num_workers:
            raise ValueError(f"num_workers={num_workers}: batches are made in this process, leave it at 0")
        if sampler is not None and shuffle:
            raise ValueError("sampler option is mutually exclusive with shuffle")
        if batch_sampler is not None and (batch_size != 1 or shuffle or sampler is not None or drop_last):
            raise ValueError(
                "batch_sampler option is mutually exclusive with batch_size, shuffle, sampler, and drop_last"
            )
        if batch_size is None and drop_last:
            raise ValueError("batch_size=None option disables auto-batching and is mutually exclusive with drop_last")
        self.dataset, self.batch_size, self.drop_last, self.generator = dataset, batch_size, drop_last, generator
        if sampler is None:
            sampler = RandomSampler(dataset, generator=generator) if shuffle else SequentialSampler(dataset)
        if batch_size is not None and batch_sampler is None:
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)
        self.sampler, self.batch_sampler = sampler, batch_sampler
        self.collate_fn = collate_fn or (default_collate if batch_sampler is not None else lambda sample: sample)

    def __iter__(self) -> Iterator[Any]:
        _seed(self.generator)  # torch draws one for its workers, with or without any
        return self._batches()

    def _batches(self) -> Iterator[Any]:
        if self.batch_sampler is None:
            for index in self.sampler:
                yield self.collate_fn(self.dataset[index])
            return
        whole = type(self.dataset) is TensorDataset and self.collate_fn is default_collate
        for indices in self.batch_sampler:
            if whole:  # the rows at once, which is what stacking them gives
                yield list(self.dataset[list(indices)])
            else:
                yield self.collate_fn([self.dataset[i] for i in indices])

    def __len__(self) -> int:
        return len(self.sampler if self.batch_sampler is None else self.batch_sampler)
