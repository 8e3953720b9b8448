// A learner's formula in Python's syntax: parsed by Lezer's grammar of Python, and walked here. Nothing is ever made into
// code: a name is looked up among the graph's arrays, a function among those below, and there is nothing else.
import { parser } from "@lezer/python";
import * as nd from "./nd.js";
import { Nd, asNd, isArray, map, make, refuse, reduce, show, zip } from "./nd.js";

const LOOPS = 200000, LONGEST = 4000;

// A reduction's axis and keepdims by position or by name, numpy's and torch's.
const over = (a, args, kw, f) => reduce(a, kw.axis ?? kw.dim ?? args[0] ?? null, !!(kw.keepdims ?? kw.keepdim ?? args[1] ?? false), f);
const total = (v) => { let s = 0; for (const x of v) s += x; return s; };
const best = (v, sign) => { let k = 0; for (let i = 1; i < v.length; i++) if (sign * v[i] > sign * v[k]) k = i; return k; };
const variance = (v, less) => { const m = total(v) / v.length; let s = 0; for (const x of v) s += (x - m) ** 2; return s / (v.length - less); };
const shapeFrom = (args) => (args.length === 1 && args[0]?.tuple ? args[0].tuple : args).map((x) => (isArray(x) ? x.d[0] : x));
const extreme = (a, args, kw, sign) => {
  const out = over(a, args, kw, (v) => v[best(v, sign)]);
  if (kw.axis !== undefined || kw.dim !== undefined || args.length) out.indices = over(a, args, kw, (v) => best(v, sign));
  return out;
};
const oneHot = (a, args, kw) => {
  const n = kw.num_classes ?? args[0] ?? Math.max(...a.d) + 1, out = make([...a.s, n]);
  a.d.forEach((x, i) => { if (!(x >= 0 && x < n)) refuse(`one_hot: ${x} is not below ${n}`); out.d[i * n + x] = 1; });
  return out;
};
const softmax = (a, args, kw) => {
  const axis = [kw.dim ?? kw.axis ?? args[0] ?? -1, true];
  const e = map(zip(a, over(a, axis, {}, (v) => Math.max(...v)), (x, y) => x - y), Math.exp);
  return zip(e, over(e, axis, {}, total), (x, y) => x / y);
};
const expandDims = (a, k) => { const n = a.s.length + 1, at = k < 0 ? k + n : k; return nd.reshape(a, [...a.s.slice(0, at), 1, ...a.s.slice(at)]); };

const unary = { exp: Math.exp, log: Math.log, tanh: Math.tanh, sqrt: Math.sqrt, abs: Math.abs, sign: Math.sign, sin: Math.sin, cos: Math.cos,
  square: (x) => x * x, log1p: Math.log1p, expm1: Math.expm1, negative: (x) => -x, reciprocal: (x) => 1 / x, sigmoid: (x) => 1 / (1 + Math.exp(-x)), relu: (x) => (x > 0 ? x : 0), rsqrt: (x) => 1 / Math.sqrt(x) };
const binary = { maximum: Math.max, minimum: Math.min, power: (x, y) => x ** y, multiply: (x, y) => x * y, add: (x, y) => x + y, subtract: (x, y) => x - y, divide: (x, y) => x / y };

