/** The arithmetic, tables and behaviour of the benchmark; no time is asserted. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { catalog } from "evenkeel";
import { afterAll, describe, expect, it } from "vitest";
import { evaluate, microsecondsOver, speedBars, timesFaster } from "../bench/bars.mjs";
import {
  bytesMoved,
  type Case,
  cases,
  choose,
  contestants,
  formulas,
  hasReference,
  modelCase,
  nameOf,
  provenOn,
  sizeOf,
  takesPart,
} from "../bench/cases.mjs";
import { combine, guarded, kindOf, worse } from "../bench/guard.mjs";
import { copiesOf, inputsOf, maskOf, worstError } from "../bench/inputs.mjs";
import { Field } from "../bench/measure.mjs";
import { renderPage } from "../bench/page.mjs";
import { encodeModel } from "../bench/peers/onnx.mjs";
import {
  absencesOf,
  barText,
  type Results,
  readmeSection,
  speedSection,
  tensorflowSection,
  terminal,
  timeText,
  withSection,
} from "../bench/report.mjs";
import { quantile, ratioOf } from "../bench/statistics.mjs";

describe("statistics", () => {
  it("interpolates quantiles of unsorted values", () => {
    expect(quantile([4, 1, 3, 2], 0.5)).toBe(2.5);
    expect(quantile([10, 0], 0.2)).toBe(2);
    expect(quantile([7], 0.8)).toBe(7);
  });

  it("takes ratios within turns, so that drift of both cancels", () => {
    expect(ratioOf([2, 4, 8, 16, 200], [1, 2, 4, 8, 100])).toEqual({ ratio: 2, noise: 0 });
    // p20 and p80 of 1, 2, 3, 4, 5 are 1.8 and 4.2
    expect(ratioOf([1, 2, 3, 4, 5], [1, 1, 1, 1, 1])).toEqual({ ratio: 3, noise: expect.closeTo(0.4, 12) });
  });

  it("measures an error against the size of what was summed, and lets no NaN through", () => {
    expect(worstError([1, 3.5], { values: [1, 3], scale: 1 })).toBe(0.125);
    expect(worstError([12], { values: [10], scale: 90 })).toBe(0.02);
    expect(worstError([Number.NaN, 1], { values: [1, 1], scale: 1 })).toBeNaN();
    expect(() => worstError([1], { values: [1, 2], scale: 1 })).toThrow(
      "worstError: actual must have 2 values, got 1",
    );
  });
});

describe("the guard", () => {
  const quiet = { ratio: 2, noise: 0.01 };

  it("lets pass what lies within the noise of both runs, and names the rest with what was allowed", () => {
    expect(worse({ a: quiet }, { a: { ratio: 2.29, noise: 0.01 } })).toEqual([]);
    expect(worse({ a: quiet }, { a: { ratio: 2.31, noise: 0.01 } })).toEqual([
      { name: "a", recorded: quiet, now: { ratio: 2.31, noise: 0.01 }, allowed: expect.closeTo(2.3, 12) },
    ]);
    // 2·√(0.12² + 0.16²) = 0.4
    expect(worse({ a: { ratio: 2, noise: 0.12 } }, { a: { ratio: 2.79, noise: 0.16 } })).toEqual([]);
    expect(worse({ a: { ratio: 2, noise: 0.12 } }, { a: { ratio: 2.81, noise: 0.16 } })).toHaveLength(1);
  });

  it("finds nothing wrong with what is faster, or was not recorded", () => {
    expect(worse({ a: quiet }, { a: { ratio: 0.1, noise: 0 }, b: { ratio: 9, noise: 0 } })).toEqual([]);
  });

  it("records the worst of its runs, and the most of their noise", () => {
    const runs = [
      { a: { ratio: 1.8, noise: 0.05 } },
      { a: { ratio: 2.6, noise: 0.02 } },
      { a: { ratio: 2, noise: 0.0412 } },
    ];
    expect(combine(runs)).toEqual({ a: { ratio: 2.6, noise: 0.05 } });
  });

  it("keeps kinds of engine apart", () => {
    expect(kindOf({ node: "20.19.1", relaxedSimd: false })).toBe("Node 20");
    expect(kindOf({ node: "24.0.0", relaxedSimd: true })).toBe("Node 24 with relaxed SIMD");
  });

  it("measures every norm and layout", () => {
    const kinds = (some: Case[]) =>
      new Set(some.map(({ norm, residual, masked, layout }) => `${norm} ${residual} ${masked} ${layout}`));
    const normalizations = cases.filter((one) => hasReference(one) && !one.passes.includes("evaluate"));
    expect(kinds(guarded)).toEqual(kinds(normalizations));
    expect(guarded.every(({ passes }) => passes.length > 0)).toBe(true);
  });
});

describe("the tables", () => {
  it("have every case of the issue, once", () => {
    const names = cases.flatMap((one) => one.passes.map((pass) => nameOf(one, pass)));
    expect(new Set(names).size).toBe(names.length);
    const rows = "1x64 32x64 32x768 512x768 4096x1024 16384x2048 64x65536 1x1000000 100000x32".split(" ");
    const images = ["32x64x56x56 channelsFirst", "32x56x56x64 channelsLast", "8x256x14x14 channelsFirst"];
    images.push("8x14x14x256 channelsLast");
    for (const shape of rows) expect(names).toContain(`layer ${shape} both`);
    for (const pass of ["forward", "backward"]) {
      for (const norm of ["layer", "rms"]) {
        for (const shape of rows) expect(names).toContain(`${norm} ${shape} ${pass}`);
        expect(names).toContain(`${norm}+residual 512x768 ${pass}`);
        expect(names).toContain(`${norm}+mask 32x64x768 ${pass}`);
      }
      for (const norm of ["batch", "batch-eval", "group", "instance"]) {
        for (const shape of images) expect(names).toContain(`${norm} ${shape} ${pass}`);
      }
      expect(names).toContain(`batch+mask 32x56x56x64 channelsLast ${pass}`);
    }
  });

  it("have every normalization of the catalog that takes features, on rows and on images", () => {
    const names = new Set(cases.map((one) => nameOf(one)));
    const taking = Object.values(catalog).filter(({ about }) => about.takes === "features");
    expect(taking.length).toBeGreaterThan(15);
    for (const { about } of taking) {
      // layer normalization is what the others are measured by
      if (about.name === "layerNorm") continue;
      expect(names).toContain(`${about.name} 512x768`);
      expect(names).toContain(`${about.name} 8x56x56x64`);
    }
    for (const name of Object.keys(formulas)) {
      if (name !== "layerNorm") expect(names).toContain(`${name} 8x56x56x64`);
    }
  });

  it("give every contestant something to do, and every bar cases in which both take part", () => {
    const some = (...ids: string[]) =>
      cases.filter((one) =>
        one.passes.some((pass) => ids.every((id) => takesPart(contestants[id], one, pass))),
      );
    // a model is timed where one is given
    const given = ["a model folded vs as shipped"];
    for (const id of Object.keys(contestants)) if (id !== "tfjs-folded") expect(some(id), id).not.toEqual([]);
    for (const { title, ours, theirs, norms, pass } of speedBars) {
      const those = some(ours, theirs).filter((one) => norms.includes(one.norm));
      if (!given.includes(title)) expect(choose(those, [` ${pass}`]), title).not.toEqual([]);
    }
  });

  it("time a yardstick where it differs from the case, on a task of its own", () => {
    const part = (id: string, name: string) => {
      const [one] = choose(cases, [name]);
      return takesPart(contestants[id], one, one.passes[0]) && nameOf(contestants[id].instead?.(one) ?? one);
    };
    expect(part("evenkeel-plain-1", "dynamicTanh 512x768")).toBe("layerNorm 512x768");
    expect(part("tfjs-plain", "dynamicTanh 512x768")).toBe("layerNorm 512x768");
    expect(part("evenkeel-plain-2", "batch+mask 32x64x768")).toBe("batch 32x64x768");
    expect(part("tfjs-batch-norm", "batchNorm 4x16 evaluate")).toBe("batch-eval 4x16");
    expect(part("evenkeel-plain-1", "layer 512x768")).toBe(false);
    expect(part("evenkeel-plain-2", "batch 8x14x14x256")).toBe(false);
  });

  it("validate a formula on a part of the batch, its features whole", () => {
    const shapeOf = (norm: string, shape: number[]) =>
      provenOn({ norm, residual: false, shape, passes: ["both"] }).shape;
    expect(shapeOf("dynamicTanh", [4096, 1024])).toEqual([256, 1024]);
    expect(shapeOf("dynamicTanh", [8, 56, 56, 64])).toEqual([2, 28, 56, 64]);
    expect(shapeOf("dynamicTanh", [32, 768])).toEqual([32, 768]);
    expect(shapeOf("layer", [4096, 1024])).toEqual([4096, 1024]);
  });

  it("take a model's shape from its manifest", () => {
    const model = (batchInputShape: unknown) => ({
      modelTopology: {
        model_config: { config: { layers: [{ config: { batch_input_shape: batchInputShape } }] } },
      },
    });
    const one = modelCase("folder", model([null, 224, 224, 3]));
    expect(one).toMatchObject({
      norm: "model",
      model: "folder",
      shape: [1, 224, 224, 3],
      passes: ["predict"],
    });
    expect(() => modelCase("folder", model([null, null, 3]))).toThrow(
      "model.json gives its first layer no whole batch_input_shape, but [null,null,3]",
    );
    expect(() => modelCase("folder", {})).toThrow("no whole batch_input_shape");
  });

  it("pad examples along their first axis of positions", () => {
    const one: Case = { norm: "layer", residual: false, masked: true, shape: [3, 8, 2], passes: ["forward"] };
    const mask = maskOf(one, inputsOf(one));
    expect(mask?.shape).toEqual([3, 8]);
    const counted = Array.from(mask?.data ?? []).filter(Boolean).length;
    expect(counted).toBeGreaterThanOrEqual(12);
    expect(counted).toBeLessThan(24);
    const first: Case = { ...one, norm: "batch", shape: [3, 2, 8, 8], layout: "channelsFirst" };
    expect(maskOf(first, inputsOf(first))?.shape).toEqual([3, 1, 8]);
    expect(maskOf({ ...one, layout: undefined }, inputsOf({ ...one, masked: false }))).toBeUndefined();
  });

  it("expect of a loop of copies the sum of what it reads", () => {
    const one: Case = { norm: "layer", residual: true, shape: [1, 2], passes: ["forward", "backward"] };
    const inputs = Object.fromEntries(
      Object.entries({ x: 1, residual: 10, dy: 100, dSum: 1000 }).map(([name, value]) => [
        name,
        Float32Array.of(value, value),
      ]),
    );
    const values = (copy: "memcpy" | "loop") => {
      const { forward, backward } = copiesOf(copy, one, inputs);
      return [forward?.y.values[0], (backward?.dx ?? backward?.y)?.values[0]];
    };
    expect(values("loop")).toEqual([11, 1101]);
    expect(values("memcpy")).toEqual([1, 1]);
  });

  it("choose by parts of names", () => {
    const chosen = choose(cases, ["rms 32x64 b", "transformer"]);
    expect(chosen.flatMap((one) => one.passes.map((pass) => nameOf(one, pass)))).toEqual([
      "rms 32x64 backward",
      "transformer 16x64x128 step",
    ]);
  });

  it("count each array once that must move", () => {
    const bytes = (name: string, pass: "forward" | "backward" | "both") => {
      const one = cases.find((each) => nameOf(each) === name);
      return one && bytesMoved(one, pass) / 4;
    };
    // x, y; gamma, beta; mean, variance
    expect(bytes("layer 32x64", "forward")).toBe(2 * 2048 + 2 * 64 + 2 * 32);
    // dy, x, dx; gamma, dGamma, dBeta; mean, variance
    expect(bytes("layer 32x64", "backward")).toBe(3 * 2048 + 3 * 64 + 2 * 32);
    // no beta, no mean; residual and sum forward, dSum backward
    expect(bytes("rms+residual 512x768", "both")).toBe(8 * 393216 + (1 + 2) * 768 + 2 * 512);
    // a formula: x, y; dy, x, dx
    expect(bytes("dynamicTanh 512x768", "both")).toBe(5 * 393216);
    expect(bytes("layer+mask 32x64x768", "forward")).toBe(2 * 1572864 + 2 * 768 + 2 * 32 * 64);
    // of half the bytes, statistics aside
    expect(bytes("layer+float16 4096x1024", "forward")).toBe(4194304 + 2 * 1024 + 2 * 4096);
    expect(bytes("group 8x14x14x256 channelsLast", "forward")).toBe(2 * 401408 + 2 * 256 + 2 * 8 * 8);
    expect(bytes("instance 8x256x14x14 channelsFirst", "forward")).toBe(2 * 401408 + 2 * 256 + 2 * 8 * 256);
  });
});

/** Results of a run in which a call takes so many ns for each element, by contestant; absent ones are missing. */
function resultsOf(pace: Record<string, number>): Results {
  return {
    date: "2026-01-02T03:04:05.000Z",
    evenkeel: "1.2.3",
    command: "npm run bench",
    seconds: 61,
    machine: {
      processor: "CPU",
      cores: 2,
      cacheBytes: 1 << 20,
      system: "Linux x64",
      node: "20.0.0",
      relaxedSimd: false,
    },
    contestants: Object.fromEntries(
      Object.entries(contestants).map(([id, { label, threads, how }]) => {
        const state = id in pace ? { about: `${label} 1.0` } : { missing: "not installed" };
        return [id, { label, threads, how, ...state }];
      }),
    ),
    packageBytes: 29_000,
    formulaBytes: 4500,
    openMs: 31,
    cases: cases.flatMap((one) =>
      one.passes.map((pass) => ({
        ...one,
        pass,
        name: nameOf(one, pass),
        bytes: bytesMoved(one, pass),
        results: Object.fromEntries(
          Object.entries(contestants)
            .filter(([, contestant]) => takesPart(contestant, one, pass))
            .map(([id]) => {
              if (!(id in pace)) return [id, { missing: "not installed" }];
              const ms = (sizeOf(one.shape) * pace[id]) / 1e6;
              return [id, { median: ms, p20: 0.9 * ms, p80: 1.1 * ms, error: 1e-7, turns: 9 }];
            }),
        ),
      })),
    ),
  };
}

