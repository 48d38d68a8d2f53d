/**
 * Other frameworks' own results (test/fixtures/goldens), every case of every one: outputs, gradients and what is kept after
 * each step, in float64 on the reference backend and in float32 on the wasm backend. What Evenkeel has nothing for is listed.
 */
import { readFileSync } from "node:fs";
import { afterAll, describe, expect, it } from "vitest";
import { open } from "../../src/index.js";
import { addons } from "./goldens/addons.js";
import { fastai } from "./goldens/fastai.js";
import { flax } from "./goldens/flax.js";
import { missingOf, prove } from "./goldens/golden.js";
import { keras } from "./goldens/keras.js";
import { keras2 } from "./goldens/keras2.js";
import { libraries } from "./goldens/libraries.js";
import { models } from "./goldens/models.js";
import { mxnet } from "./goldens/mxnet.js";
import { pytorch } from "./goldens/pytorch.js";

const truth = await open({ backend: "reference" });
const wasm = await open({ backend: "wasm", threads: 1 });
const said: Record<string, Record<string, { ours?: string | string[] | null }>> = JSON.parse(
  readFileSync(new URL("../fixtures/goldens/mapping.json", import.meta.url), "utf8"),
);
const frameworks = { pytorch, fastai, keras, keras2, addons, flax, mxnet, libraries, models };

describe.each(
  Object.entries(frameworks).map(([key, framework]) => ({ key, framework, name: framework.file.framework })),
)("$name", ({ key, framework }) => {
  const { file, mappings, missing } = framework;
  const proven = new Set<string>();
  const inPart: string[] = [];
  let surrounded = 0;
  const keyOf = ({ of, name }: (typeof file.cases)[number]) => `${of}: ${name}`;

  it.each(file.cases.filter((c) => missingOf(framework, c) === undefined).map((c) => ({ key: keyOf(c), c })))(
    "$key",
    ({ key: name, c }) => {
      const mapping = mappings[c.of];
      if (!mapping) expect.fail(`${c.of} has neither a mapping nor a line in \`missing\``);
      const mapped = mapping(c);
      if (typeof mapped === "function") mapped();
      else {
        mapped.also?.();
        for (const ek of [truth, wasm]) prove(ek, c, mapped);
        if (mapped.norm.name === c.of) surrounded++;
      }
      if ("lacks" in mapped) inPart.push(`${name}: in part, ${mapped.lacks}`);
      else proven.add(name);
    },
  );

  it("lists nothing as missing that is not there, and maps nothing twice", () => {
    const keys = new Set(file.cases.flatMap((c) => [c.of, keyOf(c)]));
    expect(Object.keys(missing).filter((key) => !keys.has(key))).toEqual([]);
    expect(Object.keys(mappings).filter((of) => of in missing || !keys.has(of))).toEqual([]);
    const cased = new Set(file.cases.map(({ of }) => of));
    expect(file.offered.filter((of) => !cased.has(of))).toEqual([]);
  });

  it("is mapped in the docs where it is proven, and nowhere else", () => {
    const ours = file.offered.filter((of) => said[key]?.[of]?.ours);
    expect(ours).toEqual(file.offered.filter((of) => of in mappings));
  });

  afterAll(() => {
    const lines = [...Object.entries(missing).map(([key, why]) => `${key}: missing, ${why}`), ...inPart];
    console.log(
      [
        `${file.framework} ${file.version}: ${proven.size} of ${file.cases.length} cases proven, ${inPart.length} in part; ` +
          `${surrounded} with something around the normalization`,
        ...lines,
      ].join("\n    "),
    );
  });
});
