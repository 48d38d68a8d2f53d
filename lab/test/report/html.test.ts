/** The report's markup: right for every comparison there can be, escaped, self-contained, and equal to the data. */
import { formatNumber } from "@evenkeel/report/format";
import { serverDocument } from "@evenkeel/report/server-document";
import { rangeOf } from "@evenkeel/report/statistics";
import { parseHTML } from "linkedom";
import { describe, expect, test } from "vitest";
import { drawnText } from "../../src/data/split.js";
import { type NormName, normNames } from "../../src/norms.js";
import { renderReport } from "../../src/report/html.js";
import { type Comparison, metricOf } from "../../src/results.js";
import type { Activation } from "../../src/settings.js";
import {
  HOSTILE,
  type Recipe,
  recipes,
  syntheticComparison,
  withoutNumbers,
} from "../support/synthetic-comparison.js";

const NORMS: NormName[] = ["none", "layer", "rms", "batch", "group", "instance"];

/** Sets one value of every trial's probes, where a real network would have zero, huge or missing numbers. */
function withProbeValue(comparison: Comparison, norm: NormName, value: number | null): Comparison {
  return {
    ...comparison,
    trials: comparison.trials.map((trial) =>
      trial.norm === norm
        ? {
            ...trial,
            probes: trial.probes.map((probe) => ({
              step: probe.step,
              gradientNorm: probe.gradientNorm.map((old, layer) => (layer % 2 ? value : old)),
              activationMean: probe.activationMean.map((old, layer) => (layer % 2 ? value : old)),
              activationSpread: probe.activationSpread.map((old, layer) => (layer % 2 ? value : old)),
            })),
          }
        : trial,
    ),
  };
}

/** The recipes with less to draw again and again. */
const small = (recipe: Recipe): Comparison =>
  syntheticComparison({ norms: ["none", "layer", "batch"], depth: 4, epochs: 6, ...recipe });

const CASES: Record<string, Comparison> = {
  ...Object.fromEntries(Object.entries(recipes).map(([name, recipe]) => [name, small(recipe)])),
  "six norms": syntheticComparison(),
  "ten norms, unknown ones among them": small({
    norms: [...NORMS, "batch-renorm", "dynamic-tanh", "local-response", "of-another-version"],
  }),
  "one epoch, one layer": syntheticComparison({ norms: ["none", "batch"], seeds: [1], epochs: 1, depth: 1 }),
  "200 epochs, 10 seeds": syntheticComparison({
    norms: ["none", "batch"],
    seeds: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
    epochs: 200,
  }),
  "interrupted, one norm without a trial": small({ unfinished: ["batch"] }),
  "interrupted before any trial": small({ unfinished: NORMS, sweep: ["depth", [1, 2]] }),
  "nothing but nulls": withoutNumbers(small({ learningRates: [0.1, 0.2] })),
  "some nulls": withProbeValue(small({}), "layer", null),
  zeros: withProbeValue(small({}), "layer", 0),
  "an exploding norm": withProbeValue(small({}), "none", 1e30),
  "a norm whose signs change": withProbeValue(small({}), "batch", -3e5),
};

const rendered = new Map(
  Object.entries(CASES).map(([name, comparison]) => {
    const markup = renderReport(comparison, serverDocument);
    return [name, { comparison, markup, document: parseHTML(markup).document }];
  }),
);

/** One of the cases; without its name, the usual one. */
function page(name = "usual") {
  const found = rendered.get(name);
  if (!found) throw new Error(`no case "${name}"`);
  return found;
}

const textOf = (element: Element | null | undefined): string =>
  (element?.textContent ?? "").replaceAll("\u00a0", " ");

