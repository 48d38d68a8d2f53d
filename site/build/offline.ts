/** The service worker: what it keeps is known once everything is built. Each page registers it by a script of its own. */
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";
import type { Plugin } from "vite";

/** Beside index.html, since a worker serves its own folder and what is below. */
const NAME = "offline.js";

/** What pages consist of; data and ONNX Runtime are kept when they are used, but for the digits, on which the first page trains. */
const KEPT = /\.(html|js|css|svg|png|woff2)$|\/tfjs-backend-wasm-simd-[^/]*\.wasm$|\/digits[^/]*$/;

export const offline = (): Plugin => ({
  name: "offline",
  apply: "build",
  transformIndexHtml: {
    order: "pre",
    handler: () => [
      { tag: "script", attrs: { type: "module", src: "/src/ui/offline.ts" }, injectTo: "head" },
    ],
  },
  buildStart() {
    this.emitFile({
      type: "chunk",
      id: fileURLToPath(new URL("../offline/worker.ts", import.meta.url)),
      fileName: NAME,
    });
  },
  writeBundle: {
    order: "post",
    sequential: true,
    handler({ dir = "" }) {
      const worker = join(dir, NAME);
      const files = readdirSync(dir, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) => join(entry.parentPath, entry.name))
        .sort();
      const hash = createHash("sha256");
      for (const file of files) hash.update(relative(dir, file)).update("\0").update(readFileSync(file));
      const names = files
        .filter((file) => file !== worker)
        .map((file) => relative(dir, file).split(sep).join("/"));
      const list = names.filter((name) => KEPT.test(name));
      const head = `const VERSION=${JSON.stringify(hash.digest("hex").slice(0, 16))},FILES=${JSON.stringify(list)};\n`;
      writeFileSync(worker, head + readFileSync(worker, "utf8"));
    },
  },
});
