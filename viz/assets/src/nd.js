// Arrays with numpy's meaning: {s: shape, d: Float64Array}. A budget keeps a learner's formula from hanging the page.

export class Refused extends Error {}
export const refuse = (text) => {
  throw new Refused(text);
};

let left = 0;
export const refill = (n = 4e7) => {
  left = n;
};
export const spend = (n) => {
  if ((left -= n) < 0) refuse("this takes too long to work out here: use whole arrays, not loops");
};

export const size = (s) => s.reduce((a, b) => a * b, 1);
export const show = (s) => (s.length === 1 ? `(${s[0]},)` : `(${s.join(", ")})`);
export const isArray = (x) => x instanceof Nd;

export class Nd {
  // mask: made by a comparison, and so an index of the kind that says yes or no
  constructor(s, d, mask = false) {
    this.s = s;
    this.d = d;
    this.mask = mask;
  }
}
export const make = (s, fill = 0) => {
  const n = size(s);
  if (!s.every((x) => Number.isInteger(x) && x >= 0)) refuse(`${show(s)} is no shape`);
  spend(n);
  const d = new Float64Array(n);
  if (fill) d.fill(fill);
  return new Nd(s, d);
};
export const asNd = (x) => {
  if (isArray(x)) return x;
  if (typeof x === "number" || typeof x === "boolean") return new Nd([], Float64Array.of(+x));
  if (x?.range) return fromList(rangeList(x));
  if (x?.tuple) return stack(x.tuple.map(asNd));
  return refuse("this is no array or number");
};
export const rangeList = ({ range: [a, b, c] }) => {
  const out = [];
  if (!c) refuse("the step of a range is not 0");
  spend(Math.max(0, Math.ceil((b - a) / c)));
  for (let i = a; c > 0 ? i < b : i > b; i += c) out.push(i);
  return out;
};
// What a loop goes over: the numbers of a range, the entries of a list, the rows of an array.
export const entries = (x) => {
  if (x?.range) return rangeList(x);
  if (x?.tuple) return x.tuple;
  if (!isArray(x) || !x.s.length) refuse("a loop goes over range(...), a list or an array");
  const n = x.s[0],
    m = x.d.length / (n || 1);
  spend(x.d.length + n);
  return Array.from({ length: n }, (_, i) =>
    x.s.length === 1 ? x.d[i] : new Nd(x.s.slice(1), x.d.slice(i * m, (i + 1) * m), x.mask),
  );
};
export const fromList = (list) => new Nd([list.length], Float64Array.from(list));
export const stack = (rows) => {
  if (!rows.length) return new Nd([0], new Float64Array());
  const s = rows[0].s;
  if (rows.some((r) => show(r.s) !== show(s)))
    refuse(`these have different shapes: ${[...new Set(rows.map((r) => show(r.s)))].slice(0, 3).join(", ")}`);
  const out = make([rows.length, ...s]);
  rows.forEach((r, i) => out.d.set(r.d, i * size(s)));
  out.mask = rows.every((r) => r.mask);
  return out;
};
const strides = (s) => {
  const out = [];
  let n = 1;
  for (let i = s.length; i--;) {
    out[i] = n;
    n *= s[i];
  }
  return out;
};

export const broadcast = (...shapes) => {
  const n = Math.max(...shapes.map((s) => s.length));
  const out = new Array(n).fill(1);
  for (const s of shapes)
    s.forEach((x, i) => {
      const j = n - s.length + i;
      if (x !== 1) {
        if (out[j] !== 1 && out[j] !== x) refuse(`shapes ${shapes.map(show).join(" and ")} do not go together`);
        out[j] = x;
      }
    });
  return out;
};
// The flat position in an array of shape s for each element of the broadcast shape `to`.
const spread = (s, to) => {
  const n = size(to),
    pos = new Int32Array(n);
  if (n === 0) return pos;
  const st = strides(s),
    lead = to.length - s.length;
  const step = to.map((_, i) => (i < lead || s[i - lead] === 1 ? 0 : st[i - lead]));
  const at = new Array(to.length).fill(0);
  let p = 0;
  for (let k = 0; k < n; k++) {
    pos[k] = p;
    for (let i = to.length; i--;) {
      p += step[i];
      if (++at[i] < to[i]) break;
      p -= step[i] * to[i];
      at[i] = 0;
    }
  }
  return pos;
};
export const map = (a, f) => {
  spend(a.d.length);
  const out = new Float64Array(a.d.length);
  for (let i = 0; i < out.length; i++) out[i] = f(a.d[i]);
  return new Nd(a.s, out);
};
export const zip = (a, b, f) => {
  a = asNd(a);
  b = asNd(b);
  const s = broadcast(a.s, b.s),
    out = make(s),
    n = out.d.length;
  spend(n);
  const same = (x) => x.d.length === n;
  const p = same(a) ? null : spread(a.s, s),
    q = same(b) ? null : spread(b.s, s);
  for (let i = 0; i < n; i++) out.d[i] = f(a.d[p ? p[i] : i], b.d[q ? q[i] : i]);
  return out;
};
export const where = (c, x, y) => {
  c = asNd(c);
  x = asNd(x);
  y = asNd(y);
  const s = broadcast(c.s, x.s, y.s),
    out = make(s),
    [p, q, r] = [c, x, y].map((a) => spread(a.s, s));
  for (let i = 0; i < out.d.length; i++) out.d[i] = c.d[p[i]] ? x.d[q[i]] : y.d[r[i]];
  return out;
};
export const expandTo = (a, s) => {
  if (show(broadcast(a.s, s)) !== show(s)) refuse(`shape ${show(a.s)} does not broadcast to ${show(s)}`);
  return zip(a, make(s), (x) => x);
};
const axisOf = (k, n) =>
  Number.isInteger(k) && k >= -n && k < n
    ? (k + n) % n
    : refuse(`axis ${k} is out of bounds for an array of ${n} dimensions`);

