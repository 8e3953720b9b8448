// A learner's formula in Python's syntax: parsed by Lezer's grammar of Python, and walked here. Nothing is ever made into
// code: a name is looked up among the graph's arrays, a function among library.js's, and there is nothing else.
import { parser } from "@lezer/python";
import { alone, constants, operate, operators, plain, shared } from "./library.js";
import * as nd from "./nd.js";
import { asNd, isArray, map, refuse } from "./nd.js";

const LOOPS = 200000,
  LONGEST = 4000;

// variables: Map from name to Nd or number; unknown(name): the message for a name that is not among them.
// answer: the variable that holds the answer, where the formula assigns to it and does not end with an expression.
export function evaluate(text, variables, unknown = (name) => `there is no ${name} here`, answer = null) {
  text = text.replace(/\r\n?/g, "\n").trim();
  if (!text) refuse("write a formula first");
  if (text.length > LONGEST) refuse(`a formula has at most ${LONGEST} characters`);
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
      if (n.type.isError)
        refuse(
          `this is not Python at ${JSON.stringify(text.slice(Math.max(0, n.from - 8), n.to + 8).trim() || "the end")}`,
        );
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
    for (let i = 0; i < parts.length; i++) {
      if (parts[i + 1]?.name === "AssignOp") {
        kw[said(parts[i])] = value(parts[i + 2]);
        i += 2;
      } else args.push(value(parts[i]));
    }
    const whole = path(target),
      root = whole?.split(".")[0];
    if (whole && !known(root)) {
      const name = whole.replace(/^(np|numpy|torch|mg|minigrad|math)\.|^(torch\.nn\.functional|F)\./, "");
      if (name === "add.at" && ![...own.values()].includes(args[0]))
        refuse("np.add.at changes an array of your own: copy this one first");
      if (alone.has(name)) return alone.get(name)(args, kw);
      if (shared.has(name)) {
        if (!args.length) refuse(`${name}() needs an array`);
        return shared.get(name)(asNd(args[0]), args.slice(1), kw);
      }
      refuse(`there is no function ${whole} here`);
    }
    if (target.name !== "MemberExpression") refuse(`${said(target)} cannot be called`);
    const [base, , method] = children(target),
      name = said(method);
    if (!shared.has(name)) refuse(`an array has no .${name}() here`);
    return shared.get(name)(asNd(value(base)), args, kw);
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
        return plain(x) ? f(+x) : map(asNd(x), f);
      }
      case "BinaryExpression":
        return operate(said(c[1]), value(c[0]), value(c[2]));
      case "ConditionalExpression":
        return asNd(value(c[2])).d[0] ? value(c[0]) : value(c[4]);
      case "CallExpression":
        return call(node);
      case "MemberExpression": {
        if (said(c[1]) === "[") {
          const base = value(c[0]),
            at = items(node);
          if (base?.tuple) {
            const i = at[0];
            return base.tuple.at(i) ?? refuse(`there is no [${i}] in ${said(c[0])}`);
          }
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
            return a;
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
    if (!own.has(name)) refuse(`${name} is the graph's own: copy it first, as in x = ${name}.copy()`);
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
      case "ExpressionStatement":
        result = { value: value(c[0]) };
        return;
      case "AssignStatement": {
        const given = value(c.at(-1));
        for (let i = 0; i < c.length - 1; i += 2) assign(c[i], isArray(given) ? nd.copy(given) : given, null);
        result = { name: said(c[0]).split("[")[0] };
        return;
      }
      case "UpdateStatement":
        assign(c[0], value(c[2]), said(c[1]).slice(0, -1));
        result = { name: said(c[0]).split("[")[0] };
        return;
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
      case "PassStatement":
        return;
      default:
        refuse(`${said(node).slice(0, 30)}: only formulas, assignments and loops over range(...) work here`);
    }
  };
  try {
    run(tree.topNode);
    const found = !result
      ? undefined
      : "value" in result && result.value !== null
        ? result.value
        : own.get(own.has(answer) ? answer : result.name);
    return found === undefined ? refuse("this gives no value: end with the formula") : asNd(found);
  } catch (error) {
    if (error instanceof nd.Refused) throw error;
    throw new nd.Refused(`this cannot be worked out: ${error.message}`);
  }
}
