/** The module of a user's own network, and what is wrong with one, by its line. What Node makes of it: own-model.command.ts. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { FailureError, UsageError } from "../../dist/errors.js";
// as built: what is tested is what Node makes of a module
import { loadOwnModel, modelFor } from "../../dist/node/own-model.js";
import type { Form } from "../../src/data/form.js";

const folder = mkdtempSync(join(tmpdir(), "evenkeel-own-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const form: Form = { input: { kind: "features", shape: [6] }, outputs: [3] };
const write = (name: string, text: string): string => {
  writeFileSync(join(folder, name), text);
  return join(folder, name);
};

const DENSE = `tf.sequential({ layers: [tf.layers.dense({ units: 8, inputShape }), norm(), tf.layers.dense({ units: outputs, activation: "softmax" })] })`;

test.each([
  ["mjs", "export const units = 8;", 'import { units } from "./width.mjs";\nexport default'],
  // as such modules do, without its ending
  ["js", "exports.units = 8;", 'const { units } = require("./width");\nexports.default ='],
])(
  "a trial takes the module as it was, and no other; what it imports from beside it counts: %s",
  async (ending, width, head) => {
    const helper = write(`width.${ending}`, width);
    const path = write(
      `changing.${ending === "js" ? "cjs" : ending}`,
      `${head} ({ norm, inputShape, outputs, tf }) => ${DENSE};`,
    );
    const { module } = await loadOwnModel(path);
    const settings = { kind: "changing", depth: 1, width: 1, activation: "relu", module } as const;
    expect((await modelFor(settings)).name).toBe("changing");
    writeFileSync(helper, width.replace("8", "9"));
    await expect(modelFor(settings)).rejects.toThrow(
      new FailureError(
        `"${path}" has changed since the comparison was begun; bring back what it was, or begin anew`,
      ),
    );
  },
);

test("which normalizations have no place is found by trying", async () => {
  const own = await loadOwnModel(
    write("places.mjs", `export default ({ norm, inputShape, outputs, tf }) => ${DENSE};`),
  );
  const { model, depth, parameters } = own.on(form);
  expect([model.name, model.title, depth, parameters]).toEqual(["places", "places", 1, 56 + 27]);
  expect(["none", "layer", "batch", "group"].map((norm) => model.unfit?.(norm))).toEqual([
    undefined,
    undefined,
    undefined,
    undefined,
  ]);
  expect(model.unfit?.("weight")).toBe(
    "places.mjs: weight normalization: the network never calls norm.weights(layer)",
  );
  expect(model.unfit?.("instance")).toBe(
    "places.mjs:1: RangeError: instanceNorm: x must have at least 3 axes (batch, channels and at least one of positions), got shape [2, 8]",
  );
});

test("what was decided about it is told", async () => {
  const own = await loadOwnModel(
    write("ends.mjs", `export default ({ norm, inputShape, outputs, tf }) => ${DENSE};`),
  );
  expect(own.on(form).notes).toEqual([
    "the last softmax of ends.mjs left out: the loss is computed from what comes before it",
  ]);
});

const WRITE = "write: export default ({ norm, inputShape, outputs, tf }) => tf.sequential({ layers: [...] })";
test.each<[string, string, string]>([
  [
    "named.mjs",
    "export const build = 1, other = 2;",
    `named.mjs: expected a default export that is a function, got no default export beside "build, other"; ${WRITE}`,
  ],
  [
    "empty.mjs",
    "",
    `empty.mjs: expected a default export that is a function, got no default export; ${WRITE}`,
  ],
  [
    "object.mjs",
    "export default { build: 1 };",
    `object.mjs: expected a default export that is a function, got a default export that is an object; ${WRITE}`,
  ],
  [
    "thrown.mjs",
    "\n\nthrow new Error('no luck');",
    "thrown.mjs:3: it cannot be imported: no luck; mend it, or name another module",
  ],
])("what cannot be used is refused: %s", async (name, text, message) => {
  await expect(loadOwnModel(write(name, text))).rejects.toThrow(new UsageError(message));
});

test("what the function throws is told with its line; other layers' errors too", async () => {
  const throwing = await loadOwnModel(
    write("throwing.mjs", "export default ({ tf }) => {\n  return tf.layerz.dense();\n};"),
  );
  expect(() => throwing.on(form)).toThrow(
    new UsageError("throwing.mjs:2: TypeError: Cannot read properties of undefined (reading 'dense')"),
  );
  const shapeless = await loadOwnModel(
    write("shapeless.mjs", "export default ({ tf, norm }) =>\n  tf.sequential({ layers: [norm()] });"),
  );
  expect(() => shapeless.on(form)).toThrow(
    new UsageError(
      "shapeless.mjs:2: The first layer in a Sequential model must get an `inputShape` or `batchInputShape` argument.",
    ),
  );
});

test("layers that are made once are found before any trial", async () => {
  const path = write(
    "once.mjs",
    `let first;
export default ({ norm, inputShape, outputs, tf }) => {
  first ??= tf.layers.dense({ units: 8, inputShape, name: "first" });
  return tf.sequential({ layers: [first, norm(), tf.layers.dense({ units: outputs })] });
};`,
  );
  const own = await loadOwnModel(path);
  expect(() => own.on(form)).toThrow(
    "once.mjs: expected a new network from each call, got one with first/kernel, which another has too; make all layers within the function",
  );
});

test("a file that is no module is refused before anything is loaded", async () => {
  const message = async (path: string) => (await loadOwnModel(path).catch((error: Error) => error)) as Error;
  const missing = join(folder, "none.mjs");
  const table = write("mine.csv", "a,b\n");
  mkdirSync(join(folder, "folder.js"));
  expect(await message(missing)).toEqual(
    new UsageError(`compare: "${missing}" is not there; name a module whose default export builds a network`),
  );
  expect(await message(join(folder, "folder.js"))).toEqual(
    new UsageError(
      `compare: "${join(folder, "folder.js")}" is no file; name a module whose default export builds a network`,
    ),
  );
  expect(await message(table)).toEqual(
    new UsageError(
      `compare: "${table}": expected a module of JavaScript or TypeScript, which ends in .js, .mjs, .cjs, .ts, .mts or .cts; to name data, use --data "${table}"`,
    ),
  );
});