describe("bars", () => {
  const outcome = (results: Results, title: string) => evaluate(results).find((each) => each.title === title);

  it("say how many cases reach them, and which is furthest", () => {
    const results = resultsOf({ "evenkeel-1": 1, "pytorch-1": 1.6, memcpy: 1 });
    const title = "LayerNorm forward vs PyTorch";
    expect(outcome(results, title)).toMatchObject({ reached: true, at: 5, of: 5, bar: "≥ 1.1×" });
    const slow = results.cases.find(({ name }) => name === "layer 4096x1024 forward");
    Object.assign(slow?.results["evenkeel-1"] ?? {}, { median: 4096 * 1024 * 2e-6 });
    expect(outcome(results, title)).toMatchObject({
      reached: false,
      at: 4,
      of: 5,
      value: expect.closeTo(0.8, 6),
      worst: "layer 4096x1024",
    });
    const text = barText(results);
    expect(text).toContain(`✗ ${title}, ≥ 1.1×: 4 of 5\n    ✗ layer 4096x1024 0.800×\n    ✓ layer`);
    expect(text).toContain("– LayerNorm forward vs jax-js, ≥ 8×: not measured");
    expect(text).toMatch(/✗ what apply and a formula add +< 4097 bytes +4,500/);
  });

  it("leave out arrays within the cache where they say so", () => {
    const results = resultsOf({ "evenkeel-1": 1.2, "wasm-copy": 1 });
    const title = "forward, time of the copy loop";
    // 512x768 is 1.5 MiB; 1x64, 32x64 and 32x768 are smaller than 1 MiB; two have a residual as well
    const counted = 2 * (9 - 3 + 2) + 4 * 4;
    expect(outcome(results, title)).toMatchObject({
      reached: true,
      of: counted,
      value: expect.closeTo(1.2, 6),
    });
    results.machine.cacheBytes = 1 << 30;
    expect(outcome(results, title)?.of).toBe(0);
  });

  it("count what a call costs over another in microseconds", () => {
    const results = resultsOf({ "tfjs-evenkeel": 1000, "tfjs-batch-norm": 900 });
    const row = results.cases.find(({ name }) => name === "rmsNorm 4x16 evaluate");
    expect(row && microsecondsOver(row, "tfjs-evenkeel", "tfjs-batch-norm")).toBeCloseTo(6.4, 9);
    const title = "a TensorFlow.js layer's call over batch norm's";
    expect(outcome(results, title)).toMatchObject({ bar: "≤ 15 µs", reached: true, of: 4 });
    Object.assign(row?.results["tfjs-evenkeel"] ?? {}, { median: 0.0736 });
    expect(outcome(results, title)).toMatchObject({
      reached: false,
      at: 3,
      value: expect.closeTo(16, 9),
      worst: "rmsNorm 4x16",
    });
  });

  it("are neither reached nor missed where nothing was measured", () => {
    expect(outcome(resultsOf({}), "LayerNorm forward vs jax-js")).toMatchObject({
      reached: null,
      value: null,
    });
  });

  it("include the package's weight and its start", () => {
    expect(evaluate(resultsOf({})).slice(-3)).toMatchObject([
      { value: 29_000, reached: true },
      { value: 4500, reached: false },
      { value: 31, reached: false },
    ]);
  });

  it("compare medians", () => {
    const [row] = resultsOf({ "evenkeel-1": 2, "pytorch-1": 3 }).cases;
    expect(timesFaster(row, "evenkeel-1", "pytorch-1")).toBe(1.5);
    expect(timesFaster(row, "evenkeel-1", "jax-js")).toBeNull();
  });
});

