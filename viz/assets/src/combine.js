// Functions that join arrays, cut them up, copy them out and write into them: see library.js.
import * as nd from "./nd.js";
import { asNd, make, refuse, size, spend, zip } from "./nd.js";

const axisOf = (k, n) => {
  if (!(Number.isInteger(k) && k >= -n && k < n)) refuse(`axis ${k} is out of bounds for an array of ${n} dimensions`);
  return (k + n) % n;
};
const all = { slice: [null, null, null] };
const along = (a, axis, item) => a.s.map((_, i) => (i === axis ? item : all));
const listOf = (x) => (x?.tuple ? x.tuple.map(asNd) : refuse("this takes a list of arrays"));
const flat = (a) => nd.reshape(a, [-1]);
const number = (x) => (nd.isArray(x) ? x.d[0] : +x);

// -------------------------------------------------------------------------------------------- products

// einsum("ij,jk->ik", a, b): every letter is a dimension; those that the result lacks are summed over.
export function einsum([spec, ...operands]) {
  if (typeof spec !== "string") refuse('einsum begins with its letters, as in einsum("ij,jk->ik", a, b)');
  const given = operands.length === 1 && operands[0]?.tuple ? operands[0].tuple : operands;
  const arrays = given.map(asNd),
    [left, right] = spec.replaceAll(" ", "").split("->"),
    terms = left.split(",");
  if (terms.length !== arrays.length) refuse(`einsum: ${terms.length} groups of letters for ${arrays.length} arrays`);
  if (!/^[a-zA-Z]*$/.test(terms.join("") + (right ?? ""))) refuse("einsum here takes letters only");
  const sizes = new Map();
  terms.forEach((term, i) => {
    const { s } = arrays[i];
    if (term.length !== s.length) refuse(`einsum: ${term || "no letter"} for an array of shape ${nd.show(s)}`);
    [...term].forEach((c, k) => {
      if ((sizes.get(c) ?? s[k]) !== s[k]) refuse(`einsum: ${c} is both ${sizes.get(c)} and ${s[k]}`);
      sizes.set(c, s[k]);
    });
  });
  const letters = [...sizes.keys()],
    once = letters.filter((c) => left.split(c).length === 2).sort(),
    kept = right === undefined ? once : [...right];
  if (kept.some((c) => !sizes.has(c))) refuse("einsum: the result has a letter that no array has");
  if (new Set(kept).size !== kept.length) refuse("einsum: the result has a letter twice");
  const order = [...kept, ...letters.filter((c) => !kept.includes(c))],
    shape = order.map((c) => sizes.get(c)),
    out = make(kept.map((c) => sizes.get(c))),
    inner = size(shape.slice(kept.length));
  const steps = terms.map((term, i) => {
    const by = new Map();
    let step = 1;
    for (let k = term.length; k--; step *= arrays[i].s[k]) by.set(term[k], (by.get(term[k]) ?? 0) + step);
    return order.map((c) => by.get(c) ?? 0);
  });
  const n = size(shape),
    at = shape.map(() => 0),
    p = arrays.map(() => 0);
  spend(n * arrays.length);
  for (let k = 0; k < n; k++) {
    let product = 1;
    for (let i = 0; i < p.length; i++) product *= arrays[i].d[p[i]];
    out.d[Math.floor(k / inner)] += product;
    for (let j = order.length; j--;) {
      for (let i = 0; i < p.length; i++) p[i] += steps[i][j];
      if (++at[j] < shape[j]) break;
      for (let i = 0; i < p.length; i++) p[i] -= steps[i][j] * shape[j];
      at[j] = 0;
    }
  }
  return out;
}
export function tensordot(a, args, kw) {
  const b = asNd(args[0]),
    axes = kw.axes ?? kw.dims ?? args[1] ?? 2;
  const counted = (n) => [a.s.map((_, i) => i).slice(a.s.length - n), b.s.map((_, i) => i).slice(0, n)];
  const [left, right] = axes.tuple
    ? axes.tuple.map((x, i) => (x?.tuple ?? [x]).map((k) => axisOf(k, [a, b][i].s.length)))
    : counted(axes);
  const A = a.s.map((_, i) => String.fromCharCode(97 + i)),
    B = b.s.map((_, i) => String.fromCharCode(65 + i));
  right.forEach((k, i) => (B[k] = A[left[i]]));
  const kept = [...A.filter((_, i) => !left.includes(i)), ...B.filter((_, i) => !right.includes(i))];
  return einsum([`${A.join("")},${B.join("")}->${kept.join("")}`, a, b]);
}
export const outer = (a, [b]) => {
  const [x, y] = [flat(a), flat(asNd(b))];
  return zip(nd.reshape(x, [-1, 1]), nd.reshape(y, [1, -1]), (p, q) => p * q);
};
export const linear = (x, [w, b], kw) => {
  const y = nd.matmul(x, nd.transpose(asNd(w), [1, 0])),
    bias = b ?? kw.bias ?? null;
  return bias === null ? y : zip(y, bias, (p, q) => p + q);
};

