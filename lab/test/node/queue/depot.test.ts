/** The depot in a folder; those in Redis and PostgreSQL hold to the same: depot.server.ts. */
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { folderDepot } from "../../../src/node/queue/depot.js";
import { errorOf, pathOf, write } from "../../support/files.js";
import { describeDepot, noise } from "./depots.js";

let folders = 0;
const next = () => pathOf(`depot ${folders++}`);

describeDepot("a folder", 2 ** 20 - 2 ** 10, async () => {
  const folder = next();
  const files = () => readdirSync(folder).map((name) => join(folder, name));
  return {
    open: () => folderDepot(folder),
    async chunks() {
      return files().filter((path) => path.includes("."));
    },
    async manifest() {
      return files().find((path) => !path.includes(".")) as string;
    },
    async set(path, content) {
      if (content) writeFileSync(path, content);
      else rmSync(path);
    },
    async sizeOf(path) {
      return statSync(path).size;
    },
  };
});

test("has nothing of which some part could not be written: the manifest comes last", async () => {
  const folder = next();
  const bytes = noise(3 * 2 ** 20);
  const hash = createHash("sha256").update(bytes).digest("hex");
  // stands in the way
  mkdirSync(join(folder, `${hash}.1`), { recursive: true });
  const depot = folderDepot(folder);
  expect(await errorOf(() => depot.put("ab".repeat(32), bytes))).toMatch(/^FailureError: cannot write into/);
  expect(await depot.has("ab".repeat(32))).toBe(false);
  expect(readdirSync(folder)).not.toContain("ab".repeat(32));
});

test("nothing is left of what could not be written, and the error says what to do", async () => {
  const file = write("no folder", "");
  const depot = folderDepot(file);
  expect(await errorOf(() => depot.put("ab".repeat(32), noise(10)))).toBe(
    'FailureError: cannot write into the folder "no folder" (EEXIST: file already exists); free space or allow it, or name another one that every machine sees',
  );
  expect(await errorOf(() => depot.get("ab".repeat(32)))).toMatch(/^FailureError: cannot read the folder/);
});
