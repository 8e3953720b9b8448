// The functions, methods and operators that a formula may use, with numpy's and torch's names: see python.js.
import * as nd from "./nd.js";
import { asNd, isArray, make, map, reduce, refuse, zip } from "./nd.js";

// A reduction's axis and keepdims by position or by name, numpy's and torch's.
const over = (a, args, kw, f) =>
  reduce(a, kw.axis ?? kw.dim ?? args[0] ?? null, !!(kw.keepdims ?? kw.keepdim ?? args[1] ?? false), f);
const total = (v) => {
  let s = 0;
  for (const x of v) s += x;
  return s;
};
const best = (v, sign) => {
  let k = 0;
  for (let i = 1; i < v.length; i++) if (sign * v[i] > sign * v[k]) k = i;
  return k;
};
const variance = (v, less) => {
  const m = total(v) / v.length;
  let s = 0;
  for (const x of v) s += (x - m) ** 2;
  return s / (v.length - less);
};
const shapeFrom = (args) =>
  (args.length === 1 && args[0]?.tuple ? args[0].tuple : args).map((x) => (isArray(x) ? x.d[0] : x));
const extreme = (a, args, kw, sign) => {
  const out = over(a, args, kw, (v) => v[best(v, sign)]);
  if (kw.axis !== undefined || kw.dim !== undefined || args.length)
    out.indices = over(a, args, kw, (v) => best(v, sign));
  return out;
};
const oneHot = (a, args, kw) => {
  const n = kw.num_classes ?? args[0] ?? Math.max(...a.d) + 1,
    out = make([...a.s, n]);
  a.d.forEach((x, i) => {
    if (!(x >= 0 && x < n)) refuse(`one_hot: ${x} is not below ${n}`);
    out.d[i * n + x] = 1;
  });
  return out;
};
const softmax = (a, args, kw) => {
  const axis = [kw.dim ?? kw.axis ?? args[0] ?? -1, true];
  const e = map(
    zip(
      a,
      over(a, axis, {}, (v) => Math.max(...v)),
      (x, y) => x - y,
    ),
    Math.exp,
  );
  return zip(e, over(e, axis, {}, total), (x, y) => x / y);
};
const expandDims = (a, k) => {
  const n = a.s.length + 1,
    at = k < 0 ? k + n : k;
  return nd.reshape(a, [...a.s.slice(0, at), 1, ...a.s.slice(at)]);
};

const unary = {
  exp: Math.exp,
  log: Math.log,
  tanh: Math.tanh,
  sqrt: Math.sqrt,
  abs: Math.abs,
  sign: Math.sign,
  sin: Math.sin,
  cos: Math.cos,
  square: (x) => x * x,
  log1p: Math.log1p,
  expm1: Math.expm1,
  negative: (x) => -x,
  reciprocal: (x) => 1 / x,
  sigmoid: (x) => 1 / (1 + Math.exp(-x)),
  relu: (x) => (x > 0 ? x : 0),
  rsqrt: (x) => 1 / Math.sqrt(x),
};
const binary = {
  maximum: Math.max,
  minimum: Math.min,
  power: (x, y) => x ** y,
  multiply: (x, y) => x * y,
  add: (x, y) => x + y,
  subtract: (x, y) => x - y,
  divide: (x, y) => x / y,
};

