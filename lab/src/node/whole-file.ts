/** Files that are whole or absent: written under a temporary name, then renamed. */
import { rename, rm, writeFile } from "node:fs/promises";
import { FailureError, reason } from "../errors.js";

/** @throws FailureError, in which `what` names the file's part in the command, where it cannot be written */
export async function writeWhole(path: string, content: string | Uint8Array, what: string): Promise<void> {
  const partial = `${path}.${process.pid}.part`;
  try {
    await writeFile(partial, content);
    await rename(partial, path);
  } catch (error) {
    await rm(partial, { force: true }).catch(() => {});
    throw new FailureError(
      `${what}: cannot write "${path}" (${reason(error)}); free space, allow it, or name another file`,
    );
  }
}
