/** The site as files for any static host: paths are relative, nothing is inlined, and no page has a script of its own. */
import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";
import { facts } from "./build/facts.ts";
import { missing } from "./build/missing.ts";
import { offline } from "./build/offline.ts";
import { pages } from "./build/pages.ts";
import { policy } from "./build/policy.ts";

const pathOf = (path: string) => fileURLToPath(new URL(path, import.meta.url));

/** How long plugins take is no warning. */
const checks = { pluginTimings: false };

export default defineConfig({
  root: pathOf("."),
  base: "./",
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  resolve: {
    // its own entry for hosts without Node's modules
    alias: { linkedom: "linkedom/worker" },
    dedupe: ["@tensorflow/tfjs-core", "@tensorflow/tfjs-layers"],
  },
  plugins: [facts(), pages(), policy(), missing(), offline()],
  worker: { format: "es", plugins: () => [facts()], rolldownOptions: { checks } },
  build: {
    target: "es2022",
    // a policy allows no data: URLs
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 4096,
    rolldownOptions: {
      checks,
      input: {
        see: pathOf("index.html"),
        data: pathOf("data/index.html"),
        model: pathOf("model/index.html"),
        norms: pathOf("norms/index.html"),
      },
    },
  },
});