// Functions of an array, each also a method: f(array, arguments, keywords).
export const shared = new Map(
  Object.entries({
    sum: (a, args, kw) => over(a, args, kw, total),
    mean: (a, args, kw) => over(a, args, kw, (v) => total(v) / v.length),
    max: (a, args, kw) => extreme(a, args, kw, 1),
    min: (a, args, kw) => extreme(a, args, kw, -1),
    amax: (a, args, kw) => extreme(a, args, kw, 1),
    amin: (a, args, kw) => extreme(a, args, kw, -1),
    argmax: (a, args, kw) => over(a, args, kw, (v) => best(v, 1)),
    argmin: (a, args, kw) => over(a, args, kw, (v) => best(v, -1)),
    var: (a, args, kw) => over(a, args, kw, (v) => variance(v, kw.ddof ?? kw.correction ?? 0)),
    std: (a, args, kw) => over(a, args, kw, (v) => Math.sqrt(variance(v, kw.ddof ?? kw.correction ?? 0))),
    reshape: (a, args) => nd.reshape(a, shapeFrom(args)),
    view: (a, args) => nd.reshape(a, shapeFrom(args)),
    flatten: (a) => nd.reshape(a, [-1]),
    ravel: (a) => nd.reshape(a, [-1]),
    transpose: (a, args) =>
      nd.transpose(
        a,
        args.length === 2 && !args[0]?.tuple
          ? swap(a, ...args)
          : args.length
            ? shapeFrom(args)
            : a.s.map((_, i) => a.s.length - 1 - i),
      ),
    permute: (a, args) => nd.transpose(a, shapeFrom(args)),
    t: (a) =>
      nd.transpose(
        a,
        a.s.map((_, i) => a.s.length - 1 - i),
      ),
    swapaxes: (a, args) => nd.transpose(a, swap(a, ...args)),
    expand_dims: (a, args, kw) => expandDims(a, kw.axis ?? args[0]),
    unsqueeze: (a, args, kw) => expandDims(a, kw.dim ?? args[0]),
    squeeze: (a, args, kw) => {
      const k = kw.axis ?? kw.dim ?? args[0];
      const at = k < 0 ? k + a.s.length : k;
      return nd.reshape(
        a,
        a.s.filter((n, i) => n !== 1 || (k !== undefined && i !== at)),
      );
    },
    expand_as: (a, args) => nd.expandTo(a, asNd(args[0]).s),
    broadcast_to: (a, args) => nd.expandTo(a, shapeFrom(args)),
    expand: (a, args) => nd.expandTo(a, shapeFrom(args)),
    dot: (a, args) => nd.matmul(a, args[0]),
    matmul: (a, args) => nd.matmul(a, args[0]),
    mm: (a, args) => nd.matmul(a, args[0]),
    clone: nd.copy,
    copy: nd.copy,
    float: (a) => a,
    double: (a) => a,
    detach: (a) => a,
    astype: (a) => a,
    long: (a) => a,
    contiguous: (a) => a,
    pow: (a, args) => zip(a, args[0], (x, y) => x ** y),
    one_hot: oneHot,
    softmax,
    zeros_like: (a) => make(a.s),
    ones_like: (a) => make(a.s, 1),
    item: (a) => (a.d.length === 1 ? a.d[0] : refuse("item() needs one element")),
  }),
);
for (const [name, f] of Object.entries(unary)) shared.set(name, (a) => map(a, f));
for (const [name, f] of Object.entries(binary)) shared.set(name, (a, args) => zip(a, args[0], f));
const swap = (a, i, j) => {
  const n = a.s.length,
    d = a.s.map((_, k) => k);
  [i, j] = [(i + n) % n, (j + n) % n];
  [d[i], d[j]] = [d[j], d[i]];
  return d;
};

// Functions of something else.
export const alone = new Map(
  Object.entries({
    range: (args) => ({ range: args.length === 1 ? [0, args[0], 1] : [args[0], args[1], args[2] ?? 1] }),
    arange: (args) =>
      nd.fromList(nd.rangeList({ range: args.length === 1 ? [0, args[0], 1] : [args[0], args[1], args[2] ?? 1] })),
    len: ([x]) => (x?.tuple ? x.tuple.length : (asNd(x).s[0] ?? refuse("len() of a number"))),
    where: ([c, x, y]) => nd.where(c, x, y),
    zeros: (args) => make(shapeFrom(args)),
    ones: (args) => make(shapeFrom(args), 1),
    eye: ([n]) => {
      const out = make([n, n]);
      for (let i = 0; i < n; i++) out.d[i * n + i] = 1;
      return out;
    },
    array: ([x]) => nd.copy(asNd(x)),
    tensor: ([x]) => nd.copy(asNd(x)),
    asarray: ([x]) => asNd(x),
    "add.at": ([a, i, v]) => {
      nd.put(a, i?.tuple ?? [i], v, "each");
      return null;
    },
  }),
);

export const constants = new Map(
  Object.entries({
    pi: Math.PI,
    e: Math.E,
    newaxis: null,
    inf: Infinity,
    float32: 0,
    float64: 0,
    int64: 0,
    long: 0,
    float: 0,
  }),
);
const floorMod = (x, y) => x - y * Math.floor(x / y);
export const operators = {
  "+": (x, y) => x + y,
  "-": (x, y) => x - y,
  "*": (x, y) => x * y,
  "/": (x, y) => x / y,
  "**": (x, y) => x ** y,
  "//": (x, y) => Math.floor(x / y),
  "%": floorMod,
  "<": (x, y) => +(x < y),
  ">": (x, y) => +(x > y),
  "<=": (x, y) => +(x <= y),
  ">=": (x, y) => +(x >= y),
  "==": (x, y) => +(x === y),
  "!=": (x, y) => +(x !== y),
  "&": (x, y) => +(x && y),
  "|": (x, y) => +(x || y),
};
export const plain = (x) => typeof x === "number" || typeof x === "boolean";
export const operate = (sign, x, y) => {
  if (sign === "@") return nd.matmul(x, y);
  const f = operators[sign] ?? refuse(`${sign} is not known here`);
  return plain(x) && plain(y) ? f(+x, +y) : zip(x, y, f);
};
