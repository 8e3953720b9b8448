"""The directives {rule} and {rules}: a rule of minigrad.ops as its docstring and its source say it, with its graph.

{rule} Tanh Sigmoid     these, each a section
{rules} elementwise     all of minigrad.ops.elementwise that no {rule} above on the page has shown
{rules-list}            all rules, by family, with links
{rule-source} Mul       its source alone
{draw} f                the graph of f, which the code in the directive makes (mg and ROOT are there)
"""

from __future__ import annotations

import importlib
import inspect
import re
from html import escape
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

import minigrad as mg
import viz
from minigrad import ops
from minigrad.ops.op import Rule

from . import graphs

WHERE = "_images/rules"  # in the built site
PROMOTED = {
    "types": "Operands come to one dtype.",
    "float": "Operands come to one dtype, and integers become floats.",
    "numbers": "Operands come to one dtype; bools alone are refused.",
    "branches": "The branches come to one dtype.",
}


def said(op: type[ops.Op]) -> tuple[list[str], list[str]]:
    """The docstring: the formulas, one a line, and what else it says, a paragraph each."""
    paragraphs = inspect.cleandoc(op.__doc__ or "").split("\n\n")
    first = re.sub(r"\s*\n\s*", "  ", paragraphs[0])
    formula, *rest = re.split(r"\.  +|;  +", first, maxsplit=1)
    lines = [line.strip().rstrip(",") for line in re.split(r",  +", formula)]
    return lines, [*rest, *paragraphs[1:]]


def code_of(op: type[ops.Op]) -> str:
    """The class without its docstring, which is shown above it."""
    source = inspect.getsource(op).rstrip()
    text = f'"""{op.__doc__}"""'
    return re.sub(r"\n *@@\n+", "\n", source.replace(text, "@@", 1)).replace("@@", "") if text in source else source


def number(x: float) -> str:
    """For a table: four digits, and infinity by its sign."""
    text = f"{x:.4g}"
    return {"inf": "∞", "-inf": "-∞", "-0": "0"}.get(text, text).replace("-", "\N{MINUS SIGN}")


def image(env: Any, name: str, svg: str, alt: str) -> nodes.Node:
    """A picture as a file of the built site, in a box of its own that scrolls where the page is narrow."""
    folder = Path(env.app.outdir) / WHERE
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.svg").write_text(svg)
    up = "../" * env.docname.count("/")
    width, height = [round(int(size) * 4 / 3) for size in re.findall(r'(?:width|height)="(\d+)pt"', svg)[:2]]
    html = (
        f'<div class="graph" tabindex="0" role="group" aria-label="graph of {name}"><img src="{up}{WHERE}/{name}.svg" '
        f'alt="{escape(alt)}" loading="lazy" width="{width}" height="{height}"></div>'
    )
    return nodes.raw("", html, format="html")


class Draw(SphinxDirective):
    """{draw} name: the code is run, and the graph of the value of this name drawn, with all names that there are."""

    required_arguments, has_content = 1, True
    option_spec = {"alt": str, "depth": int, "direction": str}

    def run(self) -> list[nodes.Node]:
        names: dict[str, Any] = {"mg": mg, "ROOT": Path(self.env.srcdir).parent}
        exec("\n".join(self.content), names)
        tensors = {key: value for key, value in names.items() if isinstance(value, (mg.Tensor, mg.nn.Module))}
        options = {key: value for key, value in self.options.items() if key != "alt"}
        picture = viz.show(names[self.arguments[0]], tensors, legend=False, **options)
        alt = self.options.get("alt", "The graph of the code above: values with their gradients, ops with their rules")
        name = f"{self.env.docname.replace('/', '-')}-{self.env.new_serialno('draw')}"
        return [image(self.env, name, picture.svg, alt)]


