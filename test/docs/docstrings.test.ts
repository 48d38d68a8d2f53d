/** Every public name is documented where it is declared: editors show that text, and nothing else. */
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, it } from "vitest";
import { root } from "../support/examples.js";

const entries = [
  "src/index.ts",
  "src/jax/index.ts",
  "src/tfjs/index.ts",
  "src/checkpoints/index.ts",
  "src/replicas/index.ts",
];

const read = (path: string): string => readFileSync(root + path, "utf8");

/** Names that a file exports, as [name, file that declares it]; names that it re-exports lead to their own files. */
function exportedBy(path: string): [name: string, file: string][] {
  const text = read(path);
  const lists = [...text.matchAll(/^export (?:type )?\{([^}]*)\} from "(.+?)\.js";/gm)];
  const passedOn = lists.flatMap(([, names, from]) =>
    names
      .split(",")
      .map((name) => name.trim().replace(/^type /, ""))
      .filter((name) => name !== "")
      .map((name): [string, string] => [name, join(dirname(path), `${from}.ts`)]),
  );
  const own = [...text.matchAll(/^export (?:async )?(?:function|class|const|interface|type) (\w+)/gm)];
  return [...passedOn, ...own.map(([, name]): [string, string] => [name, path])];
}

/** The comment directly above a declaration, "" without one. Only a bundler's annotation may stand between. */
function docstringOf(name: string, text: string): string {
  const declaration = new RegExp(
    String.raw`(?:/\*\*((?:(?!\*/)[^])*)\*/\n(?:/\* @__\w+__ \*/\n)?)?^export (?:declare )?(?:abstract )?(?:async )?` +
      String.raw`(?:function|class|const|interface|type) ${name}\b`,
    "m",
  );
  const found = declaration.exec(text);
  if (!found) throw new Error(`no declaration of ${name}`);
  return (found[1] ?? "").replace(/^\s*\*/gm, "").trim();
}

it("finds docstrings, and their absence", () => {
  const text = [
    "/** About the file. */\nimport x from 'x';\n\nexport interface Bare {}",
    "/**\n * Two\n * lines.\n */\nexport async function long() {}",
    "/** Pure. */\n/* @__NO_SIDE_EFFECTS__ */\nexport const pure = 1;",
    "/** About something else. */\n\nexport type Apart = 1;",
  ].join("\n\n");
  expect(["Bare", "long", "pure", "Apart"].map((name) => docstringOf(name, text))).toEqual([
    "",
    "Two\n lines.",
    "Pure.",
    "",
  ]);
});

it("every public name has a docstring directly above its declaration", () => {
  const names = entries.flatMap(exportedBy);
  expect(names.length).toBeGreaterThan(150);
  const bare = names.filter(([name, file]) => docstringOf(name, read(file)).length < 10);
  expect(bare.map(([name, file]) => `${name} (${file})`)).toEqual([]);
});
