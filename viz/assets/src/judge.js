// Whether an answer is the gradient: by its numbers, and what can be said where it is not.
import { array, asNd, facts, graph, number, shape } from "./data.js";
import { Nd, Refused, size } from "./nd.js";
import { indexOf } from "./heat.js";
import { evaluate } from "./python.js";
import { alias, nearest } from "./spelling.js";

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
const unknown = (v, known) => (name) => {
  if (name === `d${v.var}`) return `${name} is what you are asked for`;
  const other = graph().values.find((x) => `d${x.var}` === name);
  if (other)
    return other.kind === "constant"
      ? `${name}: ${other.var} is a constant and has no gradient`
      : `${name} is not known yet: backward comes to it after d${v.var}`;
  const meant = alias(name) ?? (nearest(name, known.keys()) ? `is ${nearest(name, known.keys())} meant?` : null);
  return `there is no ${name} in this graph${meant ? `: ${meant}` : ""}`;
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
// The largest difference, and where it is.
const apart = (a, b) => {
  let m = 0,
    at = 0;
  for (let i = 0; i < a.length; i++) {
    const x = Math.abs(a[i] - b[i]);
    if (x <= m || a[i] === b[i] || (Number.isNaN(a[i]) && Number.isNaN(b[i]))) continue;
    [m, at] = [Number.isNaN(x) ? Infinity : x, i];
  }
  return { m, at };
};

// A fixed stream of numbers in place of every gradient: these tell apart formulas that agree by chance, or because what
// comes in is 0 but for rounding.
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
// The gradients that a formula names.
const NAME = /[\p{ID_Start}_][\p{ID_Continue}]*/gu;
const upstream = (text, known) => new Set((text.match(NAME) ?? []).filter(isGradient(known)));
const isGradient = (known) => {
  const all = new Set(graph().values.map((v) => `d${v.var}`));
  return (name) => all.has(name) && known.has(name);
};
// "same" or "other" where a formula is one of the same incoming gradients as the page's; null where it is not.
function probed(v, text, known, must) {
  if (!v.answer) return null;
  const mine = upstream(text, known),
    theirs = upstream(v.answer, known);
  if (!must && (!mine.size || [...mine].some((name) => !theirs.has(name)))) return null;
  const other = probe(known),
    a = evaluate(text, other, unknown(v, known), `d${v.var}`),
    b = evaluate(v.answer, other, unknown(v, known), `d${v.var}`);
  if (a.d.length !== b.d.length) return "other";
  const most = b.d.reduce((m, x) => Math.max(m, Math.abs(x)), 0);
  return apart(a.d, b.d).m <= 1e-5 * most + 1e-12 ? "same" : "other";
}

export function judge(v, text) {
  const known = variables(v);
  let answer;
  try {
    answer = evaluate(text, known, unknown(v, known), `d${v.var}`);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    const lines = [sentence(error.message)];
    if (/do not go together/.test(error.message)) lines.push(shapes(v, text, known));
    return { right: false, lines };
  }
  const E = array(v.grad);
  if (shape(answer.s) !== shape(v.shape)) return { right: false, lines: misshapen(v, answer, E) };
  const { far, noise } = slack(v),
    { m: maxdiff, at } = apart(answer.d, E.d);
  if (maxdiff <= far) {
    const found = probed(v, text, known, noise);
    if (found === "other")
      return {
        right: false,
        lines: [
          v.uses.length > 1
            ? "The numbers agree, but only because one part of this gradient is 0 here but for rounding."
            : "The numbers agree, but only because this gradient is 0 here but for rounding.",
          `With other gradients coming in, your formula gives something else${v.uses.length > 1 ? `: ${v.var} is used ${v.uses.length} times` : ""}.`,
        ],
        answer,
      };
    const note = noise ? " Here this gradient is 0 but for rounding." : "";
    return { right: true, lines: [`maxdiff ${number(maxdiff, 3)}.${note}`], answer };
  }
  const top = Math.max(-facts(v.grad).min, facts(v.grad).max);
  const lines = [
    `The shape is right, the numbers are not: maxdiff ${number(maxdiff, 3)}, where the gradient's largest is ${number(top, 3)}.`,
    ...reasons(v, answer.d, E.d, far, at),
  ];
  if (indexed(v) && /\]\s*\+?=[^=]/.test(text))
    lines.push(
      "Where an index repeats, assigning to x[index] keeps one of them only: add them up in a loop or with np.add.at.",
    );
  return { right: false, lines, answer };
}
const indexed = (v) => v.uses.some((use) => /^(Index|Gather)$/.test(graph().ops.get(use.op).name));

