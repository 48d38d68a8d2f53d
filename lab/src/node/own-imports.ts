/**
 * Where a module of the user's own finds TensorFlow.js and Evenkeel: at the lab's own copies, whatever its folder has. Layers of
 * two copies do not fit together.
 */
import * as nodeModule from "node:module";

/** What the user's module may import, and where it is. */
const places: Readonly<Record<string, string>> = Object.fromEntries([
  ...["@tensorflow/tfjs", "@tensorflow/tfjs-node", "@tensorflow/tfjs-node-gpu"].map((name) => [
    name,
    new URL("../models/tensorflow.js", import.meta.url).href,
  ]),
  ...[
    "@tensorflow/tfjs-core",
    "@tensorflow/tfjs-layers",
    "@tensorflow/tfjs-backend-wasm",
    "evenkeel",
    "evenkeel/tfjs",
  ].map((name) => [name, import.meta.resolve(name)]),
]);

type Resolve = (
  specifier: string,
  context: unknown,
  next: (specifier: string, context: unknown) => unknown,
) => unknown;

/** Node 22.15 and later: for imports and require, in this thread. */
type Registering = { registerHooks?(hooks: { resolve: Resolve }): void };

let isRegistered = false;

/** Once in a thread, before the module is imported. */
export function resolveOwnImports(): void {
  if (isRegistered) return;
  isRegistered = true;
  const { registerHooks } = nodeModule as Registering;
  if (registerHooks !== undefined) {
    registerHooks({
      resolve: (specifier, context, next) =>
        specifier in places ? { url: places[specifier], shortCircuit: true } : next(specifier, context),
    });
    return;
  }
  // before that: a thread of Node's resolves imports, by a module that it is given as text
  const source = `const places = ${JSON.stringify(places)};
export const resolve = (specifier, context, next) =>
  specifier in places ? { url: places[specifier], shortCircuit: true } : next(specifier, context);`;
  nodeModule.register(`data:text/javascript,${encodeURIComponent(source)}`);
}
