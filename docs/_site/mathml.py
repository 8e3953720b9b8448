"""Formulas as MathML, made at build time: browsers set it by themselves, with no script and no font to fetch."""

from __future__ import annotations

import re
from html import escape
from typing import Any

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.util.logging import getLogger

# docutils sets the index of an x with a hat under the x, as if it were that of a sum.
HAT = "(<mo stretchy=.false.>\N{MODIFIER LETTER CIRCUMFLEX ACCENT}</mo>)"
HAT_AND_INDEX = re.compile(rf"<munderover>\s*(<mi>[^<]*</mi>)\s*(<m(?:i|n|row)>.*?)\s*{HAT}\s*</munderover>", re.DOTALL)


def converted(node: nodes.Element, as_block: bool) -> str:
    """MathML. What cannot be converted is said with its place, and is an error where warnings are."""
    try:
        text = tex2mathml(node.astext().replace("'", r"^\prime "), as_block=as_block)
    except MathError as error:
        getLogger(__name__).warning("%s in %s", error, node.astext(), location=node)
        return escape(node.astext())
    return HAT_AND_INDEX.sub(r"<msub><mover accent='true'>\1\3</mover>\2</msub>", text)


def inline(self: Any, node: nodes.math) -> None:
    """$...$"""
    self.body.append(converted(node, as_block=False))
    raise nodes.SkipNode


def block(self: Any, node: nodes.math_block) -> None:
    """$$...$$"""
    text = converted(node, as_block=True)
    self.body.append(f'<div class="math" tabindex="0" role="group" aria-label="formula">{text}</div>\n')
    raise nodes.SkipNode


def setup(app: Any) -> dict[str, Any]:
    """The renderer is chosen by itself: it is the only one."""
    app.add_html_math_renderer("mathml", (inline, None), (block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
