/** The one place that names the worker's file, written as bundlers look for it. */
export const workerFromFile = (): Worker =>
  new Worker(new URL("./thread.js", import.meta.url), { type: "module" });
