"""Checking gradients: against finite differences, and against a derivation by hand.

gradcheck.py   gradcheck, gradgradcheck: finite differences
compare.py     cmp: the lecture's row, and the table of many
causes.py      why a derivation is wrong, each cause proven on the arrays before it is said
uses.py        what the graph knows of a value: its uses, what each gave, the places that were picked of it
lecture.py     where in the lecture a value is derived
"""

from .compare import Comparison as Comparison, Table as Table, cmp as cmp
from .gradcheck import GradcheckError as GradcheckError, gradcheck as gradcheck, gradgradcheck as gradgradcheck

__all__ = ["gradcheck", "gradgradcheck", "GradcheckError", "cmp", "Comparison", "Table"]
