import { defineConfig } from "vitest/config";

const suites = {
  fast: ["test/**/*.test.ts", "report/test/**/*.test.ts", "lab/test/**/*.test.ts"],
  browser: ["test/**/*.browser.ts", "lab/test/**/*.browser.ts"],
  package: ["test/**/*.package.ts"],
};

export default defineConfig({
  test: {
    projects: Object.entries(suites).map(([name, include]) => ({
      test: { name, include, testTimeout: 60_000, hookTimeout: 60_000 },
    })),
  },
});
