/** The one place that names the worker's file, in the form that bundlers recognize. */
export const workerFromFile = (): Worker =>
  new Worker(new URL("./thread.js", import.meta.url), { type: "module" });
