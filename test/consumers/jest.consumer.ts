/** Jest: its own loader of modules, and two transforms to CommonJS, each in both environments. */
import { cpSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, it } from "vitest";
import { folder, run } from "./project.js";

/** The test, under the name that each way takes it by. */
const ways = { modules: "check.test.mjs", babel: "check.test.js", typescript: "check.test.ts" };
beforeAll(() => {
  for (const test of Object.values(ways)) {
    cpSync(join(folder(), "jest/check.mjs"), join(folder(), "jest", test));
  }
});

it.each(Object.keys(ways).flatMap((way) => ["node", "jsdom"].map((environment) => ({ way, environment }))))(
  "$way, $environment",
  async ({ way, environment }) => {
    const jest = join(folder(), "node_modules/jest/bin/jest.js");
    const loader = way === "modules" ? ["--experimental-vm-modules"] : [];
    // throws where a test fails, or where there is none
    await run(
      "jest",
      process.execPath,
      ...loader,
      jest,
      "--config",
      `jest-${way}.json`,
      "--env",
      environment,
      "--no-cache",
    );
  },
);
