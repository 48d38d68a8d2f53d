/** Classes of layers of the user's own, which a saved network names and does not hold: from a module that registers them. */
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { quote } from "@evenkeel/report/format";
import type { LayersModel } from "@tensorflow/tfjs-layers";
import { reason, UsageError } from "../errors.js";
import { readModel } from "./model-file.js";
import { resolveOwnImports } from "./own-imports.js";
import { startTensorFlow } from "./tensorflow.js";

/**
 * A network that `read` gives, whose classes are those of TensorFlow.js, Keras, Evenkeel and `module`, which calls
 * tf.serialization.registerClass for each of its own. `unknown` says from a message of `read` that a class is not known.
 * @throws UsageError for a module that cannot be imported, and for a class that is in none of them
 */
export async function withLayersOf(
  module: string | undefined,
  read: () => Promise<LayersModel>,
  unknown: (message: string) => string | undefined,
): Promise<LayersModel> {
  if (module !== undefined) await importModule(module);
  try {
    return await read();
  } catch (error) {
    const told = unknown(reason(error));
    if (told === undefined) throw error;
    const remedy =
      module === undefined
        ? "name a module that registers it with --layers FILE.js (tf.serialization.registerClass, of @tensorflow/tfjs)"
        : `call tf.serialization.registerClass for it in ${quote(module, 100)}`;
    throw new UsageError(`${told}; ${remedy}`);
  }
}

/** The network of a file, as `readModel`. Throws as that and `withLayersOf`. */
export const readModelWith = (module: string | undefined, path: string): Promise<LayersModel> =>
  withLayersOf(
    module,
    () => readModel(path),
    (message) => /^(.*: its class \S+ is not known); /s.exec(message)?.[1],
  );

async function importModule(module: string): Promise<void> {
  if (!existsSync(module)) {
    throw new UsageError(`--layers: there is no such file ${quote(module, 200)}; check the path`);
  }
  await startTensorFlow();
  resolveOwnImports();
  try {
    await import(pathToFileURL(resolve(module)).href);
  } catch (error) {
    throw new UsageError(
      `--layers: ${quote(module, 200)} cannot be imported: ${quote(reason(error), 300).slice(1, -1)}; bring a module of JavaScript (.js, .mjs) that registers its classes with tf.serialization.registerClass`,
    );
  }
}