describe("the report", () => {
  const everyone = Object.fromEntries(Object.keys(contestants).map((id, i) => [id, 0.3 * 1.9 ** i]));

  it("fits a terminal of 80 columns", () => {
    for (const results of [
      resultsOf(everyone),
      resultsOf({}),
      resultsOf({ "evenkeel-1": 1, memcpy: 1e-4 }),
    ]) {
      const lines = terminal(results).split("\n");
      expect(lines.filter((line) => line.length > 80)).toEqual([]);
    }
  });

  it("names who is missing once, and what was not timed with its reason", () => {
    const results = resultsOf({ "evenkeel-1": 1, "jax-js": 1 });
    results.cases[0].results["jax-js"] = { notOffered: "no such operation" };
    const lines = absencesOf(results);
    expect(lines).toContain("PyTorch is missing: not installed");
    expect(lines).toContain("jax-js, layer 1x64 forward: not offered: no such operation");
    expect(lines.filter((line) => line.startsWith("PyTorch is"))).toHaveLength(1);
    expect(renderPage(results)).toContain("<li>PyTorch is missing: not installed</li>");
  });

  it("gives times a fitting unit", () => {
    expect([0.0000123, 0.5, 1.5, 2000].map(timeText)).toEqual(["0.0123 µs", "500 µs", "1.50 ms", "2.00 s"]);
  });

  it.each([
    ["the README", readmeSection, 3],
    ["docs/speed.md", speedSection, 20],
  ])("quotes itself in %s, with the machine and the day", (_, sectionOf, rows) => {
    const section = sectionOf(resultsOf({ "evenkeel-1": 1, memcpy: 0.8, "pytorch-1": 2 }));
    expect(section).toContain("on 2026-01-02");
    expect(section).toContain("CPU, 2 cores, Linux x64; Node 20.0.0 without relaxed SIMD");
    expect(section).toContain("| | shape | Evenkeel | time ÷ memcpy | vs PyTorch 1.0 |");
    expect(section).toContain("| LayerNorm forward | 512×768 | 393 µs | 1.25× | 2.00× |");
    expect(section.match(/^\| \w+Norm/gm)).toHaveLength(rows);
    expect(section).not.toContain("jax-js");
  });

  it("lists every formula in docs/speed.md, as a multiple of layer normalization", () => {
    const pace = { "evenkeel-1": 2, "evenkeel-plain-1": 1, "wasm-copy": 0.8, "pytorch-compiled-1": 3 };
    const results = resultsOf(pace);
    results.contestants["pytorch-compiled-1"].about = "PyTorch 2.15.0 compiled, AVX512";
    const section = speedSection(results);
    const heads = "| | Evenkeel | time ÷ layer norm | time ÷ copy loop | vs PyTorch 2.15.0 compiled |";
    expect(section).toContain(heads);
    expect(section).toContain("| `dynamicTanh` | 786 µs | 2.00× | 2.50× | 1.50× |");
    expect(section.match(/^\| `onlineNorm`/gm)).toHaveLength(2);
  });

  it("says what install() does to TensorFlow.js", () => {
    const section = tensorflowSection(resultsOf({ "tfjs-layer": 200, "tfjs-evenkeel": 1 }));
    expect(section).toContain("(TensorFlow.js; machine, date and method [below](#speed))");
    expect(section).toContain("| `layerNormalization`, 512×768 | 78.6 ms | 393 µs |");
    expect(tensorflowSection(resultsOf({ "evenkeel-1": 1 })).match(/^\|/gm)).toHaveLength(2);
  });

  it("has its sections in the README and in docs/speed.md", () => {
    const read = (path: string) => readFileSync(new URL(`../${path}`, import.meta.url), "utf8");
    const results = JSON.parse(read("bench/results/results.json"));
    expect(withSection(read("README.md"), readmeSection(results))).toBe(read("README.md"));
    expect(withSection(read("README.md"), tensorflowSection(results), "bench:tensorflow")).toBe(
      read("README.md"),
    );
    expect(withSection(read("docs/speed.md"), speedSection(results))).toBe(read("docs/speed.md"));
  });

  it("replaces its section and nothing else", () => {
    const text = "before\n<!-- bench -->\nold\n<!-- /bench -->\nafter\n";
    const replaced = withSection(text, "new");
    expect(replaced).toBe("before\n<!-- bench -->\nnew\n<!-- /bench -->\nafter\n");
    expect(withSection(replaced, "old")).toBe(text);
    expect(() => withSection("no markers", "new")).toThrow(
      "withSection: text must have <!-- bench --> and then <!-- /bench -->, as the README does",
    );
  });

  it("is one page without anything from elsewhere", () => {
    const page = renderPage(resultsOf(everyone));
    expect(page.match(/<figure>/g)?.length).toBeGreaterThan(20);
    expect(page).not.toMatch(/<script|<link|src=|NaN|undefined/);
  });
});

