/** The version of Evenkeel, which is the lab's too. */
import { createRequire } from "node:module";

const manifest: { version: string } = createRequire(import.meta.url)("evenkeel/package.json");
export const { version } = manifest;
