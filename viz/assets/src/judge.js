// Whether an answer is the gradient: by its numbers, and what can be said where it is not.
import { array, asNd, facts, graph, number, shape } from "./data.js";
import { Nd, size } from "./nd.js";
import { evaluate } from "./python.js";

// All that a formula for v may use: values, and gradients that backward has found before v's.
export function variables(v) {
  const g = graph(),
    found = new Map(Object.entries(g.scalars)),
    after = later(v);
  for (const other of g.values) {
    const a = asNd(other.value),
      d = asNd(other.grad);
    if (a) found.set(other.var, a);
    if (d && after.has(other.k)) found.set(`d${other.var}`, d);
  }
  for (const [name, i] of Object.entries(g.hidden)) if (asNd(i)) found.set(name, asNd(i));
  const labels = found.get("Yb") ?? found.get("Xb");
  if (!found.has("n") && labels instanceof Nd && labels.s.length) found.set("n", labels.s[0]);
  return found;
}
const later = (v) => {
  const g = graph(),
    keys = new Set([v.k]);
  for (const op of g.order) if (op.inputs.some((x) => keys.has(x))) keys.add(op.out);
  keys.delete(v.k);
  return keys;
};
const unknown = (v) => (name) => {
  if (name === `d${v.var}`) return `${name} is what you are asked for`;
  const known = graph().values.find((x) => `d${x.var}` === name);
  if (known)
    return known.kind === "constant"
      ? `${name}: ${known.var} is a constant and has no gradient`
      : `${name} is not known yet: backward comes to it after d${v.var}`;
  return `there is no ${name} in this graph`;
};

// How far rounding to float32 may carry a formula: of its result, and of what was added up for it.
function slack(v) {
  const E = array(v.grad),
    top = facts(v.grad),
    g = graph();
  let terms = 0;
  for (const use of v.uses) {
    const z = g.byKey.get(g.ops.get(use.op).out),
      up = facts(z.grad),
      local = use.local === null ? null : facts(use.local);
    const n = Math.max(1, size(use.wide ?? v.shape) / Math.max(1, E.d.length));
    if (up && local)
      terms = Math.max(terms, Math.sqrt(n) * Math.max(-up.min, up.max) * Math.max(-local.min, local.max));
    const p = facts(use.product);
    if (p) terms = Math.max(terms, Math.max(-p.min, p.max));
  }
  const most = Math.max(-top.min, top.max, 0);
  return { far: 4e-6 * most + 4e-7 * terms, noise: most < 3e-5 * terms };
}
const apart = (a, b) => {
  let m = 0;
  for (let i = 0; i < a.length; i++) {
    const x = Math.abs(a[i] - b[i]);
    if (!(x <= m) && !(Number.isNaN(a[i]) && Number.isNaN(b[i])) && a[i] !== b[i]) m = Number.isNaN(x) ? Infinity : x;
  }
  return m;
};

// A fixed stream of numbers in place of every gradient: where all of them are rounding, these tell formulas apart.
function probe(map) {
  let seed = 12345;
  const next = () => {
    seed = (seed * 1103515245 + 12345) % 2147483648;
    return seed / 1073741824 - 1;
  };
  const out = new Map(map);
  for (const v of graph().values) {
    const name = `d${v.var}`;
    if (map.has(name)) {
      const a = map.get(name);
      out.set(name, new Nd(a.s, Float64Array.from(a.d, next)));
    }
  }
  return out;
}

export function judge(v, text) {
  const known = variables(v),
    answer = evaluate(text, known, unknown(v), `d${v.var}`),
    E = array(v.grad),
    lines = [];
  if (shape(answer.s) !== shape(v.shape)) {
    lines.push(`It has shape ${shape(answer.s)}, and d${v.var} has ${shape(v.shape)}, the shape of ${v.var}.`);
    if (size(answer.s) > size(v.shape))
      lines.push("Something was broadcast on the way forward: then the way back is a sum.");
    if (shape([...answer.s].reverse()) === shape(v.shape))
      lines.push("It is the wrong way round: look at the transposes.");
    return { right: false, lines, answer };
  }
  const { far, noise } = slack(v),
    maxdiff = apart(answer.d, E.d);
  if (maxdiff <= far) {
    if (!noise || !v.answer) return { right: true, lines: [`maxdiff ${number(maxdiff, 3)}`], answer };
    const other = probe(known),
      mine = evaluate(text, other, unknown(v), `d${v.var}`),
      theirs = evaluate(v.answer, other, unknown(v), `d${v.var}`);
    if (apart(mine.d, theirs.d) <= 1e-9 * (1 + Math.max(...theirs.d.map(Math.abs))))
      return {
        right: true,
        lines: [`maxdiff ${number(maxdiff, 3)}. Here this gradient is 0 but for rounding.`],
        answer,
      };
    return {
      right: false,
      lines: [
        "Here this gradient is 0 but for rounding, and so is yours; but with other numbers coming in, your formula gives something else.",
      ],
      answer,
    };
  }
  lines.push(
    `The shape is right, the numbers are not: maxdiff ${number(maxdiff, 3)}, where the gradient's largest is ${number(Math.max(-facts(v.grad).min, facts(v.grad).max), 3)}.`,
  );
  lines.push(...reasons(v, answer.d, E.d, far));
  return { right: false, lines, answer };
}

function reasons(v, a, e, far) {
  const near = (x, y) => apart(x, y) <= 10 * far;
  if (!a.some((x) => x !== 0)) return ["Yours is 0 everywhere."];
  if (a.some((x) => !Number.isFinite(x)) && e.every(Number.isFinite)) return ["Yours has nan or inf in it."];
  if (
    near(
      a.map((x) => -x),
      e,
    )
  )
    return ["Only the sign is wrong."];
  let ae = 0,
    aa = 0;
  for (let i = 0; i < a.length; i++) {
    ae += a[i] * e[i];
    aa += a[i] * a[i];
  }
  const k = ae / aa;
  if (
    Number.isFinite(k) &&
    k !== 0 &&
    near(
      a.map((x) => x * k),
      e,
    )
  )
    return [`It is right but for a factor: yours times ${number(k)} is the gradient.`];
  if (v.uses.length > 1)
    for (const use of v.uses) {
      const p = array(use.product);
      if (p?.whole && near(a, p.d))
        return [
          `That is what one use gives (${graph().byKey.get(graph().ops.get(use.op).out).line}); it is used ${v.uses.length} times, and all add up.`,
        ];
    }
  const wrong = a.reduce((n, x, i) => n + (Math.abs(x - e[i]) > far), 0);
  const at = a.findIndex((x, i) => Math.abs(x - e[i]) > far);
  return [
    wrong <= a.length / 4
      ? `It is right but in ${wrong} of ${a.length} elements.`
      : `For example element ${at}: yours is ${number(a[at])}, the gradient ${number(e[at])}.`,
  ];
}
