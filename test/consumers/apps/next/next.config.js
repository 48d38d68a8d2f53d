/** Cross-origin isolated, so that threads may share memory: what docs/hosts.md tells. */
export default {
  turbopack: { root: new URL("..", import.meta.url).pathname },
  headers: async () => [
    {
      source: "/(.*)",
      headers: [
        { key: "Cross-Origin-Opener-Policy", value: "same-origin" },
        { key: "Cross-Origin-Embedder-Policy", value: "require-corp" },
      ],
    },
  ],
};