// ---------------------------------------------------------------------------------- join, cut, copy out

export function cat([list, dim], kw) {
  const arrays = listOf(list),
    axis = axisOf(dim ?? kw.axis ?? kw.dim ?? 0, arrays[0]?.s.length ?? 1),
    s = [...arrays[0].s];
  s[axis] = arrays.reduce((n, a) => n + a.s[axis], 0);
  const out = make(s);
  let from = 0;
  for (const a of arrays) {
    if (a.s.some((n, i) => i !== axis && n !== s[i]) || a.s.length !== s.length)
      refuse(`cannot join shapes ${nd.show(arrays[0].s)} and ${nd.show(a.s)}`);
    nd.put(out, along(out, axis, { slice: [from, from + a.s[axis], 1] }), a, "set");
    from += a.s[axis];
  }
  return out;
}
export function stack([list, dim], kw) {
  const whole = nd.stack(listOf(list)),
    axis = axisOf(dim ?? kw.axis ?? kw.dim ?? 0, whole.s.length),
    dims = whole.s.map((_, i) => i).slice(1);
  dims.splice(axis, 0, 0);
  return nd.transpose(whole, dims);
}
const cut = (a, axis, sizes) => {
  let from = 0;
  return {
    tuple: sizes.map((n) => nd.take(a, along(a, axis, { slice: [from, (from += n), 1] }))),
  };
};
// torch: pieces of that size; numpy: that many pieces.
export const split = (a, [n, dim], kw) => {
  const axis = axisOf(dim ?? kw.dim ?? kw.axis ?? 0, a.s.length),
    each = n ?? kw.split_size ?? kw.split_size_or_sections;
  if (each?.tuple) return cut(a, axis, each.tuple.map(number));
  if (!(each >= 1)) refuse("split takes the size of a piece");
  const whole = a.s[axis];
  return cut(
    a,
    axis,
    Array.from({ length: Math.ceil(whole / each) }, (_, i) => Math.min(each, whole - i * each)),
  );
};
export const chunk = (a, [n, dim], kw) => {
  const axis = axisOf(dim ?? kw.dim ?? kw.axis ?? 0, a.s.length);
  if (!(n >= 1)) refuse("chunk takes how many pieces");
  return split(a, [Math.ceil(a.s[axis] / n), axis], {});
};
export const unbind = (a, args, kw) => {
  const axis = axisOf(args[0] ?? kw.dim ?? 0, a.s.length);
  return { tuple: Array.from({ length: a.s[axis] }, (_, i) => nd.take(a, along(a, axis, i))) };
};
export const tile = (a, args) => {
  const given = (args.length === 1 && args[0]?.tuple ? args[0].tuple : args).map(number),
    n = Math.max(given.length, a.s.length),
    times = [...new Array(n - given.length).fill(1), ...given],
    s = [...new Array(n - a.s.length).fill(1), ...a.s];
  const wide = nd.expandTo(
    nd.reshape(
      a,
      s.flatMap((x) => [1, x]),
    ),
    s.flatMap((x, i) => [times[i], x]),
  );
  return nd.reshape(
    wide,
    s.map((x, i) => x * times[i]),
  );
};
// Every element so many times, as numpy's repeat.
export const repeat = (a, args, kw) => {
  const n = kw.repeats ?? args[0],
    dim = kw.axis ?? kw.dim ?? args[1] ?? null;
  if (!Number.isInteger(n) || n < 0) refuse("repeat takes how many times");
  const whole = dim === null ? flat(a) : a,
    axis = axisOf(dim ?? 0, whole.s.length);
  const index = Array.from({ length: whole.s[axis] * n }, (_, i) => Math.floor(i / n));
  return nd.take(whole, along(whole, axis, nd.fromList(index)));
};
export const flip = (a, args, kw) => {
  const dims = kw.axis ?? kw.dims ?? args[0] ?? a.s.map((_, i) => i);
  const axes = (dims?.tuple ?? [dims].flat()).map((k) => axisOf(k, a.s.length));
  return nd.take(
    a,
    a.s.map((_, i) => (axes.includes(i) ? { slice: [null, null, -1] } : all)),
  );
};
export const diagonal = (a) => {
  const n = Math.min(...a.s);
  if (a.s.length === 2)
    return nd.take(
      a,
      [0, 0].map(() => nd.fromList([...new Array(n).keys()])),
    );
  const out = make([n, n]);
  for (let i = 0; i < n; i++) out.d[i * n + i] = a.d[i];
  return out;
};
export const triangle = (keep) => (a, args, kw) => {
  const [n, m] = a.s.slice(-2),
    shift = args[0] ?? kw.k ?? kw.diagonal ?? 0;
  return new nd.Nd(
    a.s,
    a.d.map((x, i) => (keep((i % m) - (Math.floor(i / m) % n) - shift) ? x : 0)),
  );
};
export const cumsum = (a, args, kw) => {
  const axis = axisOf(kw.axis ?? kw.dim ?? args[0] ?? 0, a.s.length),
    out = nd.copy(a),
    step = size(a.s.slice(axis + 1));
  for (let k = 0; k < out.d.length; k++) if (Math.floor(k / step) % a.s[axis]) out.d[k] += out.d[k - step];
  return out;
};

