import { expect, test } from "vitest";
import { type Change, checked, culpritsAmong } from "../../src/doctor/check.js";
import { differenceOf, errorOf, toleranceOf } from "../../src/doctor/differences.js";
import { madeSamples } from "../../src/doctor/inputs.js";
import { type ModelFile, type Runtime, RuntimeError, type TensorData } from "../../src/doctor/runtime.js";

/** One step of a chain of steps, each of the value before: as it was, as it is with the change, and in float64. */
interface Step extends Change {
  was(x: number): number;
  is(x: number): number;
}

const float = (values: number[]): TensorData => ({
  dtype: "float32",
  shape: [values.length],
  values: Float32Array.from(values),
});

/** A chain of steps `v0 → v1 → ...`, run here: what a file holds is which changes there are, and what is observed. */
function chainOf(steps: Omit<Step, "gives" | "truth">[], { right = (x: number) => x } = {}) {
  const chain = steps.map(
    (step, at): Step => ({
      ...step,
      gives: [`v${at + 1}`],
      async truth(reads) {
        const x = reads.get(`v${at}`)?.values as Float32Array;
        return new Map([[`v${at + 1}`, Float64Array.from(x, right)]]);
      },
    }),
  );
  let opened = 0;
  let open = 0;
  const runtime: Runtime = {
    name: "chain",
    version: "1",
    async open([file]) {
      const text = new TextDecoder().decode(await file.slice(0, file.byteLength));
      const { changes, observe }: { changes: number[]; observe: string[] } = JSON.parse(text);
      opened++;
      open++;
      const run = (feeds: Readonly<Record<string, TensorData>>): Record<string, TensorData> => {
        const values: Record<string, TensorData> = { v0: feeds.v0 };
        for (const [at, { was, is }] of chain.entries()) {
          const of = changes.includes(at) ? is : was;
          values[`v${at + 1}`] = float(Array.from(values[`v${at}`].values as Float32Array, of));
        }
        return values;
      };
      const names = [`v${chain.length}`, ...observe];
      return {
        inputs: [{ name: "v0", dtype: "float32", shape: [""] }],
        outputs: names.map((name) => ({ name, dtype: "float32", shape: [""] })),
        async run(feeds, outputs = [`v${chain.length}`]) {
          const values = run(feeds);
          return Object.fromEntries(outputs.map((name) => [name, values[name]]));
        },
        time: async (_, turns) => new Array(turns).fill(changes.length > 0 ? 1 : 2),
        async close() {
          open--;
        },
      };
    },
    async close() {},
  };
  const write = async (changes: readonly Step[], observe: readonly string[] = []): Promise<ModelFile[]> => {
    const text = JSON.stringify({ changes: changes.map((change) => chain.indexOf(change)), observe });
    return [
      {
        name: "chain",
        byteLength: text.length,
        slice: () => new TextEncoder().encode(text).buffer,
      },
    ];
  };
  const check = () =>
    checked({
      runtime,
      changes: chain,
      samples: madeSamples([{ name: "v0", dtype: "float32", shape: [16] }], new Map()),
      write,
    });
  return { chain, check, counts: () => ({ opened, open }) };
}

const same = (x: number) => x;
const reads = (at: number) => [`v${at}`];

test("changes that move nothing stay, and speed is told; no network stays open", async () => {
  const { chain, check, counts } = chainOf(
    [0, 1, 2].map((at) => ({ was: same, is: same, reads: reads(at) })),
  );
  const { kept, takenBack, compared, nearness, speed } = await check();
  expect([kept, takenBack]).toEqual([chain, []]);
  expect(compared.map(({ moved }) => moved)).toEqual([false, false, false, false, false]);
  expect([...nearness.values()]).toEqual(
    [0, 1, 2].map(() => ({ before: 0, after: 0, floor: expect.any(Number) })),
  );
  expect(speed).toMatchObject({ before: 2, after: 1 });
  expect(counts().open).toBe(0);
});