// Functions of an array, each also a method: f(array, arguments, keywords).
const shared = new Map(Object.entries({
  sum: (a, args, kw) => over(a, args, kw, total),
  mean: (a, args, kw) => over(a, args, kw, (v) => total(v) / v.length),
  max: (a, args, kw) => extreme(a, args, kw, 1), min: (a, args, kw) => extreme(a, args, kw, -1),
  amax: (a, args, kw) => extreme(a, args, kw, 1), amin: (a, args, kw) => extreme(a, args, kw, -1),
  argmax: (a, args, kw) => over(a, args, kw, (v) => best(v, 1)), argmin: (a, args, kw) => over(a, args, kw, (v) => best(v, -1)),
  var: (a, args, kw) => over(a, args, kw, (v) => variance(v, kw.ddof ?? kw.correction ?? 0)),
  std: (a, args, kw) => over(a, args, kw, (v) => Math.sqrt(variance(v, kw.ddof ?? kw.correction ?? 0))),
  reshape: (a, args) => nd.reshape(a, shapeFrom(args)), view: (a, args) => nd.reshape(a, shapeFrom(args)), flatten: (a) => nd.reshape(a, [-1]), ravel: (a) => nd.reshape(a, [-1]),
  transpose: (a, args) => nd.transpose(a, args.length === 2 && !args[0]?.tuple ? swap(a, ...args) : args.length ? shapeFrom(args) : a.s.map((_, i) => a.s.length - 1 - i)),
  permute: (a, args) => nd.transpose(a, shapeFrom(args)), t: (a) => nd.transpose(a, a.s.map((_, i) => a.s.length - 1 - i)), swapaxes: (a, args) => nd.transpose(a, swap(a, ...args)),
  expand_dims: (a, args, kw) => expandDims(a, kw.axis ?? args[0]), unsqueeze: (a, args, kw) => expandDims(a, kw.dim ?? args[0]),
  squeeze: (a, args, kw) => { const k = kw.axis ?? kw.dim ?? args[0]; const at = k < 0 ? k + a.s.length : k; return nd.reshape(a, a.s.filter((n, i) => n !== 1 || (k !== undefined && i !== at))); },
  expand_as: (a, args) => nd.expandTo(a, asNd(args[0]).s), broadcast_to: (a, args) => nd.expandTo(a, shapeFrom(args)), expand: (a, args) => nd.expandTo(a, shapeFrom(args)),
  dot: (a, args) => nd.matmul(a, args[0]), matmul: (a, args) => nd.matmul(a, args[0]), mm: (a, args) => nd.matmul(a, args[0]),
  clone: nd.copy, copy: nd.copy, float: (a) => a, double: (a) => a, detach: (a) => a, astype: (a) => a, long: (a) => a, contiguous: (a) => a,
  pow: (a, args) => zip(a, args[0], (x, y) => x ** y), one_hot: oneHot, softmax,
  zeros_like: (a) => make(a.s), ones_like: (a) => make(a.s, 1), item: (a) => (a.d.length === 1 ? a.d[0] : refuse("item() needs one element")),
}));
for (const [name, f] of Object.entries(unary)) shared.set(name, (a) => map(a, f));
for (const [name, f] of Object.entries(binary)) shared.set(name, (a, args) => zip(a, args[0], f));
const swap = (a, i, j) => { const n = a.s.length, d = a.s.map((_, k) => k); [i, j] = [(i + n) % n, (j + n) % n]; [d[i], d[j]] = [d[j], d[i]]; return d; };

// Functions of something else.
const alone = new Map(Object.entries({
  range: (args) => ({ range: args.length === 1 ? [0, args[0], 1] : [args[0], args[1], args[2] ?? 1] }), arange: (args) => nd.fromList(nd.rangeList({ range: args.length === 1 ? [0, args[0], 1] : [args[0], args[1], args[2] ?? 1] })),
  len: ([x]) => (x?.tuple ? x.tuple.length : asNd(x).s[0] ?? refuse("len() of a number")),
  where: ([c, x, y]) => nd.where(c, x, y), zeros: (args) => make(shapeFrom(args)), ones: (args) => make(shapeFrom(args), 1),
  eye: ([n]) => { const out = make([n, n]); for (let i = 0; i < n; i++) out.d[i * n + i] = 1; return out; },
  array: ([x]) => nd.copy(asNd(x)), tensor: ([x]) => nd.copy(asNd(x)), asarray: ([x]) => asNd(x),
  "add.at": ([a, i, v]) => { nd.put(a, i?.tuple ?? [i], v, "each"); return null; },
}));

const constants = new Map(Object.entries({ pi: Math.PI, e: Math.E, newaxis: null, inf: Infinity, float32: 0, float64: 0, int64: 0, long: 0, float: 0 }));
const floorMod = (x, y) => x - y * Math.floor(x / y);
const operators = { "+": (x, y) => x + y, "-": (x, y) => x - y, "*": (x, y) => x * y, "/": (x, y) => x / y, "**": (x, y) => x ** y, "//": (x, y) => Math.floor(x / y), "%": floorMod,
  "<": (x, y) => +(x < y), ">": (x, y) => +(x > y), "<=": (x, y) => +(x <= y), ">=": (x, y) => +(x >= y), "==": (x, y) => +(x === y), "!=": (x, y) => +(x !== y), "&": (x, y) => +(x && y), "|": (x, y) => +(x || y) };
