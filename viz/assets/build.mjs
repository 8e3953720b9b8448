// Builds built/ from src/: one script and one style sheet that the Python package puts into each page.
// Its first line holds a hash of all sources, so that a test can say whether it is fresh without node.
import { build } from "esbuild";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

const sources = [
  ...readdirSync("src")
    .sort()
    .map((name) => join("src", name)),
  "build.mjs",
  "package.json",
  "package-lock.json",
];
const hash = createHash("sha256");
for (const name of sources)
  hash.update(name.replaceAll("\\", "/")).update("\0").update(readFileSync(name)).update("\0");

const options = {
  bundle: true,
  minify: true,
  write: false,
  format: "iife",
  target: ["es2022"],
  charset: "ascii",
  legalComments: "none",
  metafile: true,
};
const script = await build({ ...options, entryPoints: ["src/main.js"] });
const style = await build({ ...options, entryPoints: ["src/page.css"] });

// The licence of every package of which something is in the bundle.
const inside = new Set();
for (const [name, file] of Object.entries(Object.values(script.metafile.outputs)[0].inputs)) {
  const found = /node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(name);
  if (found && file.bytesInOutput > 0) inside.add(found[1]);
}
const licences = [...inside].sort().map((name) => {
  const folder = join("node_modules", name);
  const about = JSON.parse(readFileSync(join(folder, "package.json")));
  const file = ["LICENSE", "LICENSE.md", "LICENSE.txt", "license"].map((f) => join(folder, f)).find(existsSync);
  if (!file) throw new Error(`${name} ${about.version} (${about.license}) has no licence file in ${dirname(folder)}`);
  return `${name} ${about.version} (${about.license})\n\n${readFileSync(file, "utf8").trim()}\n`;
});
const listed = `The script of viz.page holds parts of these packages:\n\n${licences.join("\n----\n\n")}`;
const comment = listed.replaceAll("*/", "* /").replaceAll("</", "< /");

mkdirSync("built", { recursive: true });
writeFileSync("built/page.js", `/* sources: ${hash.digest("hex")}\n\n${comment}*/\n${script.outputFiles[0].text}`);
writeFileSync("built/page.css", style.outputFiles[0].text);
writeFileSync("built/page.html", readFileSync("src/page.html"));
writeFileSync("built/LICENSES.txt", listed);
console.log(`built/page.js ${script.outputFiles[0].text.length} bytes of code, with ${[...inside].sort().join(", ")}`);
