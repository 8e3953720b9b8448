// A learner's formula in Python's syntax: parsed by Lezer's grammar of Python, and walked here. Nothing is ever made into
// code: a name is looked up among the graph's arrays, a function among library.js's, and there is nothing else.
import { parser } from "@lezer/python";
import * as more from "./combine.js";
import { alone, constants, operate, operators, plain, shared, total } from "./library.js";
import * as nd from "./nd.js";
import { asNd, isArray, map, refuse } from "./nd.js";
import { misplaced, misspelt } from "./spelling.js";

const LOOPS = 200000,
  LONGEST = 4000;

// variables: Map from name to Nd or number; unknown(name): the message for a name that is not among them.
// answer: the variable that holds the answer, where the formula assigns to it and does not end with an expression.
export function evaluate(text, variables, unknown = (name) => `there is no ${name} here`, answer = null) {
  text = text.replace(/\r\n?/g, "\n").trim();
  if (!text) refuse("write a formula first");
  if (text.length > LONGEST) refuse(`a formula has at most ${LONGEST} characters`);
  const wrong = misspelt(text);
  if (wrong) refuse(wrong);
  nd.refill();
  const own = new Map();
  let loops = 0,
    result;

  const children = (node) => {
    const out = [];
    for (let c = node.firstChild; c; c = c.nextSibling) if (c.name !== "Comment") out.push(c);
    return out;
  };
  const said = (node) => text.slice(node.from, node.to);
  const tree = parser.parse(text + "\n");
  tree.iterate({
    enter: (n) => {
      if (n.type.isError) refuse(misplaced(text, n.from, n.to));
    },
  });

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
    const args = [],
      kw = Object.create(null),
      parts = children(list).filter((c) => !["(", ")", ","].includes(c.name));
    if (parts.some((p) => p.name === "for")) args.push(comprehend(parts));
    else
      for (let i = 0; i < parts.length; i++) {
        if (parts[i + 1]?.name === "AssignOp") {
          kw[said(parts[i])] = value(parts[i + 2]);
          i += 2;
        } else if (parts[i].name === "*") args.push(...nd.entries(value(parts[++i])));
        else args.push(value(parts[i]));
      }
    const whole = path(target),
      root = whole?.split(".")[0];
    if (whole && !known(root)) {
      const name = whole.replace(/^(torch\.nn\.functional|nn\.functional|np|numpy|torch|mg|minigrad|math|F)\./, ""),
        numpy = /^np$|^numpy$/.test(root);
      if (name === "add.at") mine(args[0], "np.add.at");
      // where numpy and torch mean something else by one name
      if (numpy && /^(var|std)$/.test(name)) kw.ddof ??= 0;
      if (numpy && /^(array_)?split$/.test(name) && plain(args[1])) return more.chunk(asNd(args[0]), args.slice(1), kw);
      if (numpy && name === "repeat") return more.repeat(asNd(args[0]), args.slice(1), kw);
      if (name === "sum" && whole === name && args.length === 1)
        return nd.reduce(asNd(args[0]), { tuple: [0] }, false, total);
      if (alone.has(name)) return alone.get(name)(args, kw);
      if (shared.has(name)) {
        if (!args.length) refuse(`${name}() needs an array`);
        const found = shared.get(name)(asNd(args[0]), args.slice(1), kw);
        if (numpy && found?.indices) delete found.indices;
        return found;
      }
      refuse(`there is no function ${whole} here`);
    }
    if (target.name !== "MemberExpression") refuse(`${said(target)} cannot be called`);
    const [base, , method] = children(target),
      name = said(method),
      a = asNd(value(base));
    if (shared.has(name)) return shared.get(name)(a, args, kw);
    const plainly = name.replace(/_$/, "");
    if (plainly === name || !shared.has(plainly)) refuse(`an array has no .${name}() here`);
    mine(a, `.${name}()`); // torch's names that end in _ change the array itself
    const changed = nd.expandTo(asNd(shared.get(plainly)(a, args, kw)), a.s);
    a.d.set(changed.d);
    return a;
  };
  // What changes an array may change the learner's own, never the graph's.
  const mine = (a, what) => {
    for (const x of variables.values())
      if (isArray(x) && x.d === a?.d) refuse(`${what} changes an array of your own: copy this one first`);
  };
  // Names for the parts of a value: `i, y`, `(a, b)`.
  const bind = (targets, given) => {
    targets = targets.filter((t) => t.name !== ",");
    if (targets.length === 1 && targets[0].name === "VariableName") return own.set(said(targets[0]), given);
    if (targets.length === 1 && targets[0].name === "TupleExpression")
      return bind(children(targets[0]).slice(1, -1), given);
    const parts = given?.indices ? pair(given) : nd.entries(given);
    if (parts.length !== targets.length) refuse(`${targets.length} names for ${parts.length} values`);
    targets.forEach((t, i) => (t.name === "MemberExpression" ? assign(t, parts[i], null) : bind([t], parts[i])));
  };
  const once = () => {
    if (++loops > LOOPS) refuse(`loops run at most ${LOOPS} times here`);
  };
  // [expression, for, names, in, list, if, condition ...] as a list
  const comprehend = (parts) => {
    const out = [],
      before = new Map(own);
    const from = (k) => {
      if (k >= parts.length) return void out.push(value(parts[0]));
      if (parts[k].name === "if") return truth(value(parts[k + 1])) && from(k + 2);
      const at = parts.findIndex((p, i) => i > k && p.name === "in");
      for (const x of nd.entries(value(parts[at + 1]))) {
        once();
        bind(parts.slice(k + 1, at), x);
        from(at + 2);
      }
    };
    from(1);
    own.clear();
    for (const [name, x] of before) own.set(name, x);
    return { tuple: out, list: true };
  };
  const sliced = (list, slice) => [...nd.take(nd.fromList([...list.keys()]), [{ slice }]).d].map((i) => list[i]);
  const pair = (a) => [new nd.Nd(a.s, a.d), a.indices]; // torch's max(dim): (values, indices)
  const truth = (x) => {
    const a = asNd(x);
    return a.d.length === 1 ? !!a.d[0] : refuse("a condition is one number, not an array: use where()");
  };
  const items = (node) => {
    // the parts between [ and ], slices among them
    const inside = children(node).slice(2, -1),
      out = [[]];
    for (const part of inside) part.name === "," ? out.push([]) : out.at(-1).push(part);
    if (!out.at(-1).length) out.pop();
    return out.flatMap((group) => {
      if (group.some((p) => p.name === ":")) {
        const slice = [null, null, null];
        let k = 0;
        for (const p of group) {
          if (p.name === ":") k++;
          else slice[k] = +asNd(value(p)).d[0];
        }
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
      case "Number": {
        const x = Number(said(node).replaceAll("_", ""));
        return Number.isNaN(x) ? refuse(`${said(node)} is no number`) : x;
      }
      case "Boolean":
        return said(node) === "True";
      case "None":
        return null;
      case "String":
        return said(node).replace(/^['"]+|['"]+$/g, "");
      case "ArrayComprehensionExpression":
      case "ComprehensionExpression":
        return comprehend(c.slice(1, -1));
      case "VariableName": {
        const name = said(node);
        if (own.has(name)) return own.get(name);
        return variables.has(name) ? variables.get(name) : refuse(unknown(name));
      }
      case "ParenthesizedExpression":
        return value(c[1]);
      case "TupleExpression":
      case "ArrayExpression":
        return {
          tuple: c
            .slice(1, -1)
            .filter((p) => p.name !== ",")
            .map(value),
          list: node.name[0] === "A",
        };
      case "UnaryExpression": {
        const sign = said(c[0]),
          x = value(c[1]);
        const f =
          { "-": (v) => -v, "+": (v) => v, "~": (v) => +!v, not: (v) => +!v }[sign] ??
          refuse(`${sign} is not known here`);
        if (plain(x)) return f(+x);
        const out = map(asNd(x), f);
        out.mask = !!x.mask && sign === "~";
        return out;
      }
      case "BinaryExpression":
        return operate(said(c[1]), value(c[0]), value(c[2]));
      case "ConditionalExpression":
        return truth(value(c[2])) ? value(c[0]) : value(c[4]);
      case "CallExpression":
        return call(node);
      case "MemberExpression": {
        if (said(c[1]) === "[") {
          const base = value(c[0]),
            at = items(node);
          if (base?.tuple) {
            const i = at[0];
            if (i?.slice) return { ...base, tuple: sliced(base.tuple, i.slice) };
            return base.tuple.at(i) ?? refuse(`there is no [${i}] in ${said(c[0])}`);
          }
          if (base?.indices && c[0].name === "CallExpression" && at.length === 1 && plain(at[0]))
            return pair(base)[+at[0]] ?? refuse("max and min along a dim give values and indices, [0] and [1]");
          return nd.take(asNd(base), at);
        }
        const name = said(c[2]);
        if (["np", "torch", "math"].includes(said(c[0])))
          return constants.has(name) ? constants.get(name) : refuse(`${said(node)} is not known here`);
        const a = asNd(value(c[0]));
        switch (name) {
          case "T":
          case "mT":
            return nd.transpose(
              a,
              a.s.map((_, i) => a.s.length - 1 - i),
            );
          case "shape":
            return { tuple: a.s };
          case "size":
            return a.d.length;
          case "ndim":
            return a.s.length;
          case "values":
          case "data":
            return a;
          case "flat":
            return nd.reshape(a, [-1]);
          case "indices":
            return a.indices ?? refuse("only max and min along a dim have .indices");
          case "dtype":
            return 0;
          default:
            return refuse(`an array has no .${name} here`);
        }
      }
      default:
        return refuse(`${said(node).slice(0, 30)} is not part of what this page understands`);
    }
  };
  const assign = (target, given, how) => {
    if (target.name === "VariableName") {
      own.set(said(target), how ? operate(how, value(target), given) : given);
      return;
    }
    const [base] = children(target),
      name = said(base);
    if (target.name !== "MemberExpression" || base.name !== "VariableName" || said(children(target)[1]) !== "[")
      refuse(`cannot assign to ${said(target)}`);
    if (!own.has(name))
      refuse(
        variables.has(name)
          ? `${name} is the graph's own: copy it first, as in x = ${name}.copy()`
          : `${name} is not there yet: make it first, as in ${name} = np.zeros_like(${name.slice(1) || "x"})`,
      );
    nd.put(
      asNd(own.get(name)),
      items(target),
      given,
      how ? (operators[how] ?? refuse(`${how}= is not known here`)) : "set",
    );
  };
  const run = (node) => {
    const c = children(node);
    switch (node.name) {
      case "Script":
      case "StatementGroup":
        c.filter((n) => n.name !== ";").forEach(run);
        return;
      case "Body":
        c.slice(1).forEach(run);
        return;
      case "ExpressionStatement": {
        const found = c.length > 1 ? { tuple: c.filter((p) => p.name !== ",").map(value) } : value(c[0]);
        if (found !== null) result = { value: found };
        return;
      }
      case "AssignStatement": {
        // a = b = x, and a, b = x, y
        const groups = [[]];
        for (const part of c)
          if (part.name === "AssignOp") groups.push([]);
          else if (part.name !== "TypeDef") groups.at(-1).push(part);
        const last = groups.pop().filter((p) => p.name !== ","),
          given = last.length > 1 ? { tuple: last.map(value) } : value(last[0]);
        for (const [target, ...others] of groups)
          if (others.length || target.name === "TupleExpression") bind([target, ...others], given);
          else assign(target, isArray(given) ? nd.copy(given) : given, null);
        result = { name: said(c[0]).split("[")[0] };
        return;
      }
      case "IfStatement": {
        for (let i = 0; i < c.length; i++) {
          if (/^(el)?if$/.test(c[i].name) && !truth(value(c[i + 1]))) continue;
          const body = c.slice(i).find((p) => p.name === "Body");
          if (/^(el)?if$|^else$/.test(c[i].name)) return run(body);
        }
        return;
      }
      case "UpdateStatement":
        assign(c[0], value(c[2]), said(c[1]).slice(0, -1));
        result = { name: said(c[0]).split("[")[0] };
        return;
      case "ForStatement": {
        const at = c.findIndex((p) => p.name === "in");
        for (const x of nd.entries(value(c[at + 1]))) {
          once();
          bind(c.slice(1, at), x);
          run(c.at(-1));
        }
        return;
      }
      case "PassStatement":
        return;
      case "ImportStatement":
        if (/^(import|from)\s+(numpy|torch|math|minigrad)\b/.test(said(node))) return; // they are here as it is
        return refuse(`${said(node).split("\n")[0]}: only formulas, assignments, if and for work here`);
      case "ReturnStatement":
        result = { value: value(c[1]) };
        return;
      default:
        refuse(`${said(node).slice(0, 30)}: only formulas, assignments, if and for work here`);
    }
  };
  try {
    run(tree.topNode);
    const found = result && "value" in result ? result.value : own.get(own.has(answer) ? answer : result?.name);
    return found === undefined ? refuse("this gives no value: end with the formula") : asNd(found);
  } catch (error) {
    if (error instanceof nd.Refused) throw error;
    throw new nd.Refused(`this cannot be worked out: ${error.message}`);
  }
}
