"""Which of equal elements topk and multinomial choose: torch's choice, which is its C++ library's.

torch takes the k largest by std::nth_element and std::sort, or by std::partial_sort where k is small, and leaves equal
elements where those happen to put them. Where a row has such elements, the steps of that library (GNU's libstdc++,
bits/stl_algo.h and stl_heap.h: quickselect with the median of three, introsort, a heap) are gone through here. The
list q holds indices, the list r their ranks; what is compared is the rank alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def top(x: NDArray[Any], k: int, largest: bool = True) -> NDArray[np.int64]:
    """Where the k largest (or smallest) of each row stand, in order: (rows, n) -> int64 (rows, k). nan is the largest.

    Equal elements stand as torch's topk leaves them.
    """
    order = np.argsort(x, axis=1)
    first = (order[:, ::-1] if largest else order)[:, : k + 1]
    values = np.take_along_axis(x, first, 1)
    same = values[:, 1:] == values[:, :-1]
    if x.dtype.kind == "f":
        same |= np.isnan(values[:, 1:]) & np.isnan(values[:, :-1])
    first = first[:, :k].copy()
    for row in np.flatnonzero(same.any(axis=1)) if k else ():
        rank = np.unique(x[row], return_inverse=True)[1].reshape(-1)
        first[row] = _top((-rank if largest else rank).tolist(), k)
    return first


def _top(r: list[int], k: int) -> list[int]:
    """The places of the k lowest ranks, in order."""
    q = list(range(len(r)))
    if k * 64 <= len(r):
        _partial_sort(r, q, 0, k, len(r))
    else:
        _nth_element(r, q, k - 1)
        _introsort(r, q, 0, k - 1, _depth(k - 1))
        _insertion_sort(r, q, 0, k - 1)
    return q[:k]


def _depth(n: int) -> int:
    """After so many partitions that did not halve much, the heap takes over."""
    return 2 * (n.bit_length() - 1)


def _nth_element(r: list[int], q: list[int], nth: int) -> None:
    """The element of that place to its place, lower ones before it."""
    first, last, depth = 0, len(q), _depth(len(q))
    while last - first > 3:
        if depth == 0:
            _heap_select(r, q, first, nth + 1, last)
            q[first], q[nth] = q[nth], q[first]
            return
        depth -= 1
        cut = _partition(r, q, first, last)
        first, last = (cut, last) if cut <= nth else (first, cut)
    _insertion_sort(r, q, first, last)


def _introsort(r: list[int], q: list[int], first: int, last: int, depth: int) -> None:
    """Nearly in order: parts of up to 16 are left to the insertion sort."""
    while last - first > 16:
        if depth == 0:
            _partial_sort(r, q, first, last, last)
            return
        depth -= 1
        cut = _partition(r, q, first, last)
        _introsort(r, q, cut, last, depth)
        last = cut


def _insertion_sort(r: list[int], q: list[int], first: int, last: int) -> None:
    q[first:last] = sorted(q[first:last], key=r.__getitem__)  # as every insertion sort, stable


def _partition(r: list[int], q: list[int], first: int, last: int) -> int:
    """Lower than the pivot to the left, higher to the right; returns where the right begins."""
    a, b, c = first + 1, first + (last - first) // 2, last - 1
    x, y, z = r[q[a]], r[q[b]], r[q[c]]
    if x < y:
        middle = b if y < z else c if x < z else a
    else:
        middle = a if x < z else c if y < z else b
    q[first], q[middle] = q[middle], q[first]
    pivot, left, right = r[q[first]], first + 1, last
    while True:
        while r[q[left]] < pivot:
            left += 1
        right -= 1
        while pivot < r[q[right]]:
            right -= 1
        if left >= right:
            return left
        q[left], q[right] = q[right], q[left]
        left += 1


def _partial_sort(r: list[int], q: list[int], first: int, middle: int, last: int) -> None:
    """The lowest ones to first .. middle, in order."""
    _heap_select(r, q, first, middle, last)
    while middle - first > 1:
        middle -= 1
        _pop(r, q, first, middle, middle)


def _heap_select(r: list[int], q: list[int], first: int, middle: int, last: int) -> None:
    """A heap of the lowest ones in first .. middle, its highest first."""
    n = middle - first
    for parent in range((n - 2) // 2, -1, -1):
        _sift(r, q, first, parent, n, q[first + parent])
    for i in range(middle, last):
        if r[q[i]] < r[q[first]]:
            _pop(r, q, first, middle, i)


def _pop(r: list[int], q: list[int], first: int, last: int, at: int) -> None:
    """The heap's highest goes to the place *at*, and what stood there goes into the heap."""
    value, q[at] = q[at], q[first]
    _sift(r, q, first, 0, last - first, value)


def _sift(r: list[int], q: list[int], first: int, hole: int, n: int, value: int) -> None:
    """value into the heap of n, by way of the hole: down to a leaf along the higher children, then up."""
    start = child = hole
    while child < (n - 1) // 2:
        child = 2 * child + 2
        if r[q[first + child]] < r[q[first + child - 1]]:
            child -= 1
        q[first + hole] = q[first + child]
        hole = child
    if n % 2 == 0 and child == (n - 2) // 2:
        child = 2 * child + 1
        q[first + hole] = q[first + child]
        hole = child
    parent = (hole - 1) // 2
    while hole > start and r[q[first + parent]] < r[value]:
        q[first + hole] = q[first + parent]
        hole, parent = parent, (parent - 1) // 2
    q[first + hole] = value
