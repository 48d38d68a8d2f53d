import { defineConfig } from "vitest/config";

const suites = {
  fast: {
    include: ["test", "report/test", "lab/test", "site/test"].map((folder) => `${folder}/**/*.test.ts`),
  },
  // what holds for every row of a large table or in thousands of draws, and takes as long: threads, second derivatives, claims
  slow: { include: ["test/**/*.slow.ts", "lab/test/**/*.slow.ts"] },
  browser: { include: ["test/**/*.browser.ts", "lab/test/**/*.browser.ts"] },
  // the built site in Chromium and Firefox
  site: {
    include: ["site/test/**/*.site.ts"],
    globalSetup: ["site/test/support/setup.ts"],
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
  // the lab's command as its user meets it: processes, signals, folders
  command: { include: ["lab/test/**/*.command.ts"], testTimeout: 120_000, hookTimeout: 120_000 },
  // what runs on a queue or a stream of Redis or PostgreSQL, which the tests start by themselves on this machine
  servers: {
    include: ["test/**/*.server.ts", "lab/test/**/*.server.ts"],
    testTimeout: 300_000,
    hookTimeout: 120_000,
  },
  package: { include: ["test/**/*.package.ts"] },
  // other people's builds, which take long where cores are few
  consumers: {
    include: ["test/**/*.consumer.ts"],
    globalSetup: ["test/consumers/setup.ts"],
    testTimeout: 300_000,
    hookTimeout: 300_000,
  },
};

export default defineConfig({
  test: {
    // vitest leaves one core idle, which is half of two
    maxWorkers: "100%",
    projects: Object.entries(suites).map(([name, suite]) => ({
      test: { name, testTimeout: 60_000, hookTimeout: 60_000, ...suite },
    })),
  },
});
