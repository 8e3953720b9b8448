"""utils.data beside torch's: the same batches in the same order from the same seeds, and the same refusals."""

import warnings
from collections import OrderedDict, namedtuple
from itertools import islice
from types import MappingProxyType

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st

import minigrad as mg

BOTH = (mg, torch)
Point = namedtuple("Point", "x y")


def plain(x):
    """Tensors as (dtype, values), at any depth, so that both libraries' can be compared."""
    if isinstance(x, (mg.Tensor, torch.Tensor)):
        return str(x.dtype).removeprefix("torch."), tuple(x.shape), x.tolist()
    if hasattr(x, "_fields"):
        return (type(x).__name__, *map(plain, x))
    if isinstance(x, (list, tuple)):
        return type(x)(map(plain, x))
    if isinstance(x, dict):
        return type(x)((k, plain(v)) for k, v in x.items())
    return x


def dataset(m, n=23):
    x = m.arange(n * 3).view(n, 3)
    return m.utils.data.TensorDataset(x.to(m.float32), x[:, 0] * 2, x[:, 1] % 2 == 0)


def same(run, seed=0):
    """run(m, m.utils.data) gives the same in both libraries, and leaves the global generator in the same state."""
    found = []
    for m in BOTH:
        m.manual_seed(seed)
        found.append([plain(run(m, m.utils.data)), m.randint(0, 1000, (3,)).tolist()])
    assert found[0] == found[1]
    return found[0][0]


def refused(run, error, message):
    """Both libraries refuse it with this class of error, and ours with this message."""
    with pytest.raises(error):
        run(torch, torch.utils.data)
    with pytest.raises(error, match=message):
        run(mg, mg.utils.data)


# ------------------------------------------------------------------------------------------------ the DataLoader


@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize("shuffle", [True, False, None])
@pytest.mark.parametrize("drop_last", [True, False])
@pytest.mark.parametrize("batch_size", [1, 4, 23, 24, 100])
def test_batches_of_three_epochs(batch_size, drop_last, shuffle, own):
    def run(m, data):
        generator = m.Generator().manual_seed(5) if own else None
        loader = data.DataLoader(dataset(m), batch_size, shuffle, drop_last=drop_last, generator=generator)
        epochs = [list(loader) for _ in range(3)]
        return [
            len(loader),
            [len(e) for e in epochs],
            epochs,
            generator and m.randint(0, 99, (3,), generator=generator),
        ]

    found = same(run)
    assert found[1] == [found[0]] * 3 and (not shuffle or batch_size > 23 or found[2][0] != found[2][1])


@pytest.mark.parametrize("shuffle", [True, False])
def test_one_sample_at_a_time(shuffle):
    def run(m, data):
        loader = data.DataLoader(dataset(m), batch_size=None, shuffle=shuffle)
        return [len(loader), loader.batch_size, *loader]

    assert len(same(run)) == 25


@pytest.mark.parametrize("seed", [0, 1, 42, 2147483647, 2**63 + 5])
def test_the_order_follows_the_seed(seed):
    same(lambda m, data: list(data.DataLoader(range(101), 7, shuffle=True)), seed)
    same(lambda m, data: list(data.DataLoader(range(101), 7, True, generator=m.Generator().manual_seed(seed))))


def test_two_iterations_at_a_time_and_one_left_early():
    def run(m, data):
        loader = data.DataLoader(dataset(m), 5, shuffle=True)
        pairs = list(zip(loader, loader, strict=True))
        early = list(islice(loader, 2))
        return [pairs, early, next(iter(loader)), list(loader)]

    same(run)


@given(st.integers(1, 40), st.integers(1, 12), st.booleans(), st.booleans(), st.integers(0, 2**64 - 1), st.booleans())
@settings(max_examples=60)
def test_any_loader(n, batch_size, shuffle, drop_last, seed, replacement):
    def run(m, data):
        g = m.Generator().manual_seed(seed)
        sampler = data.RandomSampler(range(n), replacement, 2 * n + 1, g)
        return [
            list(data.DataLoader(dataset(m, n), batch_size, shuffle, drop_last=drop_last, generator=g)),
            list(data.DataLoader(dataset(m, n), batch_size, sampler=sampler, drop_last=drop_last)),
        ]

    same(run, seed)


# --------------------------------------------------------------------------------------------------- samplers


