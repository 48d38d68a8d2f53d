import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeEach, expect, test } from "vitest";
import { writeFiles } from "../../src/node/whole-file.js";

const folder = mkdtempSync(join(tmpdir(), "evenkeel-whole-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
beforeEach(() => {
  for (const name of readdirSync(folder)) rmSync(join(folder, name));
});

async function* pieces(...texts: (string | Error)[]): AsyncGenerator<Uint8Array> {
  for (const text of texts) {
    if (text instanceof Error) throw text;
    yield new TextEncoder().encode(text);
  }
}
const at = (name: string) => join(folder, name);
const textOf = (name: string) => readFileSync(at(name), "utf8");

test("files in pieces have their names once all are whole", async () => {
  writeFileSync(at("b"), "old");
  const pending = await writeFiles([
    { path: at("a"), parts: pieces("one", "two") },
    { path: at("b"), parts: pieces("new") },
  ]);
  expect(readdirSync(folder).filter((name) => !name.endsWith(".part"))).toEqual(["b"]);
  expect(textOf("b")).toBe("old");
  pending.name();
  expect(readdirSync(folder).sort()).toEqual(["a", "b"]);
  expect([textOf("a"), textOf("b")]).toEqual(["onetwo", "new"]);
});

test("nothing stays of files one of which fails, or is stopped, or that are discarded", async () => {
  const whole = { path: at("a"), parts: pieces("one") };
  await expect(
    writeFiles([whole, { path: at("b"), parts: pieces("half", new Error("gone")) }]),
  ).rejects.toThrow("gone");
  expect(readdirSync(folder)).toEqual([]);
  const stop = new AbortController();
  async function* stopping() {
    yield* pieces("half");
    stop.abort(new Error("stopped"));
    yield* pieces("other half");
  }
  await expect(writeFiles([{ path: at("a"), parts: stopping() }], stop.signal)).rejects.toThrow("stopped");
  expect(readdirSync(folder)).toEqual([]);
  (await writeFiles([{ path: at("a"), parts: pieces("one") }])).discard();
  expect(readdirSync(folder)).toEqual([]);
});
