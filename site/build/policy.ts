/** What the pages may load: what is theirs. Written into each page, so that it holds on hosts that send no header of their own. */
import type { Plugin } from "vite";

/** As `Content-Security-Policy` has it. Figures bring styles as attributes, which need 'unsafe-inline'; scripts never do. */
export const POLICY = [
  "default-src 'self'",
  "script-src 'self' 'wasm-unsafe-eval'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data:",
  "object-src 'none'",
  "base-uri 'none'",
  "form-action 'none'",
].join("; ");

export const policy = (): Plugin => ({
  name: "policy",
  apply: "build",
  transformIndexHtml: () => [
    {
      tag: "meta",
      attrs: { "http-equiv": "Content-Security-Policy", content: POLICY },
      injectTo: "head-prepend",
    },
  ],
});
