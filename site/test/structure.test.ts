/** The house of the site: imports run down only, its parts know nothing of each other, and what runs in a browser needs no Node. */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

/** From the ground up, folders of src; those on one floor do not import each other. */
const FLOORS = [["ui"], ["desk"], ["live"], ["see", "data", "model", "norms", "docs"]];

const source = fileURLToPath(new URL("../src", import.meta.url));
const files = readdirSync(source, { recursive: true, encoding: "utf8" })
  .map((file) => file.replaceAll("\\", "/"))
  .filter((file) => /\.tsx?$/.test(file));

const folderOf = (file: string) => file.split("/")[0];
const floorOf = (folder: string) => FLOORS.findIndex((floor) => floor.includes(folder));

/** What a file imports, and the workers that it starts. */
function importsOf(file: string): string[] {
  const text = readFileSync(join(source, file), "utf8");
  const found = text.matchAll(/\bfrom\s+"([^"]+)"|\bimport\s*\(?\s*"([^"]+)"|new URL\("([^"]+)"/g);
  return [...found].map(([, from, bare, worker]) => from ?? bare ?? worker);
}

test("imports run down", () => {
  expect(files.length).toBeGreaterThan(20);
  const problems = files.flatMap((file) =>
    importsOf(file).flatMap((target) => {
      if (/^node:|^@evenkeel\/lab\/(node\/|cli)/.test(target))
        return `${file} imports ${target}, which needs Node`;
      const path = target.startsWith(".") ? join(dirname(file), target) : undefined;
      if (path === undefined || path.startsWith("..")) return [];
      const [own, other] = [folderOf(file), folderOf(path)];
      if (own === other || !file.includes("/") || !path.includes("/")) return [];
      return floorOf(other) < floorOf(own) ? [] : `${file} imports ${path}, which is not below it`;
    }),
  );
  expect(problems).toEqual([]);
});

test("every folder is on a floor", () => {
  const folders = new Set(files.filter((file) => file.includes("/")).map(folderOf));
  expect([...folders].sort()).toEqual(FLOORS.flat().sort());
});
