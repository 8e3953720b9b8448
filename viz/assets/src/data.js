// What the page was given: arrays decoded when first needed, and each graph's values, ops and their uses by key.
import { Nd, size } from "./nd.js";

const raw = JSON.parse(document.getElementById("data").textContent);
const decoded = new Map();

export const title = raw.title;
export const graphs = raw.graphs.map((g) => ({
  ...g,
  check: new Map(Object.entries(g.check)),
  byKey: new Map(g.values.map((v) => [v.k, v])),
  ops: new Map(g.ops.map((op) => [op.k, op])),
  order: g.ops,
}));

const READ = { f4: [4, "getFloat32"], f8: [8, "getFloat64"], i4: [4, "getInt32"], u1: [1, "getUint8"] };
// {s: shape, d: numbers, part: facts of the whole where only a part is embedded}
export function array(i) {
  if (i === null || i === undefined) return null;
  if (!decoded.has(i)) {
    const { t, s, b, part } = raw.arrays[i];
    const bytes = Uint8Array.from(atob(b), (c) => c.charCodeAt(0)),
      view = new DataView(bytes.buffer),
      [wide, read] = READ[t];
    const d = new Float64Array(bytes.length / wide);
    for (let k = 0; k < d.length; k++) d[k] = view[read](wide * k, true);
    // step: of a part, the distance of its elements in the whole
    decoded.set(i, { s, d, part, step: part?.step ?? 1, i, mask: t === "u1", whole: !part && d.length === size(s) });
  }
  return decoded.get(i);
}
export const asNd = (i) => {
  const a = array(i);
  return a?.whole ? new Nd(a.s, a.d, a.mask) : null;
};

const stats = new Map();
export function facts(i) {
  const a = array(i);
  if (!a) return null;
  if (a.part) return a.part;
  if (!stats.has(i)) {
    const finite = a.d.filter(Number.isFinite),
      n = finite.length;
    let min = Infinity,
      max = -Infinity,
      zeros = 0;
    for (const x of finite) {
      if (x < min) min = x;
      if (x > max) max = x;
      if (x === 0) zeros++;
    }
    // squares of very large and very small numbers would be inf and 0
    const most = Math.max(-min, max),
      unit = most > 1e150 || most < 1e-150 ? most || 1 : 1;
    let sum = 0,
      sq = 0,
      dev = 0;
    for (const x of finite) {
      sum += x / unit;
      sq += (x / unit) ** 2;
    }
    for (const x of finite) dev += (x / unit - sum / n) ** 2;
    const odd = a.d.length - n;
    stats.set(
      i,
      n
        ? { min, max, mean: (sum / n) * unit, std: Math.sqrt(dev / n) * unit, norm: Math.sqrt(sq) * unit, zeros, odd }
        : { min: null, max: null, mean: null, std: null, norm: odd ? null : 0, zeros, odd },
    );
  }
  return stats.get(i);
}
export const number = (x, digits = 4) => {
  if (x === null || x === undefined) return "–";
  if (Number.isNaN(x)) return "nan";
  if (!Number.isFinite(x)) return x > 0 ? "inf" : "-inf";
  if (Number.isInteger(x) && Math.abs(x) < 1e6) return String(x);
  const text = x.toPrecision(digits),
    a = Math.abs(x);
  return a < 1e-3 || a >= 1e6
    ? Number(text)
        .toExponential()
        .replace(/e([+-])(\d)$/, "e$10$2")
    : String(Number(text));
};
export const shape = (s) => (s.length === 1 ? `(${s[0]},)` : `(${s.join(", ")})`);
export const called = (v) => v.short ?? v.text ?? v.var;

// Elements by hand: text is text, never markup.
export function el(tag, props = {}, ...children) {
  const svg = ["svg", "path", "rect", "text", "g", "line", "circle", "polyline", "title"].includes(tag);
  const node = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [key, v] of Object.entries(props)) {
    if (v === undefined || v === null || v === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), v);
    else node.setAttribute(key === "cls" ? "class" : key, v === true ? "" : v);
  }
  node.append(...children.flat().filter((c) => c !== null && c !== undefined));
  return node;
}
export const $ = (id) => document.getElementById(id);

// What is chosen and shown; every view draws itself anew when told that something of it changed.
// follow: the panel goes with the steps, until a box is chosen.
export const state = { g: 0, key: null, step: 0, view: "graph", quiz: null, follow: false };
const listeners = [];
export const listen = (f) => listeners.push(f);
export const tell = (what) => listeners.forEach((f) => f(what));
export const graph = () => graphs[state.g];