// -------------------------------------------------------------------------- read and write along an index

// The index that takes, for each place of `index`, that place with `index` itself along one axis: gather's.
const spreadOut = (index, axis) =>
  index.s.map((n, i) =>
    i === axis
      ? index
      : nd.reshape(
          nd.fromList([...new Array(n).keys()]),
          index.s.map((_, j) => (j === i ? n : 1)),
        ),
  );
export const gather = (a, args, kw) => {
  const dim = kw.dim ?? args[0],
    index = asNd(kw.index ?? args[1]);
  return nd.take(a, spreadOut(index, axisOf(dim, a.s.length)));
};
export const takeAlong = (a, args, kw) => gather(a, [kw.axis ?? args[1] ?? 0, args[0]], {});
export const select = (a, args, kw) => {
  const axis = axisOf(kw.dim ?? args[0], a.s.length);
  return nd.take(a, along(a, axis, asNd(kw.index ?? args[1])));
};
// Those that write: a copy unless their name ends in _, which python.js sees to.
const written = (a, items, v, how) => {
  const out = nd.copy(a);
  nd.put(out, items, v, how);
  return out;
};
export const scatter = (add) => (a, args, kw) => {
  const axis = axisOf(kw.dim ?? args[0], a.s.length),
    index = asNd(kw.index ?? args[1]);
  return written(a, spreadOut(index, axis), kw.src ?? kw.value ?? args[2], add ? "each" : "set");
};
export const indexAdd = (a, args, kw) => {
  const axis = axisOf(kw.dim ?? args[0], a.s.length);
  return written(a, along(a, axis, asNd(kw.index ?? args[1])), kw.source ?? args[2], "each");
};
export const indexPut = (a, args, kw) =>
  written(a, args[0]?.tuple ?? [args[0]], args[1], (kw.accumulate ?? args[2]) ? "each" : "set");
