/**
 * Damages files of every format of checkpoints and of tables, 100,000 times each or as often as the first argument says, and reads what
 * comes of it: test/checkpoints/support/fuzz.ts, lab/test/data/readers/fuzz.test.ts.
 */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const [times = "100000"] = process.argv.slice(2);
const vitest = [
  `${root}node_modules/vitest/vitest.mjs`,
  "run",
  "--project",
  "fast",
  "test/checkpoints",
  "lab/test/data/readers/fuzz",
  "-t",
  "damaged files",
];
const env = { ...process.env, FUZZ: times };
process.exitCode = spawnSync(process.execPath, vitest, { cwd: root, env, stdio: "inherit" }).status ?? 1;
