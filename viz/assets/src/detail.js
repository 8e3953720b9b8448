// The panel of a chosen value: its numbers, the op that made it, and where its gradient comes from.
import { array, called, el, facts, graph, number, shape } from "./data.js";
import { choose } from "./graph.js";
import { heat } from "./heat.js";
import { size } from "./nd.js";

const KINDS = { leaf: "leaf, requires grad", constant: "constant", result: "result", output: "output" };
export const badges = (v) =>
  (graph().check.get(v.name) ?? []).map((c) =>
    el(
      "span",
      { cls: `badge ${c.status}` },
      `${c.exercise ? `ex. ${c.exercise}: ` : ""}${c.status}${c.status === "exact" ? "" : `, maxdiff ${number(c.maxdiff, 3)}`}`,
    ),
  );
export const link = (key) => {
  const v = graph().byKey.get(key);
  return el("button", { type: "button", onclick: () => choose(key, { focus: false }) }, called(v));
};
const formula = (text) => el("div", { cls: "formula" }, text);

export function detail(v) {
  const g = graph(),
    op = v.by ? g.ops.get(v.by) : null,
    out = [];
  out.push(
    el("h2", {}, called(v)),
    el(
      "p",
      { cls: "sub" },
      `${KINDS[v.kind]}${op ? ` of ${op.name}` : ""} · ${shape(v.shape)} · ${v.dtype}${v.name ? "" : " · has no name"}`,
    ),
  );
  if (v.name && v.name !== v.short) out.push(el("p", { cls: "sub" }, v.name));
  if (v.scope.length) out.push(el("p", { cls: "sub" }, `in ${v.scope.join(" / ")}`));
  for (const text of v.warn) out.push(el("p", { cls: "note" }, `⚠ ${text}`));
  if (v.also.length) out.push(el("p", { cls: "sub" }, `also called ${v.also.join(", ")}`));
  if (v.var !== called(v)) out.push(el("p", { cls: "sub" }, "in formulas: ", el("code", {}, v.var)));
  const marks = badges(v);
  if (marks.length) out.push(el("p", {}, "Checked: ", ...marks.flatMap((m) => [m, " "])));
  if (op) out.push(el("h3", {}, "Made by"), ...madeBy(v, op));
  out.push(el("h3", {}, "Value"), heat(v.value, v.var));
  if (v.kind !== "constant") out.push(...gradient(v));
  return out;
}

function gradient(v) {
  const out = [el("h3", {}, "Gradient")];
  if (v.grad === null)
    return [
      ...out,
      el("p", { cls: "sub" }, "None: the output does not depend on it, or what a rule on the way needs was not kept."),
    ];
  if (v.held === null)
    out.push(
      el(
        "p",
        { cls: "sub" },
        v.kind === "leaf"
          ? "Its .grad is empty so far; this is what backward() would put there."
          : "backward() does not keep it (retain_grad() would); worked out here by the same rules.",
      ),
    );
  if (v.held === "other")
    out.push(
      el(
        "p",
        { cls: "note" },
        "Its .grad holds something else, as after two backward passes, clipping or zero_grad().",
        " Shown is one backward from this output.",
      ),
    );
  out.push(
    heat(
      v.grad,
      `d${v.var}`,
      (k) =>
        v.uses.length === 1
          ? product(v, v.uses[0], k)
          : v.uses.length
            ? `= ${v.uses.map((u) => number(array(u.product)?.d[k] ?? null)).join(" + ")}`
            : "",
      "g",
    ),
  );
  out.push(el("h3", {}, "Where it comes from"));
  if (v.kind === "output" && !v.uses.length)
    return [...out, el("p", {}, "This is the output: its gradient by itself is 1. Here backward begins.")];
  if (v.answer) out.push(formula(answerOf(v)));
  if (v.uses.length > 1)
    out.push(el("p", {}, `It is used ${v.uses.length} times, and so what each use gives is added up:`));
  v.uses.forEach((use) => out.push(derivation(v, use)));
  return out;
}
// The answer with its name before the last line, which is the expression.
export const answerOf = (v) => v.answer.replace(/[^\n]*$/, (last) => `d${v.var} = ${last}`);