const plain = (x) => typeof x === "number" || typeof x === "boolean";
const operate = (sign, x, y) => {
  if (sign === "@") return nd.matmul(x, y);
  const f = operators[sign] ?? refuse(`${sign} is not known here`);
  return plain(x) && plain(y) ? f(+x, +y) : zip(x, y, f);
};

// variables: Map from name to Nd or number; unknown(name): the message for a name that is not among them.
// answer: the variable that holds the answer, where the formula assigns to it and does not end with an expression.
export function evaluate(text, variables, unknown = (name) => `there is no ${name} here`, answer = null) {
  text = text.replace(/\r\n?/g, "\n").trim();
  if (!text) refuse("write a formula first");
  if (text.length > LONGEST) refuse(`a formula has at most ${LONGEST} characters`);
  nd.refill();
  const own = new Map();
  let loops = 0, result;

  const children = (node) => { const out = []; for (let c = node.firstChild; c; c = c.nextSibling) if (c.name !== "Comment") out.push(c); return out; };
  const said = (node) => text.slice(node.from, node.to);
  const tree = parser.parse(text + "\n");
  tree.iterate({ enter: (n) => { if (n.type.isError) refuse(`this is not Python at ${JSON.stringify(text.slice(Math.max(0, n.from - 8), n.to + 8).trim() || "the end")}`); } });

  const path = (node) => {
    if (node.name === "VariableName") return said(node);
    if (node.name !== "MemberExpression") return null;
    const [base, dot, name] = children(node);
    const before = said(dot) === "." ? path(base) : null;
    return before === null ? null : `${before}.${said(name)}`;
  };
  const known = (name) => own.has(name) || variables.has(name);
  const call = (node) => {
    const [target, list] = children(node);
    const args = [], kw = Object.create(null), parts = children(list).filter((c) => !["(", ")", ","].includes(c.name));
    for (let i = 0; i < parts.length; i++) {
      if (parts[i + 1]?.name === "AssignOp") { kw[said(parts[i])] = value(parts[i + 2]); i += 2; } else args.push(value(parts[i]));
    }
    const whole = path(target), root = whole?.split(".")[0];
    if (whole && !known(root)) {
      const name = whole.replace(/^(np|numpy|torch|mg|minigrad|math)\.|^(torch\.nn\.functional|F)\./, "");
      if (name === "add.at" && ![...own.values()].includes(args[0])) refuse("np.add.at changes an array of your own: copy this one first");
      if (alone.has(name)) return alone.get(name)(args, kw);
      if (shared.has(name)) { if (!args.length) refuse(`${name}() needs an array`); return shared.get(name)(asNd(args[0]), args.slice(1), kw); }
      refuse(`there is no function ${whole} here`);
    }
    if (target.name !== "MemberExpression") refuse(`${said(target)} cannot be called`);
    const [base, , method] = children(target), name = said(method);
    if (!shared.has(name)) refuse(`an array has no .${name}() here`);
    return shared.get(name)(asNd(value(base)), args, kw);
  };
  const items = (node) => {
    // the parts between [ and ], slices among them
    const inside = children(node).slice(2, -1), out = [[]];
    for (const part of inside) part.name === "," ? out.push([]) : out.at(-1).push(part);
    if (!out.at(-1).length) out.pop();
    return out.flatMap((group) => {
      if (group.some((p) => p.name === ":")) {
        const slice = [null, null, null];
        let k = 0;
        for (const p of group) { if (p.name === ":") k++; else slice[k] = +asNd(value(p)).d[0]; }
        return [{ slice }];
      }
      if (group[0].name === "Ellipsis") return ["..."];
      const found = value(group[0]);
      return found?.tuple && !found.list && out.length === 1 ? found.tuple : [found];
    });
  };
  const value = (node) => {
    const c = children(node);
    switch (node.name) {
      case "Number": { const x = Number(said(node).replaceAll("_", "")); return Number.isNaN(x) ? refuse(`${said(node)} is no number`) : x; }
      case "Boolean": return said(node) === "True";
      case "None": return null;
      case "VariableName": {
        const name = said(node);
        if (own.has(name)) return own.get(name);
        return variables.has(name) ? variables.get(name) : refuse(unknown(name));
      }
      case "ParenthesizedExpression": return value(c[1]);
      case "TupleExpression": case "ArrayExpression": return { tuple: c.slice(1, -1).filter((p) => p.name !== ",").map(value), list: node.name[0] === "A" };
      case "UnaryExpression": {
        const sign = said(c[0]), x = value(c[1]);
        const f = { "-": (v) => -v, "+": (v) => v, "~": (v) => +!v, not: (v) => +!v }[sign] ?? refuse(`${sign} is not known here`);
        return plain(x) ? f(+x) : map(asNd(x), f);
      }
      case "BinaryExpression": return operate(said(c[1]), value(c[0]), value(c[2]));
      case "ConditionalExpression": return asNd(value(c[2])).d[0] ? value(c[0]) : value(c[4]);
      case "CallExpression": return call(node);
      case "MemberExpression": {
        if (said(c[1]) === "[") {
          const base = value(c[0]), at = items(node);
          if (base?.tuple) { const i = at[0]; return base.tuple.at(i) ?? refuse(`there is no [${i}] in ${said(c[0])}`); }
          return nd.take(asNd(base), at);
        }
        const name = said(c[2]);
        if (["np", "torch", "math"].includes(said(c[0]))) return constants.has(name) ? constants.get(name) : refuse(`${said(node)} is not known here`);
        const a = asNd(value(c[0]));
        switch (name) {
          case "T": case "mT": return nd.transpose(a, a.s.map((_, i) => a.s.length - 1 - i));
          case "shape": return { tuple: a.s };
          case "size": return a.d.length;
          case "ndim": return a.s.length;
          case "values": return a;
          case "indices": return a.indices ?? refuse("only max and min along a dim have .indices");
          case "dtype": return 0;
          default: return refuse(`an array has no .${name} here`);
        }
      }
      default: return refuse(`${said(node).slice(0, 30)} is not part of what this page understands`);
    }
  };
  const assign = (target, given, how) => {
    if (target.name === "VariableName") {
      own.set(said(target), how ? operate(how, value(target), given) : given);
      return;
    }
    const [base] = children(target), name = said(base);
    if (target.name !== "MemberExpression" || base.name !== "VariableName" || said(children(target)[1]) !== "[") refuse(`cannot assign to ${said(target)}`);
    if (!own.has(name)) refuse(`${name} is the graph's own: copy it first, as in x = ${name}.copy()`);
    nd.put(asNd(own.get(name)), items(target), given, how ? operators[how] ?? refuse(`${how}= is not known here`) : "set");
  };
  const run = (node) => {
    const c = children(node);
    switch (node.name) {
      case "Script": case "StatementGroup": c.filter((n) => n.name !== ";").forEach(run); return;
      case "Body": c.slice(1).forEach(run); return;
      case "ExpressionStatement": result = { value: value(c[0]) }; return;
      case "AssignStatement": {
        const given = value(c.at(-1));
        for (let i = 0; i < c.length - 1; i += 2) assign(c[i], isArray(given) ? nd.copy(given) : given, null);
        result = { name: said(c[0]).split("[")[0] };
        return;
      }
      case "UpdateStatement": assign(c[0], value(c[2]), said(c[1]).slice(0, -1)); result = { name: said(c[0]).split("[")[0] }; return;
      case "ForStatement": {
        const list = value(c[3]);
        const all = list?.range ? nd.rangeList(list) : refuse("a loop here goes over range(...)");
        for (const i of all) {
          if (++loops > LOOPS) refuse(`loops run at most ${LOOPS} times here`);
          own.set(said(c[1]), i);
          run(c.at(-1));
        }
        return;
      }
      case "PassStatement": return;
      default: refuse(`${said(node).slice(0, 30)}: only formulas, assignments and loops over range(...) work here`);
    }
  };
  try {
    run(tree.topNode);
    const found = !result ? undefined : "value" in result && result.value !== null ? result.value : own.get(own.has(answer) ? answer : result.name);
    return found === undefined ? refuse("this gives no value: end with the formula") : asNd(found);
  } catch (error) {
    if (error instanceof nd.Refused) throw error;
    throw new nd.Refused(`this cannot be worked out: ${error.message}`);
  }
}
export { Nd, show };
