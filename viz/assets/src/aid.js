// What helps a learner with a question: hints, the names that a formula may use, where an answer differs.
import { array, el, graph, shape } from "./data.js";
import { colour, scale } from "./heat.js";
import { variables } from "./judge.js";

export function hints(v) {
  const g = graph(),
    uses = v.uses.map((u) => g.ops.get(u.op));
  const list = [
    `It is used in: ${v.lines.join("; ") || "ops without a name"}.`,
    ...new Set(uses.map((op) => `The rule of ${op.name}: ${op.formula}`)),
  ];
  if (v.uses.length > 1) list.push(`It is used ${v.uses.length} times: what each use gives adds up.`);
  for (const use of v.uses)
    if (use.wide && shape(use.wide) !== shape(v.shape))
      list.push(`It was broadcast from ${shape(v.shape)} to ${shape(use.wide)}: sum the gradient back.`);
  return list;
}

// Names that a formula may use here, with their shapes.
export function usable(v) {
  const box = el("details", { cls: "usable" }, el("summary", {}, "Names you may use"));
  box.addEventListener("toggle", () => {
    if (!box.open || box.children.length > 1) return;
    const all = [...variables(v)].slice(0, 200),
      isGradient = new Set(graph().values.map((x) => `d${x.var}`));
    const group = (head, names) =>
      names.length
        ? el(
            "p",
            {},
            `${head}: `,
            ...names.flatMap(([name, x]) => [el("code", {}, name), ` ${x.s ? shape(x.s) : x}  `]),
          )
        : null;
    box.append(
      ...[
        group(
          "Gradients found so far",
          all.filter(([name]) => isGradient.has(name)),
        ),
        group(
          "Values",
          all.filter(([name]) => !isGradient.has(name)),
        ),
      ].filter(Boolean),
    );
  });
  return box;
}
export function difference(v, answer) {
  const E = array(v.grad),
    columns = E.s.length < 2 ? E.d.length : E.s.at(-1),
    rows = E.d.length / columns;
  if (!answer || shape(answer.s) !== shape(E.s) || E.d.length < 2) return null;
  const canvas = el("canvas", {
    cls: "heat",
    width: columns,
    height: rows,
    role: "img",
    "aria-label": "Heat map of your answer less the gradient",
  });
  canvas.style.height = `${Math.max(14, Math.min(160, rows * 5))}px`;
  const diff = E.d.map((x, i) => answer.d[i] - x),
    top = diff.reduce((m, x) => (Number.isFinite(x) ? Math.max(m, Math.abs(x)) : m), 0);
  const context = canvas.getContext("2d"),
    image = context.createImageData(columns, rows);
  diff.forEach((x, i) => image.data.set([...colour(x, top), 255], 4 * i));
  context.putImageData(image, 0, 0);
  return el("figure", {}, canvas, scale(top), el("figcaption", { cls: "sub" }, "Your answer less the gradient"));
}
