/** Files for the data tests, in a folder that goes with the test file, and the errors that reading them gives. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";

const folder = mkdtempSync(join(tmpdir(), "evenkeel-data-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** The path of `name` in the folder, whether or not it is there. */
export function pathOf(name: string): string {
  return join(folder, name);
}

/** Writes a file and gives its path. */
export function write(name: string, content: string | Uint8Array): string {
  writeFileSync(pathOf(name), content);
  return pathOf(name);
}

/** "Class: message" of the error that `action` ends in, without the path of the folder; "none" without one. */
export async function errorOf(action: () => unknown): Promise<string> {
  try {
    await action();
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    return `${error.constructor.name}: ${error.message.replaceAll(`${folder}/`, "")}`;
  }
  return "none";
}