@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize("replacement", [True, False])
@pytest.mark.parametrize("num_samples", [None, 1, 10, 20, 31, 32, 33, 64, 100])
def test_random_sampler(num_samples, replacement, own):
    def run(m, data):
        generator = m.Generator().manual_seed(9) if own else None
        sampler = data.RandomSampler(range(10), replacement, num_samples, generator)
        return [len(sampler), list(sampler), list(sampler), generator and generator.initial_seed()]

    same(run)


def test_makemores_endless_sampler():
    """A loader that never ends: 10**10 draws with replacement, of which some are taken."""

    def run(m, data):
        sampler = data.RandomSampler(dataset(m), replacement=True, num_samples=int(1e10))
        return [len(sampler), list(islice(data.DataLoader(dataset(m), 32, sampler=sampler), 5))]

    same(run)


def test_other_samplers():
    def run(m, data):
        g = m.Generator().manual_seed(3)
        subset = data.SubsetRandomSampler([3, 5, 7, 11], g)
        return [
            list(data.SequentialSampler("abcd")), len(data.SequentialSampler("abcd")),
            list(subset), list(subset), len(subset), list(data.SubsetRandomSampler(range(9))),
            list(data.BatchSampler(subset, 3, False)), list(data.BatchSampler(iter("abcdefg"), 3, True)),
            len(data.BatchSampler(subset, 3, False)), len(data.BatchSampler(subset, 3, True)),
            list(data.DataLoader(dataset(m), 3, sampler=subset)),
            list(data.DataLoader(dataset(m), 2, sampler=[4, -1, 0])),
            list(data.DataLoader(dataset(m), sampler=m.tensor([4, 1, 0]), batch_size=2)),
            list(data.DataLoader(dataset(m), batch_sampler=[[1, 2], [3], (0, 0, 4)])),
            list(data.DataLoader(dataset(m), batch_sampler=data.BatchSampler(subset, 3, True))),
            list(data.DataLoader(dataset(m), batch_size=None, sampler=data.BatchSampler(subset, 3, False))),
        ]  # fmt: skip

    same(run)


def test_a_sampler_that_draws_at_once_draws_when_torchs_would():
    def run(m, data):
        class Eager(data.Sampler[int]):
            def __init__(self, batches):
                self.batches = batches

            def __iter__(self):
                order = m.randperm(12).tolist()
                return iter([order[:5], order[5:]] if self.batches else order)

            def __len__(self):
                return 12

        return [
            list(data.DataLoader(range(12), batch_sampler=Eager(True))),
            list(data.DataLoader(range(12), batch_size=None, sampler=Eager(False))),
            list(data.DataLoader(range(12), batch_size=5, sampler=Eager(False))),
        ]

    same(run)


# --------------------------------------------------------------------------------------------------- datasets


def test_tensor_dataset():
    def run(m, data):
        d = dataset(m)
        x = m.ones(4, 2, requires_grad=True)
        (batch,) = next(iter(data.DataLoader(data.TensorDataset(x), 3)))
        (batch * m.arange(3).view(3, 1)).sum().backward()
        return [
            len(d),
            d[3],
            d[-1],
            d[2:5],
            d[[0, 0]],
            d[m.tensor([1, 2])],
            len(d.tensors),
            batch.requires_grad,
            x.grad,
        ]

    same(run)


def test_a_dataset_of_ones_own():
    def run(m, data):
        class Words(data.Dataset[tuple]):
            def __init__(self, words):
                self.words = words

            def __len__(self):
                return len(self.words)

            def __getitem__(self, i):
                word = self.words[i]
                return m.tensor([ord(c) for c in word]), {"n": len(word), "word": word, "odd": len(word) % 2 == 1}

        class AtOnce(Words):
            def __getitems__(self, indices):
                return [(i, float(i)) for i in indices]

        words = Words(["emma", "liam", "ella", "noah", "luca"])
        return [
            list(data.DataLoader(words, 2, shuffle=True)),
            list(data.DataLoader(AtOnce("abcde"), 2, shuffle=True)),
            list(data.DataLoader(data.Subset(words, [4, 0, 2]), 2)),
            list(data.DataLoader(data.Subset(AtOnce("abcde"), [4, 0, 2]), 2)),
            list(data.DataLoader(words, 3, collate_fn=lambda batch: [meta["word"] for _, meta in batch])),
            list(data.DataLoader(words, batch_size=None, collate_fn=lambda sample: sample[1])),
        ]

    same(run)