describe("contestants", () => {
  const folder = mkdtempSync(join(tmpdir(), "evenkeel-bench-test-"));
  const added: string[] = [];
  afterAll(() => {
    for (const id of added) delete contestants[id];
    rmSync(folder, { recursive: true });
  });
  const serve = new URL("../bench/serve.mjs", import.meta.url).href;

  /** A contestant whose program is given. */
  function join_(id: string, code: string) {
    const file = join(folder, `${id}.mjs`);
    writeFileSync(file, `import { NotOffered, serve } from ${JSON.stringify(serve)};\n${code}`);
    const script = pathToFileURL(file).href;
    contestants[id] = { ...contestants.memcpy, label: id, script };
    added.push(id);
  }

  it("give what is expected of them: of formulas, with masks, through layers, and of copies", async () => {
    const ids = ["evenkeel-1", "evenkeel-plain-1", "wasm-copy"];
    const field = new Field(ids, { turns: 3, budget: 1, warm: 1 });
    const given = { residual: false, shape: [3, 4, 5] };
    const some: Case[] = [
      { ...given, norm: "dynamicTanh", passes: ["both"] },
      { ...given, norm: "batch", masked: true, passes: ["backward"] },
      { ...given, norm: "layer", storage: "float16", passes: ["forward"] },
      { ...given, norm: "layerNorm+silu", passes: ["evaluate"] },
    ];
    const timed: Record<string, string[]> = {};
    for (const one of some) {
      for (const { name, results } of await field.run(one)) {
        const names = Object.keys(results).filter((id) => "median" in results[id]);
        timed[name] = names.sort();
        expect(names, `${name}: ${JSON.stringify(results)}`).toHaveLength(Object.keys(results).length);
      }
    }
    field.stop();
    expect(timed).toEqual({
      "dynamicTanh 3x4x5 both": ids,
      "batch+mask 3x4x5 backward": ["evenkeel-1", "wasm-copy"],
      "layer+float16 3x4x5 forward": ids,
      "layerNorm+silu 3x4x5 evaluate": ["evenkeel-1"],
    });
  });

  it("that fail, lie or have nothing to offer are named, and the others go on", async () => {
    const made = "passes: { forward() {} }, results: { forward: () => ({ y: new Float32Array(64) }) }";
    join_("broken", 'throw new Error("does not start");');
    join_("wrong", `await serve({ about: "wrong 1", prepare: () => ({ ${made} }) });`);
    join_(
      "unable",
      'await serve({ about: "unable 1", prepare() { throw new NotOffered("no such norm"); } });',
    );
    join_("failing", 'await serve({ about: "failing 1", prepare() { throw new Error("out of luck"); } });');
    join_(
      "chatty",
      'console.log("hello"); await serve({ about: "chatty 1", prepare() { console.log("hello"); process.exit(3); } });',
    );
    const field = new Field(["memcpy", ...added], { turns: 3, budget: 1 });
    const [one] = choose(cases, ["layer 1x64 forward"]);
    const [{ results }] = await field.run(one).finally(() => field.stop());
    expect(results).toMatchObject({
      memcpy: { median: expect.any(Number), turns: expect.any(Array) },
      broken: { missing: expect.stringContaining("does not start") },
      wrong: { invalid: expect.stringMatching(/^y is off by \S+, allowed 0.0001$/) },
      unable: { notOffered: "no such norm" },
      failing: { failed: "out of luck" },
      chatty: { failed: "its process ended" },
    });
    expect(field.about()).toMatchObject({
      memcpy: { about: expect.stringContaining("V8") },
      wrong: { about: "wrong 1" },
    });
  });
});