test("a change that moves an output and is farther from float64 is taken back, the others stay", async () => {
  const { chain, check } = chainOf([
    { was: same, is: same, reads: reads(0) },
    { was: same, is: (x) => 1.001 * x, reads: reads(1) },
    { was: same, is: same, reads: reads(2) },
  ]);
  const { kept, takenBack, compared } = await check();
  expect(kept).toEqual([chain[0], chain[2]]);
  expect(takenBack).toEqual([
    { change: chain[1], why: "it is farther from float64 than before, and moves an output" },
  ]);
  expect(compared.some(({ moved }) => moved)).toBe(false);
});

test("a change that moves an output because it is nearer to float64 stays", async () => {
  const { chain, check } = chainOf([{ was: (x) => 1.01 * x, is: same, reads: reads(0) }]);
  const { kept, compared, nearness } = await check();
  expect(kept).toEqual(chain);
  expect(compared[0].moved).toBe(true);
  const near = nearness.get(chain[0]);
  expect(near?.before).toBeCloseTo(0.01, 5);
  expect(near?.after).toBe(0);
});

test("what was not finite and is now has been mended", async () => {
  const overflowing = (x: number) => (Math.abs(x) > 255 ? Number.POSITIVE_INFINITY : x);
  const { check, chain } = chainOf([{ was: overflowing, is: same, reads: reads(0) }]);
  const { kept, compared } = await check();
  expect(kept).toEqual(chain);
  expect(compared.map(({ differences: [{ mended }] }) => mended)).toEqual([0, 16, 1, 0, 0]);
  const back = await chainOf([{ was: same, is: overflowing, reads: reads(0) }]).check();
  expect(back.kept).toEqual([]);
});

test("of what cannot be observed, the one that moves an output is found by halves", async () => {
  const { chain, check } = chainOf(
    Array.from({ length: 9 }, (_, at) => ({ was: same, is: at === 5 ? (x) => 1.1 * x : same })),
  );
  const { kept, takenBack } = await check();
  expect(takenBack).toEqual([
    { change: chain[5], why: "it moves an output, and cannot be compared with float64" },
  ]);
  expect(kept).toHaveLength(8);
});

test("one that the runtime refuses is taken back, with its words", async () => {
  const refused = (x: number): number => {
    if (x !== 0) throw new RuntimeError("refused", "no kernel");
    return x;
  };
  const { chain, check } = chainOf([0, 1, 2, 3].map((at) => ({ was: same, is: at === 2 ? refused : same })));
  const { kept, takenBack, speed } = await check();
  expect(takenBack).toEqual([{ change: chain[2], why: "chain does not run it: no kernel" }]);
  expect(kept).toHaveLength(3);
  expect(speed).toBeDefined();
  const whole = chainOf([{ was: refused, is: same }]);
  await expect(whole.check()).rejects.toThrow("no kernel");
  expect(whole.counts().open).toBe(0);
});

test("culprits by halves: each once, in few trials", async () => {
  const all = Array.from({ length: 64 }, (_, i) => i);
  let trials = 0;
  const found = await culpritsAmong(all, async (some) => {
    trials++;
    return !some.includes(17) && !some.includes(40);
  });
  expect(found).toEqual([17, 40]);
  expect(trials).toBeLessThan(30);
});

test("differences are relative to the largest value, and shapes must agree", () => {
  expect(differenceOf("y", float([1, -4, 0]), float([1, -4, 0.004]))).toMatchObject({
    largest: 4,
    mended: 0,
  });
  expect(differenceOf("y", float([1, -4, 0]), float([1, -4, 0.004])).difference).toBeCloseTo(0.001, 6);
  expect(differenceOf("y", float([1]), float([Number.NaN])).difference).toBe(Infinity);
  expect(differenceOf("y", float([1]), { ...float([1]), shape: [1, 1] }).difference).toBe(Infinity);
  expect(differenceOf("y", float([1, Infinity]), float([1, 5]))).toMatchObject({ difference: 0, mended: 1 });
  expect(toleranceOf("float32")).toBeCloseTo(1e-5, 6);
  expect([toleranceOf("int64", 0.1), toleranceOf("float16", 0.1)]).toEqual([0, 0.1]);
  expect(errorOf([1, 2], [1, 4])).toBe(0.5);
  expect(errorOf([1, Number.NaN], [1, 4])).toBe(Infinity);
});