def test_subset():
    def run(m, data):
        part = data.Subset(dataset(m), [7, 3, 3, 20])
        return [len(part), part[0], part[-1], part[[0, 2]], list(data.DataLoader(part, 3, shuffle=True))]

    same(run)


@pytest.mark.parametrize("n,lengths", [
    (10, [7, 3]), (10, [0.8, 0.2]), (11, [0.5, 0.25, 0.25]), (1, [1.0]), (1, [0.5, 0.5]), (1, [1]), (2, [1, 1]),
    (5, [5]), (5, [5, 0]), (3, [0.34, 0.33, 0.33]), (0, [0]), (1, [0, 1]), (2, [0.9, 0.1]),
])  # fmt: skip
@pytest.mark.parametrize("own", [True, False])
def test_random_split(n, lengths, own):
    def run(m, data):
        more = {"generator": m.Generator().manual_seed(1)} if own else {}
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always")
            parts = data.random_split(range(n), lengths, **more)
        return [[list(part) for part in parts], [w.category.__name__ for w in found]]

    same(run)


# --------------------------------------------------------------------------------------------------- collating

COLLATED = [
    lambda m: [m.ones(2), m.zeros(2)],
    lambda m: [m.tensor(1), m.tensor(2)],
    lambda m: [1, 2, 3],
    lambda m: [True, False],
    lambda m: [1.5, 2],
    lambda m: [np.ones(2, np.float32), np.zeros(2, np.float32)],
    lambda m: [np.ones(()), np.zeros(())],
    lambda m: [np.float32(1), np.float32(2)],
    lambda m: [np.int32(1), np.int32(2)],
    lambda m: [np.float64(1), np.float64(2)],
    lambda m: ["a", "b"],
    lambda m: [b"a", b"b"],
    lambda m: [(m.ones(1), 1, "a"), (m.zeros(1), 2, "b")],
    lambda m: [[1, 2], [3, 4], [5, 6]],
    lambda m: [{"a": 1, "b": (2.0, "x")}, {"b": (3.0, "y"), "a": 4, "c": 9}],
    lambda m: [OrderedDict(b=1, a=2), OrderedDict(b=3, a=4)],
    lambda m: [Point(1, m.ones(2)), Point(2, m.zeros(2))],
    lambda m: [range(3), range(3)],
    lambda m: [MappingProxyType({"a": 1})["a"]],
    lambda m: [(), ()],
    lambda m: [{}, {}],
]


@pytest.mark.parametrize("case", range(len(COLLATED)))
def test_collate(case):
    same(lambda m, data: data.default_collate(COLLATED[case](m)))
    same(lambda m, data: [data.default_convert(sample) for sample in COLLATED[case](m)])


def test_convert_shares_memory_and_collate_does_not():
    array = np.zeros(3)
    mg.utils.data.default_convert([array])[0][0] = 1
    mg.utils.data.default_collate([array])[0, 1] = 1
    assert array.tolist() == [1, 0, 0]


# ---------------------------------------------------------------------------------------------------- refused