it("writes ONNX models as protobuf", () => {
  const model = encodeModel({
    op: "Op",
    opset: 17,
    attributes: { axis: { int: -1 } },
    inputs: { x: [2] },
    constants: {},
    outputs: ["y"],
  });
  // field << 3 | wire type, then a varint, or a length and as many bytes
  const attribute = [0x0a, 4, ...Buffer.from("axis"), 0x18, ...Array(9).fill(0xff), 0x01, 0xa0, 0x01, 2];
  const node = [
    0x0a,
    1,
    0x78,
    0x12,
    1,
    0x79,
    0x22,
    2,
    ...Buffer.from("Op"),
    0x2a,
    attribute.length,
    ...attribute,
    0x3a,
    0,
  ];
  const x = [0x0a, 1, 0x78, 0x12, 10, 0x0a, 8, 0x08, 1, 0x12, 4, 0x0a, 2, 0x08, 2];
  const y = [0x0a, 1, 0x79, 0x12, 4, 0x0a, 2, 0x08, 1];
  const graph = [
    0x0a,
    node.length,
    ...node,
    0x12,
    2,
    ...Buffer.from("Op"),
    0x5a,
    x.length,
    ...x,
    0x62,
    y.length,
    ...y,
  ];
  expect([...model]).toEqual([0x08, 10, 0x3a, graph.length, ...graph, 0x42, 4, 0x0a, 0, 0x10, 17]);
});

