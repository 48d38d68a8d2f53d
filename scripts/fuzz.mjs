/**
 * Damages the fixtures of every format of checkpoints, 100,000 times each or as often as the first argument says, and reads what comes of
 * it: test/checkpoints/support/fuzz.ts.
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
  "-t",
  "damaged files",
];
const env = { ...process.env, FUZZ: times };
process.exitCode = spawnSync(process.execPath, vitest, { cwd: root, env, stdio: "inherit" }).status ?? 1;
