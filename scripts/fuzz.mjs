/**
 * Damages files of every format of checkpoints and of tables, and networks, 100,000 times each or as often as the first argument says, and
 * reads what comes of it: test/checkpoints/support/fuzz.ts, lab/test/data/readers/fuzz.test.ts, test/onnx/random-graphs.test.ts. Of random
 * networks around normalizations a tenth as many are mended, and run beside what they were.
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
  "test/onnx/random-graphs",
  "-t",
  "damaged files|random networks",
];
const env = { ...process.env, FUZZ: times };
process.exitCode = spawnSync(process.execPath, vitest, { cwd: root, env, stdio: "inherit" }).status ?? 1;