REFUSED = [
    (lambda m, d: d.TensorDataset(m.ones(2), m.ones(3, 1)), AssertionError, r"\(2,\), \(3, 1\)"),
    (lambda m, d: d.TensorDataset(np.ones(2)), TypeError, r"got ndarray.*tensor\(\)"),
    (lambda m, d: d.TensorDataset(m.ones(2))[2], IndexError, "2"),
    (lambda m, d: list(d.DataLoader(d.TensorDataset(m.ones(2)), sampler=[5])), IndexError, "5"),
    (lambda m, d: d.Dataset()[0], NotImplementedError, "__getitem__"),
    (lambda m, d: iter(d.Sampler()), NotImplementedError, "__iter__"),
    (lambda m, d: len(d.DataLoader(d.Dataset())), TypeError, "has no len"),
    (lambda m, d: d.RandomSampler(range(3), num_samples=0), ValueError, "num_samples=0"),
    (lambda m, d: d.RandomSampler(range(3), num_samples=2.5), ValueError, "num_samples=2.5"),
    (lambda m, d: d.RandomSampler([]), ValueError, "num_samples=0"),
    (lambda m, d: d.RandomSampler(range(3), replacement=1), TypeError, "replacement=1"),
    (lambda m, d: d.BatchSampler(range(3), 0, False), ValueError, "batch_size=0"),
    (lambda m, d: d.BatchSampler(range(3), True, False), ValueError, "batch_size=True"),
    (lambda m, d: d.BatchSampler(range(3), 2, 1), ValueError, "drop_last=1"),
    (lambda m, d: d.DataLoader(range(3), 2.0), ValueError, "batch_size=2.0"),
    (lambda m, d: d.DataLoader(range(3), -1), ValueError, "batch_size=-1"),
    (lambda m, d: d.DataLoader([], shuffle=True), ValueError, "num_samples=0"),
    (lambda m, d: d.DataLoader(range(3), shuffle=True, sampler=[0]), ValueError, "exclusive with shuffle"),
    (lambda m, d: d.DataLoader(range(3), None, drop_last=True), ValueError, "exclusive with drop_last"),
    (lambda m, d: d.DataLoader(range(3), 2, batch_sampler=[[0]]), ValueError, "exclusive with batch_size"),
    (lambda m, d: d.DataLoader(range(3), None, batch_sampler=[[0]]), ValueError, "exclusive with batch_size"),
    (lambda m, d: d.DataLoader(range(3), sampler=[0], batch_sampler=[[0]]), ValueError, "exclusive with batch_size"),
    (lambda m, d: d.DataLoader(range(3), shuffle=True, batch_sampler=[[0]]), ValueError, "exclusive with batch_size"),
    (lambda m, d: d.DataLoader(range(3), drop_last=True, batch_sampler=[[0]]), ValueError, "exclusive with batch"),
    (lambda m, d: d.DataLoader(range(3), num_workers=-1), ValueError, "num_workers=-1"),
    (lambda m, d: d.DataLoader(range(3), timeout=-1), ValueError, "timeout.*-1"),
    (lambda m, d: d.DataLoader(range(3), prefetch_factor=2), ValueError, "prefetch_factor=2"),
    (lambda m, d: d.DataLoader(range(3), persistent_workers=True), ValueError, "persistent_workers=True"),
    (lambda m, d: d.DataLoader(range(3), nonsense=True), TypeError, "nonsense"),
    (lambda m, d: d.default_collate([None]), TypeError, "NoneType"),
    (lambda m, d: d.default_collate([{1}]), TypeError, "set"),
    (lambda m, d: d.default_collate([[1], [1, 2]]), RuntimeError, r"\[1, 2\]"),
    (lambda m, d: d.default_collate([(1,), ()]), RuntimeError, r"\[1, 0\]"),
    (lambda m, d: d.default_collate([m.ones(1), m.ones(2)]), RuntimeError, r"\(1,\).*\(2,\)"),
    (lambda m, d: d.default_collate([np.ones(1), np.ones(2)]), RuntimeError, r"\(1,\), \(2,\)"),
    (lambda m, d: d.default_collate([{"a": 1}, {"b": 1}]), KeyError, "a"),
    (lambda m, d: d.default_collate([np.array("a")]), TypeError, "U1"),
    (lambda m, d: d.random_split(range(3), [1, 1]), ValueError, r"\[1, 1\].*3"),
    (lambda m, d: d.random_split(range(3), [0.5, 0.4]), ValueError, "3"),
    (lambda m, d: d.random_split(range(3), [2, -1]), ValueError, "between 0 and 1"),
    (lambda m, d: d.random_split(range(3), [1.5, -0.5]), ValueError, "between 0 and 1"),
]


@pytest.mark.parametrize("case", range(len(REFUSED)))
def test_refused_with_torchs_class_of_error(case):
    refused(*REFUSED[case])


def test_workers_are_refused_and_what_is_only_for_them_does_nothing():
    with pytest.raises(ValueError, match="num_workers=2: batches are made in this process"):
        mg.utils.data.DataLoader(range(3), num_workers=2)
    options = {"worker_init_fn": print, "multiprocessing_context": None, "in_order": False}
    same(lambda m, data: list(data.DataLoader(range(7), 2, True, **options)))
    same(
        lambda m, data: list(data.DataLoader(range(7), 2, True, None, None, 0, None, False, True, 0, None, None, None))
    )


def test_tensors_of_no_rows_are_named():
    for tensors in ((), (mg.tensor(1.0),)):
        with pytest.raises(AssertionError, match="as many rows each"):
            mg.utils.data.TensorDataset(*tensors)


def test_a_name_left_out_says_so():
    with pytest.raises(AttributeError, match=r"minigrad\.utils\.data has no DataLoaders: did you mean DataLoader\?"):
        mg.utils.data.DataLoaders  # noqa: B018
    assert not hasattr(mg.utils.data, "get_worker_info")
