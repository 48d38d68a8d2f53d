/** Cross-origin isolated, so that threads may share memory: what docs/hosts.md tells. */
export default {
  server: {
    host: "127.0.0.1",
    headers: {
      "Cross-Origin-Opener-Policy": "same-origin",
      "Cross-Origin-Embedder-Policy": "require-corp",
    },
  },
};