describe.each(Object.keys(CASES))("%s", (name) => {
  const { comparison, markup, document } = page(name);
  const norms = comparison.summaries.map(({ norm }) => norm);

  test("shows no NaN, null or undefined", () => {
    expect(markup).not.toMatch(/NaN|undefined|Infinity|\bnull\b|\[object/);
  });

  test("asks nothing of the network, and runs nothing", () => {
    expect(document.querySelectorAll("script, link, iframe, img, [src], [href], [action]")).toHaveLength(0);
    expect(markup).not.toMatch(/@import|url\((?!#)|<script|<link|<iframe|https?:/i);
    expect(markup).toContain("default-src 'none'");
  });

  test("shows every norm in the switches, the tables and the gradient maps", () => {
    expect(
      [...document.querySelectorAll(".switches input")].map((input) => input.getAttribute("id")),
    ).toEqual(norms.map((norm) => `show-${norm}`));
    for (const table of document.querySelectorAll("#numbers table, #details table")) {
      const rows = [...table.querySelectorAll("tbody tr[data-norm]")];
      expect(rows.map((row) => row.getAttribute("data-norm"))).toEqual(norms);
    }
    const panels = document.querySelectorAll("#gradients .panel svg[role=img]");
    expect(panels).toHaveLength(norms.length);
  });

  test("the tables' numbers are the data's", () => {
    const cells = new Map(
      [...document.querySelectorAll("[data-column]")].map((cell) => [
        `${cell.closest("tr")?.getAttribute("data-norm")} ${cell.getAttribute("data-column")}`,
        cell.querySelector(".value")?.textContent,
      ]),
    );
    const { format } = metricOf(comparison);
    for (const summary of comparison.summaries) {
      const { norm, trials } = summary;
      const cell = (column: string) => cells.get(`${norm} ${column}`);
      expect(cell("metric")).toBe(format(summary.metric.median));
      expect(cell("train")).toBe(format(summary.trainMetric.median));
      expect(cell("stepMs")).toBe(formatNumber(summary.stepMs.median));
      expect(cell("gradientRatio")).toBe(formatNumber(summary.gradientRatio.median));
      expect(cell("parameters")).toBe(summary.parameters?.toLocaleString("en-US") ?? "–");
      expect(cell("epochsToTarget")).toBe(
        summary.epochsToTarget.median === null
          ? trials > 0
            ? "never"
            : "–"
          : String(summary.epochsToTarget.median),
      );
      expect(cell("diverged")).toBe(trials === 0 ? "–" : `${summary.diverged} of ${trials}`);
    }
  });

  test("names every figure, and has a table beside it", () => {
    for (const drawing of document.querySelectorAll("svg[role=img]")) {
      expect(drawing.getAttribute("aria-label")).toMatch(/\w.*\.$/);
    }
    const figures = [...document.querySelectorAll("figure:not(.panel)")];
    expect(figures.length).toBeGreaterThanOrEqual(10);
    for (const each of figures) {
      expect(each.querySelectorAll("details > .scroll[role=region][tabindex] > table caption")).toHaveLength(
        1,
      );
    }
    expect(document.querySelectorAll("#gradients > details table")).toHaveLength(norms.length);
    for (const head of document.querySelectorAll("th")) {
      expect(head.getAttribute("scope")).toMatch(/^(row|col)$/);
    }
  });

  test("says nothing of who is best", () => {
    expect(document.querySelector("main")?.textContent).not.toMatch(/\b(fastest|most even|winner|wins)\b/);
  });
});

test("is the same each time", () => {
  const { comparison, markup } = page("tuned");
  expect(renderReport(comparison, serverDocument)).toBe(markup);
});

test("stays small: 6 normalizations with 5 seeds, all 39, 1,000 classes of 500 columns", () => {
  expect(renderReport(syntheticComparison({ ...recipes.tuned }), serverDocument).length).toBeLessThan(1e6);
  expect(page("every norm").markup.length).toBeLessThan(2.5e6);
  expect(page("1,000 classes, 500 columns").markup.length).toBeLessThan(4e5);
});

// ---- what others wrote ----

test("hostile strings stay text", () => {
  const [hostile = ""] = HOSTILE;
  const plain = small({});
  const markup = renderReport(
    {
      ...plain,
      evenkeel: hostile,
      date: hostile,
      command: hostile,
      machine: { ...plain.machine, processor: hostile, runtime: hostile, backend: hostile },
      data: {
        ...plain.data,
        name: hostile,
        provenance: hostile,
        target: hostile,
        drawn: hostile,
        classes: [hostile, ...plain.data.classes.slice(1)],
      },
      model: { ...plain.model, activation: hostile as Activation },
      training: { ...plain.training, optimizer: hostile as Comparison["training"]["optimizer"] },
    },
    serverDocument,
  );
  const { document } = parseHTML(markup);
  expect(document.querySelectorAll("script, img, [onerror]")).toHaveLength(0);
  expect(document.querySelector("pre")?.textContent).toBe(hostile);
  expect(document.querySelector(".deck")?.textContent).toContain(hostile.slice(0, 50));
});

test("what controls a terminal or turns a line is shown as a mark, and names are cut", () => {
  const { markup, document } = page("hostile names");
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
  expect(markup).not.toMatch(/[\u0000-\u0008\u001b\u202a-\u202e\u2066-\u2069\u200b]/);
  expect(document.querySelector("h1")?.textContent?.length).toBeLessThan(400);
  expect([...document.querySelectorAll("#data tbody th")].map(textOf)).toEqual([
    `"><script>alert('x')</script><img src=x…`,
    "\ufffd]52;c;ZXZpbA==\ufffd\ufffdgnp.exe\ufffd",
    `${"long".repeat(9)}lon…`,
  ]);
});

test("long lists are folded, and longer ones cut", () => {
  const { document } = page("1,000 classes, 500 columns");
  const [folded, cut] = ["#data > details summary", "#data dl details summary"].map((path) =>
    textOf(document.querySelector(path)),
  );
  expect(folded).toBe("488 more columns");
  expect(cut).toBe("1,000 classes: 0 (1), 1 (1), 2 (1), 3 (1), 4 (1), 5 (1), 6 (1), 7 (1) and 992 more");
  expect(document.querySelectorAll("#data tbody tr")).toHaveLength(212);
  expect(textOf(document.querySelector("#data > details"))).toContain("All 500 are in comparison.json.");
});

// ---- the data ----

test("warnings stand at the head, decisions with the option that decides otherwise", () => {
  const { document } = page("decisions and warnings");
  expect([...document.querySelectorAll("header .warnings li")].map(textOf)).toEqual([
    "37 rows of the held-out part also stand, with the same inputs, among those trained on: see --group.",
    "The input “opened” alone predicts the target almost perfectly (accuracy 99.1 %): does it say what is to be predicted?",
  ]);
  expect([...document.querySelectorAll("#data .decisions li")].map(textOf)).toEqual([
    "read with a decimal comma (1.415 beside 926) otherwise: --decimal .",
    "id, row: left out (identifiers: as many values as rows) otherwise: --keep id",
    "opened: read as dates otherwise: --categorical opened",
    "constant: left out (one value only) otherwise: --keep constant",
  ]);
  expect(page("usual").document.querySelectorAll(".warnings, .decisions")).toHaveLength(0);
});

test("says what the network sees, how the parts are drawn, and what guessing scores", () => {
  const { document } = page();
  const rows = [...document.querySelectorAll("#data tbody tr")].map((row) => [...row.children].map(textOf));
  expect(rows).toEqual([
    ["size", "a number", "1"],
    ["colour", "3 levels and other", "4: colour=red, colour=green, colour=blue, colour=other"],
    ["opened", "a date: year, month, weekday", "3: opened (year), opened (month), opened (weekday)"],
  ]);
  const facts = textOf(document.querySelector("#data dl"));
  expect(facts).toContain(
    "Each seed draws its own parts at random, each class in proportion: 1,150 examples to train on, 287 to validate, 360 held out.",
  );
  expect(facts).toContain(
    "GuessingAlways answering the most frequent class: accuracy 10.0 %, balanced accuracy 10.0 %; ranking at random: AUC 0.500; always giving the classes’ shares: log loss 2.303",
  );
  expect(facts).toContain("Classes0 (179), 1 (179), 2 (179), 3 (180)");
  expect(facts).toContain("1,800 in the file, 1,797 used");
  const comparison = small({});
  comparison.data.form = { input: { kind: "image", shape: [8, 8, 1] }, outputs: [10] };
  expect(
    textOf(parseHTML(renderReport(comparison, serverDocument)).document.querySelector("#data")),
  ).toContain("Classification: “digit” (10 classes) from images of 8×8");
});

test.each([
  ["window", { kind: "series", shape: [36, 2] }, [12, 2], "their last 36 steps", true],
  [
    "window",
    { kind: "tokens", shape: [64], vocabulary: 60 },
    [64, 61],
    "those before it, of 60 known ones",
    false,
  ],
  [
    "example",
    { kind: "tokens", shape: [26], vocabulary: 90 },
    [2],
    "up to 26 words, of 90 known ones",
    false,
  ],
  ["user", { kind: "items", shape: [30], vocabulary: 90 }, [90], "up to 30 others, of 90 items", false],
] as const)("an example is a %s of %o", (name, input, outputs, from, standardized) => {
  const comparison = small({});
  comparison.data.form = {
    input: { ...input, shape: [...input.shape] },
    outputs: [...outputs],
  };
  const { document } = parseHTML(renderReport(comparison, serverDocument));
  const facts = textOf(document.querySelector("#data dl"));
  const { train } = comparison.data.parts;
  expect(facts).toContain(`from ${from}`);
  expect(facts).toContain(
    name === "example"
      ? "in the file, 1,797 used"
      : `${name}s1,797, from 1,800 rows in the file`.replace(/^./, (a) => a.toUpperCase()),
  );
  expect(facts).toContain(`${train.toLocaleString("en-US")} ${name}s to train on`);
  expect(facts.includes("Means and deviations")).toBe(standardized);
  expect(textOf(document.querySelector("#differences"))).toContain(`are judged on the same ${name}s.`);
});

test("where all seeds have one held-out part, that no interval tells of others is said", () => {
  const told = (drawn: string) => {
    const comparison = small({});
    comparison.data.drawn = drawn;
    const { document } = parseHTML(renderReport(comparison, serverDocument));
    return textOf(document.querySelector("#differences")).includes(
      "All seeds are judged on the same examples:",
    );
  };
  const parts = { strata: new Int32Array(9) };
  expect(told(drawnText(parts))).toBe(false);
  expect(told(drawnText({ ...parts, time: new Float64Array(9) }))).toBe(true);
  expect(told(drawnText({ ...parts, heldOut: new Int32Array(1) }))).toBe(true);
});

test("learning is told as the rates went, and of windows that what comes later may differ", () => {
  const told = (comparison: Comparison) =>
    textOf(parseHTML(renderReport(comparison, serverDocument)).document.querySelector("#learning"));
  expect(told(small({}))).toContain("Learning rates fall evenly to zero");
  const comparison = small({});
  comparison.training.warmUp = 0.1;
  comparison.data.form = { input: { kind: "series", shape: [36, 2] }, outputs: [12, 2] };
  expect(told(comparison)).toContain(
    "Learning rates rise over the first 10 % of the steps, then fall evenly",
  );
  expect(told(comparison)).toContain("by heart, or that what comes later is different.");
});

test("no line begins with a %", () => {
  const comparison = small({});
  comparison.data.drawn = "has the same parts: the latest 20 % are held out";
  const { document } = parseHTML(renderReport(comparison, serverDocument));
  for (const part of ["h1", ".findings", "#data dl"]) {
    expect(document.querySelector(part)?.textContent).toMatch(/\u00a0%/);
    expect(document.querySelector(part)?.textContent).not.toContain(" %");
  }
});

test("a switch hides what belongs to its normalization in every figure, whatever the name", () => {
  const comparison = small({ norms: ["none", "layer+reversible-instance"] });
  expect(renderReport(comparison, serverDocument)).not.toMatch(/class="[^"]*\+/);
});

// ---- what can be told apart ----

/** Rows of a figure's table, each as texts. */
const twin = (document: Document, section: string, which: number): string[][] => {
  const figure = document.querySelectorAll(`#${section} figure`)[which];
  return [...(figure?.querySelectorAll("tr") ?? [])].map((row) => [...row.children].map(textOf));
};

test("a difference has its interval, and a mark only where the interval does not hold zero", () => {
  const comparison = small({ baseline: "layer", norms: ["none", "layer", "batch", "rms"] });
  comparison.differences.metric = [
    { norm: "none", pairs: 3, mean: -0.8, low: -0.9, high: -0.7, clear: true },
    { norm: "batch", pairs: 3, mean: 0.012, low: 0.004, high: 0.02, clear: true },
    { norm: "rms", pairs: 3, mean: 0.3, low: -0.1, high: 0.7, clear: false },
  ];
  const { document } = parseHTML(renderReport(comparison, serverDocument));
  const cells = [...document.querySelectorAll("[data-column=difference]")].map(textOf);
  expect(cells).toEqual([
    "−80.0 points worse−90.0 to −70.0 points",
    "baseline",
    "+1.2 points better+0.4 to +2.0 points",
    "+30.0 points−10.0 to +70.0 points",
  ]);
  expect(document.querySelectorAll("#numbers em")).toHaveLength(2);
  expect(twin(document, "differences", 0).slice(1)).toEqual([
    ["none", "−80.0 points", "−90.0 to −70.0 points", "3", "yes"],
    ["batch", "+1.2 points", "+0.4 to +2.0 points", "3", "yes"],
    ["RMS", "+30.0 points", "−10.0 to +70.0 points", "3", "no"],
  ]);
  const dots = ["none", "batch", "rms"].map((norm) =>
    document.querySelector(`#differences .s-${norm}[data-part=dot]`)?.getAttribute("fill"),
  );
  expect(dots).toEqual(["var(--n-none)", "var(--n-batch)", "var(--page)"]);
});

test("differences of epochs: what a trial counts as that missed the target is said where one did", () => {
  const comparison = small({ norms: ["layer", "batch"], epochs: 20 });
  const missed =
    "In differences of epochs, a trial that does not reach the target counts as 21, one more than there were.";
  const places = () => {
    const { document } = parseHTML(renderReport(comparison, serverDocument));
    return [...document.querySelectorAll("#numbers caption, #differences .note")]
      .map(textOf)
      .filter((text) => text.includes(missed)).length;
  };
  for (const trial of comparison.trials) trial.epochsToTarget = 3;
  expect(places()).toBe(0);
  comparison.trials[1].epochsToTarget = null;
  expect(places()).toBe(2);
});

test("one seed has no interval and no mark", () => {
  const { document } = page("one seed");
  expect([...document.querySelectorAll("#numbers thead:first-of-type small")].map(textOf)).toContain(
    "too few seeds for an interval",
  );
  expect(document.querySelector("tr[data-norm=batch] [data-column=difference] small")).toBeNull();
  expect(document.querySelectorAll("#numbers em")).toHaveLength(0);
  const how = textOf(document.querySelector("#differences .how"));
  expect(how).toContain("So few seeds have no interval: any of these differences may be chance.");
  expect(how).not.toContain("bar");
});

test("what was stopped says how many trials had finished", () => {
  const said = (recipe: Recipe) =>
    textOf(parseHTML(renderReport(small(recipe), serverDocument)).document.querySelector(".stopped"));
  expect(said({ unfinished: ["batch"] })).toBe(
    "Stopped before the end: 6 of 9 trials had finished. Only these are shown.",
  );
  expect(said({ unfinished: ["batch"], sweep: ["depth", [2, 4]] })).toBe(
    "Stopped before the end: 6 of 9 trials had finished, and of the sweep 18 of 18. Only these are shown.",
  );
  expect(said({})).toBe("");
});

test("where the baseline diverges, the epochs are compared, and the metric is said to have no pairs", () => {
  const comparison = small({ diverging: { none: 2 } });
  comparison.differences.metric = comparison.differences.metric.map((each) => ({
    ...each,
    pairs: 0,
    mean: null,
    low: null,
    high: null,
    clear: false,
  }));
  comparison.differences.epochsToTarget = [
    { norm: "layer", pairs: 3, mean: -2, low: -3, high: -1, clear: true },
    { norm: "batch", pairs: 3, mean: null, low: null, high: null, clear: false },
  ];
  const { document } = parseHTML(renderReport(comparison, serverDocument));
  expect(textOf(document.querySelector("tr[data-norm=layer] [data-column=difference]"))).toBe(
    "–no pair of values",
  );
  expect([...document.querySelectorAll("#differences figcaption")].map(textOf)).toEqual([
    "Epochs to 90 % against no normalization",
  ]);
  expect(textOf(document.querySelector("#differences .note"))).toContain(
    "Not drawn, for want of a pair of values: networks with batch normalization.",
  );
});

test("values beyond an axis are spoken of where they are, and zero where it is among them", () => {
  const notes = (value: number) => {
    const comparison = syntheticComparison({ norms: ["none", "layer"], depth: 4, epochs: 4 });
    for (const { norm, probes } of comparison.trials) {
      if (norm !== "none") continue;
      for (const { step, gradientNorm } of probes) if (step > 0) gradientNorm[0] = value;
    }
    const { document } = parseHTML(renderReport(comparison, serverDocument));
    return [...document.querySelectorAll("#gradients .pair figure")].map((each) =>
      textOf(each.querySelector(".note")),
    );
  };
  expect(notes(0)).toEqual(["", "Values beyond the axis, zero among them, are drawn at its edge."]);
  expect(notes(1e12)).toEqual(["", "Values beyond the axis are drawn at its edge."]);
});

test("guessing is a row of the tables and a line of the metric's figures", () => {
  const { document } = page("six norms");
  const rows = [...document.querySelectorAll("tr.guess")].map((row) =>
    [...row.querySelectorAll(".value")].map(textOf),
  );
  expect(rows).toEqual([["10.0 %"], ["10.0 %", "0.500", "2.303"]]);
  const notes = [...document.querySelectorAll("#learning figure")].map(
    (figure) => textOf(figure.querySelector(".note")).match(/Dashed: guessing\./g)?.length ?? 0,
  );
  expect(notes).toEqual([0, 0, 1, 1]);
});

// ---- figures ----

test("the metric by epoch is in the table beside its figure, and under the pointer", () => {
  const { comparison, document } = page("six norms");
  const rows = twin(document, "learning", 2);
  expect(rows[0]).toEqual(["epoch", "none", "layer", "RMS", "batch", "group", "instance"]);
  expect(rows).toHaveLength(21);
  const last = comparison.trials
    .filter(({ norm }) => norm === "batch")
    .map(({ epochs }) => epochs.at(-1)?.metric ?? 0)
    .sort((a, b) => a - b);
  const [low, middle, high] = last.map((value) => `${(100 * value).toFixed(1)} %`);
  const text = `${middle} (${low?.replace(" %", "")} – ${high})`;
  expect(rows.at(-1)?.[4]).toBe(text);
  const tips = [...document.querySelectorAll("#learning figure")[2].querySelectorAll(".tip")];
  expect(tips).toHaveLength(20);
  expect([...tips[19].querySelectorAll("tspan")].map(textOf)).toContain(`batch ${text}`);
  expect(textOf(tips[19].querySelector("tspan"))).toBe("epoch 20");
  expect(tips[19].querySelector("tspan.s-batch")).not.toBeNull();
});

test("each seed is a thin line behind the median", () => {
  const lines = (name: string) =>
    page(name).document.querySelectorAll("#learning figure:nth-child(3) .seed path").length;
  expect(lines("six norms")).toBe(18);
  expect(lines("one seed")).toBe(0);
});

test("over time, a normalization ends where its slowest trial did", () => {
  const comparison = small({ norms: ["none", "batch"], seeds: [1, 2], epochs: 4 });
  for (const { norm, epochs } of comparison.trials) {
    for (const [i, epoch] of epochs.entries()) {
      epoch.seconds = (i + 1) * (norm === "none" ? 1 : 2);
      epoch.metric = 0.1 * (i + 1);
    }
  }
  // one that ended sooner is kept as it was
  for (const epoch of comparison.trials.find(({ norm, seed }) => norm === "none" && seed === 2)?.epochs ??
    []) {
    epoch.seconds /= 2;
  }
  const { document } = parseHTML(renderReport(comparison, serverDocument));
  const rows = new Map(twin(document, "learning", 3).map(([x = "", ...cells]) => [x, cells]));
  expect(rows.get("0.5")).toEqual(["–", "–"]);
  expect(rows.get("2")).toEqual(["30.0 % (20.0 – 40.0 %)", "10.0 %"]);
  expect(rows.get("3")).toEqual(["35.0 % (30.0 – 40.0 %)", "15.0 %"]);
  expect(rows.get("6")).toEqual(["–", "30.0 %"]);
});

test("learning rates: the loss on validation, and who chose which", () => {
  const { comparison, document } = page("tuned");
  const rates = [0.01, 0.03, 0.1, 0.3];
  const chosen = (norm: NormName) =>
    rates.map((rate) =>
      String(comparison.trials.filter((each) => each.norm === norm && each.learningRate === rate).length),
    );
  expect(twin(document, "rates", 1)).toEqual([
    ["normalization", ...rates.map(String)],
    ...["none", "layer", "batch"].map((norm) => [norm, ...chosen(norm)]),
  ]);
  const losses = rates.map((rate) => {
    const tried = comparison.trials.filter(({ norm }) => norm === "layer").flatMap(({ tried }) => tried);
    const { median } = rangeOf(
      tried.filter(({ learningRate }) => learningRate === rate).map(({ loss }) => loss),
    );
    return [String(rate), formatNumber(median)];
  });
  expect(twin(document, "rates", 0).map(([rate, , layer]) => [rate, layer?.split(" (")[0]])).toEqual([
    ["learning rate", "layer"],
    ...losses,
  ]);
  expect(document.querySelectorAll("#rates figure:nth-child(1) .s-none[data-part=dot] path")).toHaveLength(1);
  expect(page("usual").document.querySelector("#rates")).toBeNull();
});

test("a sweep: metric, epochs and gradient against the setting, with what diverged", () => {
  const { document } = page("swept over the learning rate");
  expect(document.querySelectorAll("#sweep figure")).toHaveLength(3);
  expect(twin(document, "sweep", 0).map(([value]) => value)).toEqual([
    "learning rate",
    "0.001",
    "0.01",
    "0.1",
    "1",
  ]);
  expect(twin(document, "sweep", 0).at(-1)?.slice(1, 3)).toEqual(["– ×", expect.stringMatching(/%\)$/)]);
  expect(textOf(document.querySelector("#sweep .note"))).toContain("× marks trials that diverged.");
  // even steps of a logarithmic axis
  const ticks = [
    ...document.querySelectorAll('#sweep figure:nth-child(1) [data-part="x-axis tick label"] text'),
  ].map((tick) => Number(/\(([\d.]+)/.exec(tick.getAttribute("transform") ?? "")?.[1]));
  const steps = ticks.slice(1).map((tick, i) => tick - (ticks[i] ?? 0));
  expect(Math.max(...steps) - Math.min(...steps)).toBeLessThan(0.1);
  expect(page("usual").document.querySelector("#sweep")).toBeNull();
});

test("a sweep: a trial that does not reach the target is later than any that does", () => {
  const comparison = small({ sweep: ["depth", [2, 4]], norms: ["none", "batch"] });
  for (const { trials } of comparison.sweep?.points ?? []) {
    for (const trial of trials) trial.epochsToTarget = trial.norm === "batch" && trial.seed === 1 ? 3 : null;
  }
  const { document } = parseHTML(renderReport(comparison, serverDocument));
  expect(twin(document, "sweep", 1).slice(1)).toEqual([
    ["2", "7", "7 (3 – 7)"],
    ["4", "7", "7 (3 – 7)"],
  ]);
  expect(textOf(document.querySelectorAll("#sweep figure")[1]?.querySelector(".note"))).toBe(
    "Dotted: 7, which stands for not reached.",
  );
});

test("a matrix of confusions adds up the trials", () => {
  const { comparison, document } = page("six norms");
  const row = [...document.querySelectorAll("#confusion .p-batch tbody tr")][3];
  const counts = comparison.trials.flatMap(({ norm, confusion }) =>
    norm === "batch" && confusion ? [confusion[3] ?? []] : [],
  );
  const sums = counts[0]?.map((_, i) => counts.reduce((sum, each) => sum + (each[i] ?? 0), 0)) ?? [];
  expect([...(row?.querySelectorAll("td") ?? [])].map(textOf)).toEqual([
    ...sums.map((count) => (count === 0 ? "" : String(count))),
    String(sums.reduce((a, b) => a + b, 0)),
  ]);
  expect(row?.querySelectorAll("td")[3]?.getAttribute("class")).toBe("right");
  expect(page("regression").document.querySelector("#confusion")).toBeNull();
  expect(textOf(page("1,000 classes, 500 columns").document.querySelector("#confusion p"))).toBe(
    "There are too many classes (1,000) to show which is taken for which.",
  );
});

test("classes of long names are told apart in a matrix, and named whole under the pointer", () => {
  const comparison = small({ classes: 3 });
  comparison.data.classes = ["a class of a long name, 1", "a class of a long name, 2", "b"];
  const { document } = parseHTML(renderReport(comparison, serverDocument));
  const heads = [...document.querySelectorAll("#confusion .p-batch tbody th")];
  expect(heads.map(textOf)).toEqual(["a class…ame, 1", "a class…ame, 2", "b"]);
  expect(heads.map((head) => head.getAttribute("title"))).toEqual([
    "a class of a long name, 1",
    "a class of a long name, 2",
    null,
  ]);
});

test("labels of as many lines as there are norms stand apart, and long ones are cut", () => {
  const { document } = page("every norm");
  const labels = [...document.querySelectorAll("#learning figure:nth-child(1) g[data-part=text] text")];
  expect(labels.length).toBe(normNames.length);
  const heights = labels
    .map((label) => Number(/,\s*([\d.]+)/.exec(label.getAttribute("transform") ?? "")?.[1]))
    .sort((a, b) => a - b);
  const gaps = heights.slice(1).map((height, i) => height - (heights[i] ?? 0));
  expect(Math.min(...gaps)).toBeGreaterThan(13);
  expect(Math.max(...labels.map((label) => textOf(label).length))).toBeLessThanOrEqual(15);
});

test("normalizations of any name are told apart, and called by their titles", () => {
  const norms = ["none", "layer", "batch-renorm", "dynamic-tanh"];
  const { document } = parseHTML(renderReport(small({ norms }), serverDocument));
  expect(document.querySelector(".deck")?.textContent).toMatch(
    /^The same network trained with no normalization, layer normalization, batch renormalization and dynamic tanh: /,
  );
  const [table] = document.querySelectorAll("#numbers tbody");
  const swatches = [...(table?.querySelectorAll(".swatch line") ?? [])];
  expect(swatches.map((line) => line.getAttribute("stroke"))).toEqual(
    norms.map((norm) => `var(--n-${norm})`),
  );
  expect([...(table?.querySelectorAll("th") ?? [])].map(textOf)).toEqual([
    "none",
    "layer",
    "batch renorm",
    "dynamic tanh",
    "guessing",
  ]);
});

test("a gradient that was not measured is left out of the map, one that is zero is not", () => {
  const cells = (name: string) =>
    page(name).document.querySelectorAll(".p-layer svg [data-part=rect] rect").length;
  const probes = 7;
  expect(cells("zeros")).toBe(probes * 4);
  expect(cells("some nulls")).toBe(probes * 2);
});

test("a line has a gap where no seed gave a number", () => {
  const comparison = syntheticComparison({ norms: ["layer"], depth: 9, epochs: 6 });
  for (const { probes } of comparison.trials) for (const { gradientNorm } of probes) gradientNorm[4] = null;
  const { document } = parseHTML(renderReport(comparison, serverDocument));
  const lines = [...document.querySelectorAll("#gradients .s-layer[data-part=line] path")]
    .map((path) => path.getAttribute("d") ?? "")
    .filter((path) => path.split("L").length > 3);
  expect(lines).toHaveLength(2);
  for (const line of lines) expect(line.split("M")).toHaveLength(3);
});

test("one exploding norm leaves the others their colours", () => {
  const { document } = parseHTML(
    renderReport(withProbeValue(syntheticComparison({ epochs: 6 }), "none", 1e30), serverDocument),
  );
  const colours = [...document.querySelectorAll(".p-instance svg [data-part=rect] rect")].map((cell) =>
    cell.getAttribute("fill"),
  );
  expect(new Set(colours).size).toBeGreaterThan(5);
});