// f(values: Float64Array) -> number, over some axes (null: all).
export const reduce = (a, axis, keep, f) => {
  const n = a.s.length;
  const axes =
    axis === null || axis === undefined ? a.s.map((_, i) => i) : (axis.tuple ?? [axis]).map((k) => axisOf(k, n));
  const rest = a.s.map((_, i) => i).filter((i) => !axes.includes(i));
  const order = transpose(a, [...rest, ...axes]),
    m = size(axes.map((i) => a.s[i]));
  const outS = keep ? a.s.map((x, i) => (axes.includes(i) ? 1 : x)) : rest.map((i) => a.s[i]);
  const out = make(outS);
  for (let i = 0; i < out.d.length; i++) out.d[i] = f(order.d.subarray(i * m, (i + 1) * m));
  return out;
};
export const transpose = (a, dims) => {
  const n = a.s.length;
  dims = dims.map((k) => axisOf(k, n));
  if (new Set(dims).size !== n) refuse("a transpose names each dimension once");
  if (dims.every((k, i) => k === i)) return a;
  const s = dims.map((i) => a.s[i]),
    st = strides(a.s),
    step = dims.map((i) => st[i]),
    out = make(s),
    at = new Array(n).fill(0);
  let p = 0;
  for (let k = 0; k < out.d.length; k++) {
    out.d[k] = a.d[p];
    for (let i = n; i--;) {
      p += step[i];
      if (++at[i] < s[i]) break;
      p -= step[i] * s[i];
      at[i] = 0;
    }
  }
  out.mask = a.mask;
  return out;
};
export const reshape = (a, s) => {
  const open = s.indexOf(-1),
    n = a.d.length;
  if (open >= 0) s = s.map((x, i) => (i === open ? n / size(s.filter((_, j) => j !== open)) : x));
  if (size(s) !== n || !s.every((x) => Number.isInteger(x) && x >= 0))
    refuse(`cannot reshape ${show(a.s)} into ${show(s)}`);
  return new Nd(s, a.d, a.mask);
};
export const copy = (a) => {
  spend(a.d.length);
  return new Nd(a.s, a.d.slice(), a.mask);
};
export const matmul = (a, b) => {
  a = asNd(a);
  b = asNd(b);
  if (!a.s.length || !b.s.length) refuse("@ takes arrays, not numbers: use *");
  const A = a.s.length === 1 ? [1, a.s[0]] : a.s,
    B = b.s.length === 1 ? [b.s[0], 1] : b.s;
  const [n, k] = A.slice(-2),
    [k2, m] = B.slice(-2);
  if (k !== k2) refuse(`shapes ${show(a.s)} @ ${show(b.s)} do not go together: ${k} and ${k2} must be the same`);
  const lead = broadcast(A.slice(0, -2), B.slice(0, -2)),
    L = size(lead);
  spend(L * n * m * k);
  const out = make([...lead, n, m]),
    p = spread(A.slice(0, -2), lead),
    q = spread(B.slice(0, -2), lead);
  for (let l = 0; l < L; l++)
    for (let i = 0; i < n; i++)
      for (let j = 0; j < k; j++) {
        const x = a.d[(p[l] * n + i) * k + j];
        for (let c = 0; c < m; c++) out.d[(l * n + i) * m + c] += x * b.d[(q[l] * k + j) * m + c];
      }
  let s = out.s;
  if (a.s.length === 1) s = [...s.slice(0, -2), s.at(-1)];
  if (b.s.length === 1) s = s.slice(0, -1);
  return new Nd(s, out.d);
};

