// The functions, methods and operators that a formula may use, with numpy's and torch's names: see python.js.
import * as more from "./combine.js";
import * as nd from "./nd.js";
import { asNd, isArray, make, map, reduce, refuse, zip } from "./nd.js";

// A reduction's axis and keepdims by position or by name, numpy's and torch's.
const over = (a, args, kw, f) =>
  reduce(a, kw.axis ?? kw.dim ?? args[0] ?? null, !!(kw.keepdims ?? kw.keepdim ?? args[1] ?? false), f);
export const total = (v) => {
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
// torch's var is unbiased unless it is told otherwise; python.js gives np.var its ddof=0.
const less = (kw) => kw.ddof ?? kw.correction ?? +(kw.unbiased ?? true);
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
    if (!(Number.isInteger(x) && x >= 0 && x < n)) refuse(`one_hot: ${x} is none of 0 to ${n - 1}`);
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
  neg: (x) => -x,
  exp2: (x) => 2 ** x,
  log2: Math.log2,
  log10: Math.log10,
  tan: Math.tan,
  sinh: Math.sinh,
  cosh: Math.cosh,
  arctan: Math.atan,
  floor: Math.floor,
  ceil: Math.ceil,
  softplus: (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x))),
};
const binary = {
  maximum: Math.max,
  minimum: Math.min,
  power: (x, y) => x ** y,
  pow: (x, y) => x ** y,
  multiply: (x, y) => x * y,
  mul: (x, y) => x * y,
  add: (x, y) => x + y,
  subtract: (x, y) => x - y,
  sub: (x, y) => x - y,
  divide: (x, y) => x / y,
  true_divide: (x, y) => x / y,
  div: (x, y) => x / y,
};
const tests = {
  equal: "==",
  eq: "==",
  not_equal: "!=",
  ne: "!=",
  greater: ">",
  gt: ">",
  greater_equal: ">=",
  ge: ">=",
  less: "<",
  lt: "<",
  less_equal: "<=",
  le: "<=",
  logical_and: "&",
  logical_or: "|",
};
const clip = (a, args, kw) => {
  const low = kw.min ?? kw.a_min ?? args[0] ?? -Infinity,
    high = kw.max ?? kw.a_max ?? args[1] ?? Infinity;
  return zip(zip(a, low, Math.max), high, Math.min);
};
const plainOf = (a) => new nd.Nd(a.s, a.d);
const full = (s, x) => nd.expandTo(asNd(x), s);

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
    var: (a, args, kw) => over(a, args, kw, (v) => variance(v, less(kw))),
    std: (a, args, kw) => over(a, args, kw, (v) => Math.sqrt(variance(v, less(kw)))),
    prod: (a, args, kw) => over(a, args, kw, (v) => v.reduce((x, y) => x * y, 1)),
    all: (a, args, kw) => over(a, args, kw, (v) => +v.every(Boolean)),
    any: (a, args, kw) => over(a, args, kw, (v) => +v.some(Boolean)),
    norm: (a, args, kw) => over(a, [], kw, (v) => Math.sqrt(v.reduce((x, y) => x + y * y, 0))),
    logsumexp: (a, args, kw) =>
      over(a, args, kw, (v) => {
        const m = v[best(v, 1)];
        return m + Math.log(v.reduce((x, y) => x + Math.exp(y - m), 0));
      }),
    reshape: (a, args) => nd.reshape(a, shapeFrom(args)),
    view: (a, args) => nd.reshape(a, shapeFrom(args)),
    view_as: (a, args) => nd.reshape(a, asNd(args[0]).s),
    reshape_as: (a, args) => nd.reshape(a, asNd(args[0]).s),
    unflatten: (a, args) => {
      const k = args[0] < 0 ? args[0] + a.s.length : args[0];
      return nd.reshape(a, [...a.s.slice(0, k), ...shapeFrom([args[1]]), ...a.s.slice(k + 1)]);
    },
    flatten: (a, args, kw) => {
      const k = kw.start_dim ?? args[0] ?? 0;
      return nd.reshape(a, [...a.s.slice(0, k), -1]);
    },
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
    clone: nd.copy,
    copy: nd.copy,
    detach: (a) => a,
    contiguous: (a) => a,
    numpy: (a) => a,
    data: (a) => a,
    one_hot: oneHot,
    softmax,
    log_softmax: (a, args, kw) => map(softmax(a, args, kw), Math.log),
    zeros_like: (a) => make(a.s),
    empty_like: (a) => make(a.s),
    ones_like: (a) => make(a.s, 1),
    full_like: (a, args, kw) => full(a.s, args[0] ?? kw.fill_value),
    new_zeros: (a, args) => make(shapeFrom(args)),
    clip,
    clamp: clip,
    masked_fill: (a, args) => nd.where(args[0], args[1], a),
    logical_not: (a) => mask(map(a, (x) => +!x)),
    isnan: (a) => mask(map(a, (x) => +Number.isNaN(x))),
    size: (a, args, kw) => (args.length ? (a.s.at(args[0] ?? kw.dim) ?? refuse("no such dimension")) : { tuple: a.s }),
    numel: (a) => a.d.length,
    dim: (a) => a.s.length,
    type: plainOf,
    tolist: (a) => a,
    outer: more.outer,
    tensordot: more.tensordot,
    linear: more.linear,
    split: more.split,
    chunk: more.chunk,
    unbind: more.unbind,
    tile: more.tile,
    repeat: (a, args, kw) => ("axis" in kw ? more.repeat : more.tile)(a, args, kw), // numpy's with an axis, or torch's
    repeat_interleave: more.repeat,
    flip: more.flip,
    diag: more.diagonal,
    diagonal: more.diagonal,
    tril: more.triangle((d) => d <= 0),
    triu: more.triangle((d) => d >= 0),
    cumsum: more.cumsum,
    gather: more.gather,
    take_along_axis: more.takeAlong,
    take_along_dim: more.takeAlong,
    index_select: more.select,
    scatter: more.scatter(false),
    scatter_add: more.scatter(true),
    index_add: more.indexAdd,
    index_put: more.indexPut,
    zero: (a) => make(a.s),
    fill: (a, args) => full(a.s, args[0]),
    atleast_2d: (a) => (a.s.length < 2 ? nd.reshape(a, [1, -1]) : a),
    item: (a) => (a.d.length === 1 ? a.d[0] : refuse("item() needs one element")),
  }),
);
for (const name of ["dot", "matmul", "mm", "mv", "bmm"]) shared.set(name, (a, args) => nd.matmul(a, args[0]));
for (const name of ["float", "double", "half", "astype", "long", "int", "to"]) shared.set(name, plainOf);
for (const [name, sign] of Object.entries(tests)) shared.set(name, (a, args) => operate(sign, a, args[0]));
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
    list: ([x]) => ({ tuple: nd.entries(x), list: true }),
    tuple: ([x]) => ({ tuple: nd.entries(x) }),
    reversed: ([x]) => ({ tuple: [...nd.entries(x)].reverse() }),
    enumerate: ([x]) => ({ tuple: nd.entries(x).map((v, i) => ({ tuple: [i, v] })) }),
    zip: (args) => {
      const lists = args.map(nd.entries);
      return {
        tuple: lists[0]
          .slice(0, Math.min(...lists.map((l) => l.length)))
          .map((_, i) => ({ tuple: lists.map((l) => l[i]) })),
      };
    },
    int: ([x]) => Math.trunc(asNd(x).d[0]),
    print: () => null,
    einsum: more.einsum,
    stack: more.stack,
    cat: more.cat,
    concat: more.cat,
    concatenate: more.cat,
    hstack: ([list]) => more.cat([list, asNd(list?.tuple?.[0] ?? 0).s.length > 1 ? 1 : 0], {}),
    vstack: ([list]) => more.cat([{ tuple: (list?.tuple ?? []).map((x) => shared.get("atleast_2d")(asNd(x))) }, 0], {}),
    full: (args, kw) => full(shapeFrom([args[0]]), args[1] ?? kw.fill_value),
    len: ([x]) => (x?.tuple ? x.tuple.length : (asNd(x).s[0] ?? refuse("len() of a number"))),
    where: ([c, x, y]) => nd.where(c, x, y),
    zeros: (args) => make(shapeFrom(args)),
    empty: (args) => make(shapeFrom(args)),
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
const COMPARES = new Set(["<", ">", "<=", ">=", "==", "!="]);
const UNKNOWN = { "^": "^ is no power in Python: write **", and: "write & for arrays", or: "write | for arrays" };
const mask = (a) => new nd.Nd(a.s, a.d, true);
export function operate(sign, x, y) {
  if (sign === "@") return nd.matmul(x, y);
  if (x?.tuple && y?.tuple && sign === "+") return { ...x, tuple: [...x.tuple, ...y.tuple] };
  if (x?.tuple && plain(y) && sign === "*") return { ...x, tuple: new Array(Math.min(+y, 1000)).fill(x.tuple).flat() };
  const f = operators[sign] ?? refuse(UNKNOWN[sign] ?? `${sign} is not known here`);
  if (plain(x) && plain(y)) return f(+x, +y);
  const out = zip(x, y, f);
  return COMPARES.has(sign) || ("&|".includes(sign) && x.mask) ? mask(out) : out;
}