// A message as a sentence, unless it begins with a name.
const sentence = (text) => {
  const begins = /^(there|this|these|shapes|an?|axis|line|the|write|only|loops|slices|cannot|Python)\b/.test(text);
  return `${begins ? text[0].toUpperCase() + text.slice(1) : text}${text.endsWith("?") ? "" : "."}`;
};
// The shapes of what a formula names, and the one that is wanted.
const shapes = (v, text, known) => {
  const names = [...new Set(text.match(NAME) ?? [])].filter((name) => known.get(name)?.s);
  return `${names.map((name) => `${name} is ${shape(known.get(name).s)}`).join(", ")}; d${v.var} must be ${shape(v.shape)}.`;
};

function misshapen(v, answer, E) {
  const lines = [`It has shape ${shape(answer.s)}, and d${v.var} has ${shape(v.shape)}, the shape of ${v.var}.`],
    wide = v.uses.find((use) => use.wide && shape(use.wide) !== shape(v.shape));
  if (answer.d.length === E.d.length && apart(answer.d, E.d).m <= slack(v).far)
    lines.push(
      answer.s.length < v.shape.length
        ? "The numbers are right: keep the dimension, as with keepdims=True, or reshape."
        : answer.s.length > v.shape.length
          ? "The numbers are right, but there is a dimension too many: leave keepdims out, or reshape."
          : "The numbers are right: reshape them.",
    );
  else if (shape([...answer.s].reverse()) === shape(v.shape))
    lines.push("It is the wrong way round: look at the transposes.");
  else if (wide)
    lines.push(
      `${v.var} was broadcast from ${shape(v.shape)} to ${shape(wide.wide)}: then the way back is a sum over what was added.`,
    );
  else if (indexed(v))
    lines.push(
      `${v.var} was indexed: what was taken from a place goes back to that place, added up where it was taken more than once.`,
    );
  else if (size(answer.s) < size(v.shape)) lines.push("Its elements must be spread out to that shape.");
  return lines;
}

const factor = (k) => {
  const n = 1 / k;
  return Math.abs(n) > 1.5 && Math.abs(n - Math.round(n)) < 1e-4 * Math.abs(n) ? `1/${Math.round(n)}` : number(k);
};
function reasons(v, a, e, far, worst) {
  const near = (x, y) => apart(x, y).m <= 10 * far;
  if (!a.some((x) => x !== 0)) return ["Yours is 0 everywhere."];
  if (a.some((x) => !Number.isFinite(x)) && e.every(Number.isFinite)) return ["Yours has nan or inf in it."];
  const negated = a.map((x) => -x);
  if (near(negated, e)) return ["Only the sign is wrong."];
  let ae = 0,
    aa = 0;
  for (let i = 0; i < a.length; i++) {
    ae += a[i] * e[i];
    aa += a[i] * a[i];
  }
  const k = ae / aa;
  if (Number.isFinite(k) && k !== 0) {
    const scaled = a.map((x) => x * k);
    if (Math.abs(k - 1) < 1e-3 && apart(a, e).m < 1e-3 * apart(e, new Float64Array(e.length)).m)
      return [
        "It is very near, and no rounding error: look for a small number, such as an eps, or one too many or too few.",
      ];
    if (near(scaled, e)) return [`It is right but for a factor: yours times ${factor(k)} is the gradient.`];
  }
  if (v.uses.length > 1)
    for (const use of v.uses) {
      const p = array(use.product);
      if (p?.whole && near(a, p.d))
        return [
          `That is what one use gives (${graph().byKey.get(graph().ops.get(use.op).out).line}).`,
          `${v.var} is used ${v.uses.length} times, and all add up.`,
        ];
    }
  const wrong = a.reduce((n, x, i) => n + (Math.abs(x - e[i]) > far), 0),
    place = v.shape.length ? `d${v.var}[${indexOf(worst, v.shape).join(", ")}]` : `d${v.var}`,
    example = `For example ${place}: yours is ${number(a[worst])}, the gradient ${number(e[worst])}.`;
  return wrong <= a.length / 4 && a.length > 1
    ? [`It is right but in ${wrong} of ${a.length} elements. ${example}`]
    : [example];
}