// A mask as the places where it is true, an array a dimension.
const places = (mask, s, dim) => {
  if (mask.s.some((n, i) => n !== s[dim + i]))
    refuse(`a mask of shape ${show(mask.s)} does not fit an array of shape ${show(s)}`);
  const out = mask.s.map(() => []);
  for (let k = 0; k < mask.d.length; k++) {
    if (!mask.d[k]) continue;
    let rest = k;
    for (let i = mask.s.length; i--;) {
      out[i].push(rest % mask.s[i]);
      rest = Math.floor(rest / mask.s[i]);
    }
  }
  return out.map(fromList);
};
const isMask = (x) => isArray(x) && x.mask && x.s.length > 0;

// Where x[index] stands: {s, pos}. Items: numbers, slices, null (None), "...", arrays, masks.
export const positions = (s, items) => {
  items = items.map((x) => (x?.tuple ? asNd(x) : x));
  const takes = (x) => (x === null || x === "..." ? 0 : isMask(x) ? x.s.length : 1);
  const used = items.reduce((n, x) => n + takes(x), 0);
  if (used > s.length) refuse(`${used} indices for an array of shape ${show(s)}`);
  const at = items.indexOf("...");
  const rest = new Array(s.length - used).fill({ slice: [null, null, null] });
  items = at < 0 ? [...items, ...rest] : [...items.slice(0, at), ...rest, ...items.slice(at + 1)];
  let before = 0;
  items = items.flatMap((x) => {
    const found = isMask(x) ? places(x, s, before) : [x];
    before += takes(x);
    return found;
  });
  const st = strides(s),
    parts = [],
    arrays = [];
  let dim = 0,
    first = -1,
    apart = false,
    lastArray = -1;
  items.forEach((item, i) => {
    if (item === null) return parts.push({ n: 1, offset: () => 0 });
    const n = s[dim],
      step = st[dim];
    dim++;
    if (item?.slice) {
      let [a, b, c] = item.slice;
      c ??= 1;
      if (!c) refuse("the step of a slice is not 0");
      const [low, high] = c > 0 ? [0, n] : [-1, n - 1];
      const fix = (x, none) => (x === null ? none : Math.min(high, Math.max(low, x < 0 ? x + n : x)));
      a = fix(a, c > 0 ? 0 : n - 1);
      b = fix(b, c > 0 ? n : -1);
      return parts.push({ n: Math.max(0, Math.ceil((b - a) / c)), offset: (k) => (a + k * c) * step });
    }
    const array = asNd(item);
    if (first < 0) first = parts.length;
    else if (lastArray !== i - 1) apart = true;
    lastArray = i;
    arrays.push({ array, n, step });
  });
  let shapeOf = [];
  if (arrays.length) {
    shapeOf = broadcast(...arrays.map((x) => x.array.s));
    const all = new Float64Array(size(shapeOf));
    for (const { array, n, step } of arrays) {
      const p = spread(array.s, shapeOf);
      for (let k = 0; k < all.length; k++) {
        const v = array.d[p[k]];
        if (!Number.isInteger(v) || v < -n || v >= n) refuse(`index ${v} is out of bounds for size ${n}`);
        all[k] += (v < 0 ? v + n : v) * step;
      }
    }
    parts.splice(apart ? 0 : first, 0, { n: all.length, offset: (k) => all[k], shape: shapeOf });
  }
  const out = [],
    sizes = parts.map((p) => p.n),
    n = size(sizes),
    pos = new Int32Array(n),
    c = new Array(parts.length).fill(0);
  spend(n);
  parts.forEach((p) => out.push(...(p.shape ?? [p.n])));
  for (let k = 0; k < n; k++) {
    let p = 0;
    for (let i = 0; i < c.length; i++) p += parts[i].offset(c[i]);
    pos[k] = p;
    for (let i = c.length; i--;) {
      if (++c[i] < sizes[i]) break;
      c[i] = 0;
    }
  }
  return { s: out, pos };
};
export const take = (a, items) => {
  const { s, pos } = positions(a.s, items),
    out = make(s);
  for (let i = 0; i < pos.length; i++) out.d[i] = a.d[pos[i]];
  out.mask = a.mask;
  return out;
};
// repeats: add every one, as np.add.at; else each place once, as `a[i] += v`.
export const put = (a, items, v, how) => {
  const { s, pos } = positions(a.s, items);
  v = expandTo(asNd(v), s);
  const old = how === "each" ? null : a.d.slice();
  for (let i = 0; i < pos.length; i++) {
    const p = pos[i];
    if (how === "set") a.d[p] = v.d[i];
    else if (how === "each") a.d[p] += v.d[i];
    else a.d[p] = how(old[p], v.d[i]);
  }
};
