/** Files that others made, beside the repository: read where that folder is, skipped elsewhere. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { it } from "vitest";

/** `$EVENKEEL_MODELS`, or ../shared/models from the repository. */
const folder =
  process.env.EVENKEEL_MODELS ?? fileURLToPath(new URL("../../../../shared/models", import.meta.url));

/** The path of a file in it. */
export const modelFile = (name: string): string => join(folder, name);

/** A test that needs the file; counted as skipped where it is not there. */
export const itWithModel = (name: string) => it.skipIf(!existsSync(modelFile(name)));
