// What is said of a formula that is no Python, and the name that was meant by one that is not there.

const NOT_PYTHON = [
  ["×", "*"],
  ["·", "*"],
  ["÷", "/"],
  ["−", "-"],
  ["–", "-"],
  ["²", "**2"],
  ["³", "**3"],
  ["ᵀ", ".T"],
  ["⊤", ".T"],
  ["≥", ">="],
  ["≤", "<="],
];
// Before anything is parsed: signs that look right on paper. Text in a comment may hold what it likes.
export function misspelt(text) {
  const code = text.replace(/#.*/g, "");
  for (const [sign, python] of NOT_PYTHON) if (code.includes(sign)) return `${sign} is not Python: write ${python}`;
  if (code.includes("^"))
    return /\^\s*T\b/.test(code) ? "^T is not Python: write .T" : "^ is no power in Python: write **";
  return null;
}

// An error of the parser from one place to another: which line, and what is likely meant.
export function misplaced(text, from, to) {
  const lines = text.slice(0, from).split("\n"),
    n = lines.length,
    whole = text.split("\n"),
    where = whole.length > 1 ? `line ${n} is not Python` : "this is not Python";
  for (let i = 1; i < whole.length; i++) {
    const indent = (k) => /^\s*/.exec(whole[k])[0].length;
    if (/:\s*(#.*)?$/.test(whole[i - 1]) && whole[i].trim() && indent(i) <= indent(i - 1))
      return `line ${i + 1} must stand further in: it comes after a line that ends in ":"`;
  }
  const open = [];
  for (const c of text.replace(/#.*/g, "")) {
    if ("([{".includes(c)) open.push(c);
    if (")]}".includes(c) && open.pop() !== "([{"[")]}".indexOf(c)]) return `${where}: there is a ${c} too many`;
  }
  if (open.length) return `${where}: a ${open.at(-1)} is not closed`;
  const near = text.slice(Math.max(0, from - 8, lines.slice(0, -1).join("\n").length), to + 8).trim();
  return near ? `${where} at ${JSON.stringify(near)}` : `${where}: it ends too early`;
}

const ALIASES = new Map([
  ["true", "Python writes True"],
  ["false", "Python writes False"],
  ["none", "Python writes None"],
  ["null", "Python writes None"],
  ["self", "a formula needs no self"],
]);
export const alias = (name) => ALIASES.get(name) ?? null;

// The known name that is one or two letters away from this one.
export function nearest(name, known) {
  let best = null,
    least = name.length < 2 ? 1 : name.length < 5 ? 2 : 3;
  for (const other of known) {
    if (other.toLowerCase() === name.toLowerCase()) return other;
    if (Math.abs(other.length - name.length) >= least) continue;
    let row = Array.from({ length: other.length + 1 }, (_, i) => i);
    for (let i = 1; i <= name.length; i++) {
      const next = [i];
      for (let j = 1; j <= other.length; j++)
        next.push(Math.min(row[j] + 1, next[j - 1] + 1, row[j - 1] + (name[i - 1] !== other[j - 1])));
      row = next;
    }
    if (row.at(-1) < least) [least, best] = [row.at(-1), other];
  }
  return best;
}