describe("type checks", () => {
  const root = new URL("..", import.meta.url);
  const read = (path: string) => readFileSync(new URL(path, root), "utf8");

  it.each(["bench", "scripts"])("of %s are strict, and part of npm run types", (folder) => {
    expect(JSON.parse(read("package.json")).scripts.types.split(" && ")).toContain(`tsc -p ${folder}`);
    expect(JSON.parse(read("tsconfig.base.json")).compilerOptions).toMatchObject({ strict: true });
    const { extends: base, compilerOptions, include } = JSON.parse(read(`${folder}/tsconfig.json`));
    expect([base, include[0]]).toEqual(["../tsconfig.base.json", "**/*.mjs"]);
    expect(compilerOptions).toMatchObject({ checkJs: true });
    expect(compilerOptions.strict ?? true).toBe(true);
    const files = readdirSync(fileURLToPath(new URL(folder, root)), { recursive: true, encoding: "utf8" })
      .filter((file) => /\.m?[jt]s$/.test(file) && !file.includes("node_modules"))
      .map((file) => file.replaceAll("\\", "/"));
    expect(files.length).toBeGreaterThan(5);
    for (const file of files)
      expect(read(`${folder}/${file}`), file).not.toMatch(/@ts-(ignore|nocheck|expect)/);
  });
});