class OneRule(SphinxDirective):
    """{rule} name ..."""

    required_arguments, optional_arguments = 1, 50

    def run(self) -> list[nodes.Node]:
        return [section for name in self.arguments for section in self.show(name)]

    def show(self, name: str) -> list[nodes.Node]:
        """A section."""
        if name not in ops.ALL:
            raise self.error(f"no rule is called {name}: minigrad.ops has {', '.join(ops.ALL)}")
        shown = self.env.temp_data.setdefault("rules shown", set())
        if name in shown:
            raise self.error(f"{name} is shown twice on this page")
        shown.add(name)
        op, anchor = ops.ALL[name], f"rule-{name.lower()}"
        section = nodes.section(ids=[anchor], names=[anchor])
        section += nodes.title(name, name)
        self.env.get_domain("py").note_object(f"minigrad.ops.{name}", "data", anchor, location=section)
        section += self.content_of(op)
        return [section]

    def content_of(self, op: type[ops.Op]) -> list[nodes.Node]:
        formulas, rest = said(op)
        found: list[nodes.Node] = [nodes.literal_block("\n".join(formulas), "\n".join(formulas), language="text")]
        found[0]["classes"].append("formula")  # type: ignore[index]
        found += [nodes.paragraph("", "", *prose(text)) for text in rest]
        found += self.image(op)
        found += self.edges(op)
        source = code_of(op)
        found.append(nodes.literal_block(source, source, language="python"))
        (facts,) = self.parse_text_to_nodes(self.facts(op))
        facts["classes"].append("facts")
        found.append(facts)
        return found

    def image(self, op: type[ops.Op]) -> list[nodes.Node]:
        """The graph as an image file of the built site."""
        if op.integer_only:
            return []
        picture = graphs.picture(op)
        if picture is None:
            raise self.error(f"{op.__name__}: its little graph in docs/_site/graphs.py has no gradient")
        alt = f"The graph of {op.__name__} on small numbers: its inputs, the op with its rule, its output, each value "
        return [image(self.env, op.__name__, picture.svg, alt + "with its gradient")]

    def edges(self, op: type[ops.Op]) -> list[nodes.Node]:
        """What an elementwise rule gives at the edges, run when the site is built."""
        rows = None if op.integer_only else graphs.edges(op)
        if rows is None:
            return []
        rule = Rule(op)
        x, y = rule.inputs[0], graphs.output_name(op)
        lines = [f"| {x} | " + " | ".join(number(row[0]) for row in rows) + " |", "|---" * (len(rows) + 1) + "|"]
        for i, what in ((1, y), (2, f"d{x} for d{y} = 1")):
            lines.append(f"| {what} | " + " | ".join(number(row[i]) for row in rows) + " |")
        return self.parse_text_to_nodes("\n".join(lines))

    def facts(self, op: type[ops.Op]) -> str:
        """What the engine reads from the rule's signatures, and where it is checked."""
        parts = []
        if not op.integer_only:
            rule = Rule(op)
            plan = op.plan(tuple([rule.joint is not None or name in rule.single for name in rule.inputs]))
            kept = [name for kind, which in plan.wants if (name := self.name_of(op, rule, kind, which))]
            parts.append(f"A node keeps {listing(kept)}." if kept else "A node keeps no array.")
        if op.view:
            parts.append("The output shares its input's memory.")
        if op.promote in PROMOTED:
            parts.append(PROMOTED[op.promote])
        if rows := graphs.rows_of(op.__name__):
            more = f" and {len(rows) - 3} more" if len(rows) > 3 else ""
            parts.append(f"Beside torch in the parity table: {', '.join(f'`{row.name}`' for row in rows[:3])}{more}.")
        return " ".join(parts)

    def name_of(self, op: type[ops.Op], rule: Rule, kind: str, which: Any) -> str:
        """The name of a kept array; nothing for shapes and settings."""
        if kind == "input":
            return rule.inputs[which]
        return {"output": graphs.output_name(op), "extra": op.keeps[which] if kind == "extra" else ""}.get(kind, "")


def prose(text: str) -> list[nodes.Node]:
    """A paragraph of a docstring: `x` is code, all else stands for itself."""
    parts = re.split(r"`([^`]+)`", " ".join(text.split()))
    return [nodes.literal("", part) if i % 2 else nodes.Text(part) for i, part in enumerate(parts) if part]


def listing(names: list[str]) -> str:
    """a, b and c, as code."""
    names = [f"`{name}`" for name in names]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


class RestOfRules(OneRule):
    """{rules} family"""

    required_arguments, optional_arguments = 1, 0

    def run(self) -> list[nodes.Node]:
        module = importlib.import_module(f"minigrad.ops.{self.arguments[0]}")
        shown = self.env.temp_data.get("rules shown", set())
        left = [name for name, op in ops.ALL.items() if op.__module__ == module.__name__ and name not in shown]
        return [section for name in left for section in self.show(name)]


class Source(SphinxDirective):
    """{rule-source} name: the class alone."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        source = inspect.getsource(ops.ALL[self.arguments[0]]).rstrip()
        return [nodes.literal_block(source, source, language="python")]


class AllRules(SphinxDirective):
    """{rules-list}"""

    def run(self) -> list[nodes.Node]:
        lines = ["| family | rules |", "|---|---|"]
        families: dict[str, list[str]] = {}
        for name, op in ops.ALL.items():
            families.setdefault(op.__module__.rsplit(".", 1)[1], []).append(name)
        for family, names in families.items():
            links = ", ".join(f"[{name}](#minigrad.ops.{name})" for name in names)
            lines.append(f"| [{family}]({family}.md) | {links} |")
        return self.parse_text_to_nodes("\n".join(lines))


def setup(app: Any) -> dict[str, Any]:
    """Tell Sphinx."""
    found = {"rule": OneRule, "rules": RestOfRules, "rules-list": AllRules, "rule-source": Source, "draw": Draw}
    for name, directive in found.items():
        app.add_directive(name, directive)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