export function madeBy(v, op) {
  const from = [...new Set(op.inputs.filter((x) => typeof x === "string"))];
  return [
    formula(v.line),
    el(
      "p",
      { cls: "sub" },
      `The rule of ${op.name}${op.settings.length ? `, here with ${op.settings.map(([k, x]) => `${k}=${x}`).join(", ")}` : ""}:`,
    ),
    formula(op.formula || "the op says no formula"),
    from.length ? el("div", { cls: "links" }, "from ", ...from.map(link)) : null,
  ];
}

// How one use gives to a gradient: upstream × local derivative = product, each with its shape and norm.
export function derivation(v, use) {
  const op = graph().ops.get(use.op),
    z = graph().byKey.get(op.out),
    wide = use.wide ?? z.shape,
    spread = shape(wide) !== shape(v.shape),
    local = array(use.local);
  const row = (sign, head, text, s, i = null, words = false) =>
    el(
      "tr",
      {},
      el("th", { scope: "row" }, el("span", { cls: "sign", "aria-hidden": "true" }, sign), head),
      el("td", { cls: words ? "words" : "" }, text),
      el("td", {}, s, i === null ? null : el("small", {}, `norm ${number(facts(i)?.norm, 3)}`)),
    );
  const body = el("tbody", {}, row("", "upstream", `d${z.var}`, shape(z.shape), z.grad));
  if (use.text || local) {
    const f = local && facts(use.local),
      constant = f && f.min === f.max && !f.odd && local.d.length,
      words = !constant && /^1 /.test(use.text ?? "");
    body.append(
      row(
        op.name === "MatMul" ? "@" : "×",
        "local derivative",
        constant ? number(f.min) : use.text || "see the rule",
        local ? shape(local.s) : localShape(op, use, z),
        constant ? null : use.local,
        words,
      ),
    );
  }
  const way = op.name === "MatMul" ? "matrix product" : use.text || local ? "upstream × local" : "by the rule",
    part = v.uses.length > 1 || !v.answer ? use.part : null; // of a single use it stands above
  body.append(
    row("=", "product", spread ? way : (part ?? way), shape(wide), spread ? null : use.product, spread || !part),
  );
  if (spread)
    body.append(
      row(
        "Σ",
        "summed",
        `${called(v)} was broadcast ${shape(v.shape)} → ${shape(wide)}, so the way back is a sum${part ? ": " : ""}`,
        shape(v.shape),
        use.product,
        true,
      ),
    );
  if (spread && part) body.lastChild.children[1].append(el("code", {}, part));
  return el(
    "div",
    { cls: "use" },
    el("p", {}, "through ", el("code", {}, z.line)),
    el("p", { cls: "rule" }, op.formula),
    el("table", {}, body),
    el("div", { cls: "links" }, "on to ", link(z.k)),
  );
}
// The shape of what a matrix product multiplies with, as it stands in the formula.
function localShape(op, use, z) {
  if (op.name !== "MatMul") return "";
  const other = graph().byKey.get(op.inputs[1 - use.i])?.shape;
  return other ? shape(other.length === 2 ? [...other].reverse() : other) : "";
}

// One element's product, where the rule is elementwise and nothing was summed: "= -0.0012 * 0.81".
function product(v, use, k) {
  const z = graph().byKey.get(graph().ops.get(use.op).out),
    up = array(z.grad),
    local = array(use.local);
  if (!up?.whole || !local?.whole || size(up.s) !== size(local.s)) return "";
  if (shape(up.s) === shape(v.shape)) return `= ${number(up.d[k])} × ${number(local.d[k])}`;
  return `= a sum of ${size(up.s) / size(v.shape)} products`;
}
