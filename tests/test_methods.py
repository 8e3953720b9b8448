"""The methods that Tensor has at run time are those that its type says."""

import ast
from pathlib import Path

import minigrad as mg
from minigrad import methods
from minigrad.tensor import Tensor


def test_the_stub_declares_what_is_there():
    tree = ast.parse((Path(mg.__file__).parent / "vocabulary.pyi").read_text())
    body = next(node for node in tree.body if isinstance(node, ast.ClassDef)).body
    declared = {node.name for node in body if isinstance(node, ast.FunctionDef)}
    declared |= {node.target.id for node in body if isinstance(node, ast.AnnAssign)}
    given = set(methods.METHODS) | {name + "_" for name in methods.IN_PLACE} | set(methods.OTHERS)
    given |= set(methods.ALIASES)
    given |= {f"__{r}{name}__" for name in methods.OPERATORS for r in ("", "r")}
    given |= {f"__{name}__" for name in methods.COMPARISONS} | {
        f"__i{n}__" for n in set(methods.OPERATORS) - {"matmul"}
    }
    assert declared == given
    assert all(hasattr(Tensor, name) for name in declared)


def test_module_functions_and_methods_are_the_same():
    for name in methods.METHODS:
        if hasattr(mg, name):
            assert getattr(mg, name) is getattr(Tensor, name), name


def test_names_that_are_not_there_cost_nothing_and_are_not_listed():
    x = mg.ones(2)
    assert not hasattr(Tensor, "__getattr__")  # it would be asked at each access to x.array and x.grad
    for name in ("half", "softmax_", "addcmul_"):
        assert not hasattr(x, name) and name not in dir(x)
    assert "softmax" in dir(x) and "array" in dir(x)
