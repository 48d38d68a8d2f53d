/** The page that static hosts show where there is none. They show it at any depth, so it refers to nothing by a path but upwards. */
import { STYLE } from "@evenkeel/report/style";
import type { Plugin } from "vite";
import { POLICY } from "./policy.ts";

const PAGE = `<!doctype html>
<html lang="en">
  <head>
    <meta http-equiv="Content-Security-Policy" content="${POLICY}" />
    <meta charset="utf-8" />
    <meta name="viewport" content="width=device-width, initial-scale=1" />
    <meta name="color-scheme" content="light dark" />
    <title>No such page · Evenkeel</title>
    <link rel="icon" href="data:," />
    <style>${STYLE}.page{padding-block:15vh}a{color:var(--link)}</style>
  </head>
  <body>
    <main class="page">
      <p class="eyebrow">Evenkeel</p>
      <h1>There is no such page</h1>
      <p>Look for it <a href="./">in this folder</a> or <a href="../">in the one above</a>.</p>
    </main>
  </body>
</html>
`;

export const missing = (): Plugin => ({
  name: "missing",
  apply: "build",
  buildStart() {
    this.emitFile({ type: "asset", fileName: "404.html", source: PAGE });
  },
});
