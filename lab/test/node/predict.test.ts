/** Networks that were kept: other data are read as those of the training, and what is said of them is what the trial measured. */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, beforeEach, expect, test, vi } from "vitest";
import { splitOf } from "../../src/data/split.js";
import type { DatasetOptions } from "../../src/datasets/dataset.js";
import { type PredictOptions, predict } from "../../src/node/predict.js";
import { checkSave, networksIn, saveNetworks } from "../../src/node/save.js";
import { startTensorFlow } from "../../src/node/tensorflow.js";
import { taskFrom } from "../../src/tasks/registry.js";
import { errorOf, pathOf, write } from "../support/files.js";
import { csvOf, kept } from "../support/kept.js";
import { rows, scattered } from "../support/tables.js";

beforeAll(startTensorFlow);

let told = "";
let printed = "";
beforeEach(() => {
  told = "";
  printed = "";
  vi.spyOn(process.stderr, "write").mockImplementation((text) => {
    // as it is before it is wrapped
    told += String(text).replaceAll("\n  ", " ");
    return true;
  });
  vi.spyOn(process.stdout, "write").mockImplementation((text) => {
    printed += text;
    return true;
  });
});

const predictions = async (folder: string, file: string, options: Partial<PredictOptions> = {}) => {
  const out = pathOf("predictions.json");
  expect(await predict(folder, file, { json: true, out, ...options })).toBe(0);
  return JSON.parse(readFileSync(out, "utf8")) as Record<string, string | number | null>[];
};

const N = 120;
const table = {
  size: rows(N, (i) => (i % 9 ? (1000 * scattered(i)).toFixed(1) : "")),
  city: rows(N, (i) => `city ${Math.floor(scattered(i, Math.E) * 30)}`),
  shop_id: rows(N, (i) => i % 4),
  since: rows(
    N,
    (i) => `2024-${String(1 + (i % 12)).padStart(2, "0")}-${String(1 + (i % 27)).padStart(2, "0")}`,
  ),
  grade: rows(N, (i) => ["None", "A", "B"][i % 3]),
  bought: rows(N, (i) => (scattered(i) > 0.5 ? "yes" : "no")),
};

test("classes: those of the held-out part are as right as the trial says, with probabilities", async () => {
  const file = write("shop.csv", csvOf(table));
  const { data, trials } = await kept(pathOf("shop"), file, { target: "bought" });
  expect(data.form.input.categories).toHaveLength(1);
  const said = await predictions(pathOf("shop"), file);
  expect(Object.keys(said[0])).toEqual(["row", "bought", "bought=no", "bought=yes"]);
  const { heldOut } = splitOf(data.parts, data.count, 1);
  const right = heldOut.filter((row) => said[row].bought === table.bought[row]).length;
  expect(right / heldOut.length).toBeCloseTo(trials[0].scores.heldOut.accuracy ?? 0, 6);
  for (const { row, bought, ...shares } of said) {
    const [no, yes] = Object.values(shares) as number[];
    expect(no + yes).toBeCloseTo(1, 6);
    expect(bought).toBe(yes > no ? "yes" : "no");
    expect(row).toBeGreaterThan(0);
  }
});

test("a few rows of another notation, order and with other columns are read as in training", async () => {
  const file = write("shop2.csv", csvOf(table));
  await kept(pathOf("shop2"), file, { target: "bought" });
  const all = await predictions(pathOf("shop2"), file);
  const { bought: _, ...inputs } = table;
  const some = Object.entries(inputs).toReversed();
  const three = Object.fromEntries(some.map(([name, values]) => [name, (values as unknown[]).slice(3, 6)]));
  const file2 = write("few.csv", csvOf({ note: ["x", "y", "z"], ...three }));
  const said = await predictions(pathOf("shop2"), file2);
  // a batch of another size is summed in another order
  for (const [i, { row, bought, ...chances }] of said.entries()) {
    const { row: _row, bought: same, ...before } = all[i + 3] ?? {};
    expect(bought).toBe(same);
    expect(Object.keys(chances)).toEqual(Object.keys(before));
    for (const [name, chance] of Object.entries(chances)) expect(chance).toBeCloseTo(Number(before[name]), 5);
  }
  expect(said).toHaveLength(3);
  expect(told).toContain('1 column not read, which the network did not learn from: "note"');
  const odd = write("odd.csv", "since,grade,shop_id,city,size\n,New,17,Atlantis,big\n");
  expect(await predictions(pathOf("shop2"), odd)).toHaveLength(1);
  expect(told).toContain(
    '"grade" has 1 value that the training had not ("New"): taken as none of those that it had',
  );
  expect(told).toContain(
    '"city" has 1 value that the network does not know ("Atlantis"): taken as rare ones',
  );
  expect(told).toContain('"size": read as numbers, with other text as missing ("big", in 1 cell)');
});

test.each([
  ["numbers", (i: number) => (50 + 10 * scattered(i)).toFixed(3), (text: string) => Number(text)],
  [
    "dates",
    (i: number) => new Date(Date.UTC(2024, 0, 1 + Math.floor(300 * scattered(i)))).toISOString().slice(0, 10),
    (text: string) => Date.parse(text) / 86_400_000,
  ],
])("%s are told in their own units, as near as the trial says", async (name, value, read) => {
  const { bought: _, ...inputs } = table;
  const file = write(`${name}.csv`, csvOf({ ...inputs, due: rows(N, value) }));
  const { data, trials } = await kept(pathOf(name), file, { target: "due" });
  const said = await predictions(pathOf(name), file);
  const { heldOut } = splitOf(data.parts, data.count, 1);
  const answer = (row: number) => (name === "dates" ? read(String(said[row].due)) : Number(said[row].due));
  const squares = Array.from(heldOut, (row) => (answer(row) - read(value(row))) ** 2);
  const rmse = Math.sqrt(squares.reduce((a, b) => a + b, 0) / squares.length);
  const { RMSE = 0 } = trials[0].scores.heldOut;
  expect(rmse / (RMSE ?? 0)).toBeCloseTo(1, 4);
});

test("images and texts", async () => {
  const pixels = Object.fromEntries(
    rows(9, (p) => [`p${p}`, rows(60, (i) => (i % 2 ? p : 8 - p) + (i % 3))]),
  );
  const image = write("images.csv", csvOf({ ...pixels, label: rows(60, (i) => i % 2) }));
  const words = ["good", "bad", "fine", "poor", "great", "awful", "nice", "dull"];
  const text = (i: number) => rows(5 + (i % 4), (at) => words[(i * (at + 3) + at) % 8]).join(" ");
  const texts = write(
    "texts.csv",
    csvOf({ text: rows(60, (i) => `${text(i)} w${i}`), label: rows(60, (i) => i % 2) }),
  );
  for (const [name, file, options] of [
    ["images", image, { image: [3, 3] }],
    ["texts", texts, { text: "text" }],
  ] as const) {
    const { data, trials } = await kept(pathOf(name), file, {
      ...options,
      target: "label",
    } as DatasetOptions);
    const said = await predictions(pathOf(name), file);
    const { heldOut } = splitOf(data.parts, data.count, 1);
    const right = heldOut.filter((row) => said[row].label === String(row % 2)).length;
    expect(right / heldOut.length).toBeCloseTo(trials[0].scores.heldOut.accuracy ?? 0, 6);
  }
  // one column of one text, in which nothing separates fields
  const one = write("one.csv", 'text\n"good, fine; and dull"\n');
  expect(await predictions(pathOf("texts"), one)).toHaveLength(1);
  expect(told).not.toContain("without a word");
  expect(await predictions(pathOf("texts"), write("zh.csv", "text\n很好的电影\ngood\n"))).toHaveLength(2);
  expect(told).toContain('! "text" has 1 text without a word that the network knows');
});

test("a forecast goes on from the end of the file, as near as the trial says of the only held-out window", async () => {
  const values = (i: number) =>
    [100 + 10 * Math.sin(i / 3), 5 * scattered(i)].map((value) => value.toFixed(3));
  const day = (i: number) => new Date(Date.UTC(2024, 0, 1 + i)).toISOString().slice(0, 10);
  const lines = (count: number) =>
    ["day,a,b", ...rows(count, (i) => [day(i), ...values(i)].join(","))].join("\n");
  const options = { horizon: 10, window: 6, season: 1, shares: [0.8, 0.1, 0.1] } as DatasetOptions;
  const { trials } = await kept(pathOf("days"), write("days.csv", lines(100)), options);
  const said = await predictions(pathOf("days"), write("begun.csv", lines(90)));
  expect(said.map(({ day }) => day)).toEqual(rows(10, (i) => day(90 + i)));
  const { inputs } = JSON.parse(readFileSync(join(pathOf("days"), "layer", "evenkeel.json"), "utf8")).content
    .kept;
  const { reading } = networksIn(pathOf("days"))[0].kept as { reading: { deviation?: number[] } };
  const squares = said.flatMap(({ a, b }, i) =>
    values(90 + i).map((value, at) => {
      const off = Number(at === 0 ? a : b) - Number(value);
      return ((off / (reading.deviation?.[at] ?? 0)) * inputs.factor[at]) ** 2;
    }),
  );
  const mean = squares.reduce((x, y) => x + y, 0) / squares.length;
  expect(mean / (trials[0].scores.heldOut.MSE ?? 0)).toBeCloseTo(1, 4);
  const few = write("fewdays.csv", lines(4));
  expect(await errorOf(() => predict(pathOf("days"), few, { json: true }))).toBe(
    "UsageError: fewdays: expected at least 6 steps, which a forecast is made from, got 4; bring more rows",
  );
});

test("a forecast reads its file as that of the training was: notations of dates and of missing values", async () => {
  const lines = (count: number, from: number) =>
    [
      "day;a",
      ...rows(count, (i) => {
        const day = new Date(Date.UTC(2024, 0, from + i)).toISOString().slice(0, 10);
        return `${day.split("-").reverse().join("/")};${i % 11 === 5 ? "-999" : (20 * scattered(i)).toFixed(2)}`;
      }),
    ].join("\n");
  const options = { horizon: 2, window: 6, season: 1, missing: ["-999"], task: "forecasting" };
  await kept(pathOf("dmy"), write("dmy.csv", lines(60, 1)), options as DatasetOptions);
  const said = await predictions(pathOf("dmy"), write("march.csv", lines(12, 61)));
  // the 1st to the 12th of March, which could be of January to December
  expect(said.map(({ day }) => day)).toEqual(["2024-03-13", "2024-03-14"]);
  expect(told).not.toContain("far from");
  await predictions(pathOf("dmy"), write("far.csv", lines(12, 61).replace(/;[^;]*$/, ";12345")));
  expect(told).toContain(
    '! values are far from those of the training, as if they were written or measured otherwise: "a"',
  );
  const empty = write("empty.csv", lines(12, 61).replace(/;.*$/gm, ";").replace("day;", "day;a"));
  expect(await errorOf(() => predict(pathOf("dmy"), empty, { json: true }))).toBe(
    'UsageError: empty: expected numbers at most of the last 6 steps, which a forecast is made from, got too few in "a"; bring them, or leave out the last rows',
  );
});

test("what is recommended finds as many hidden items as the trial says, and none that a user has", async () => {
  const owned = rows(60, (user) => [
    ...new Set(rows(9, (i) => Math.floor(scattered(user + 7 * i) ** 2 * 30))),
  ]);
  const lines = (of: number[][]) =>
    ["user,item", ...of.flatMap((own, user) => own.map((item) => `u${user},i${item}`))].join("\n");
  const options = { user: "user", item: "item" };
  const { data, trials } = await kept(pathOf("shopping"), write("all.csv", lines(owned)), options, ["none"]);
  const { items } = data.reading as { items: string[] };
  const width = data.form.input.shape[0];
  const listOf = (values: Float32Array, row: number, size: number) =>
    [...values.subarray(row * size, (row + 1) * size)]
      .filter((item) => item > 0)
      .map((item) => items[item - 1]);
  const seen = rows(data.count, (row) => listOf(data.x, row, width));
  const file = write("seen.csv", lines(seen.map((own) => own.map((item) => Number(item.slice(1))))));
  const said = await predictions(pathOf("shopping"), file, { top: 5 });
  expect(said.slice(0, 5).map(({ user, place }) => `${user} ${place}`)).toEqual(
    rows(5, (i) => `u0 ${i + 1}`),
  );
  const { heldOut } = splitOf(data.parts, data.count, 1);
  const recalls = Array.from(heldOut, (row) => {
    const hidden = listOf(data.y, row, data.targetShape[0]);
    const own = said.filter(({ user }) => user === `u${row}`).map(({ item }) => item as string);
    expect(own.filter((item) => seen[row].includes(item))).toEqual([]);
    return hidden.filter((item) => own.includes(item)).length / Math.min(5, hidden.length);
  });
  const recall = recalls.reduce((a, b) => a + b, 0) / recalls.length;
  expect(recall).toBeCloseTo(trials[0].scores.heldOut["recall@5"] ?? 0, 5);
});

test("what users have may be known without ratings and times; users of whom nothing is known are told", async () => {
  const lines = (row: (user: number, item: number) => string) =>
    rows(200, (i) => row(i % 20, (i * i + Math.floor(i / 20)) % 12)).join("\n");
  const all = `user;item;rating;time\n${lines((user, item) => `u${user};00${item};${item % 3},5;${item}`)}`;
  await kept(pathOf("rated"), write("rated.csv", all), { user: "user", item: "item" }, ["none"]);
  const go = (text: string) => predictions(pathOf("rated"), write("new.csv", text), { top: 1 });
  const [implicit] = await go("item,user\n001,u\n002,u\n");
  expect(implicit).toMatchObject({ user: "u", place: 1 });
  expect(told).toContain(
    '! "rating", "time" without a value: users have what all their rows name, in the order of the file',
  );
  told = "";
  await go("user,item,rating,time\nu,001,2.5,1\nv,002,0.5,1\n");
  expect(told).toContain("1 item for each of 1 user\n");
  expect(told).toContain("! 1 user left out, of whom no row says what they have");
  await predictions(pathOf("rated"), write("all.csv", "user,item,rating,time\nu,001,2.5,1\n"), { top: 50 });
  expect(told).toMatch(/! 1 user with fewer than 50 items left, of the \d+ that the network knows/);
  const low = write("low.csv", "user,item,rating,time\nv,002,0.5,1\n");
  expect(await errorOf(() => predict(pathOf("rated"), low, { json: true }))).toBe(
    'UsageError: low: expected rows with a value in each of "user", "item", "rating", "time", and 1.5 or more in "rating", which say what a user has, got none; bring such rows',
  );
});

test("a text is known as well as the trial says, and gone on with in the same way every time", async () => {
  const text = rows(
    400,
    (i) => ["the cat sat on the mat. ", "a dog ate it, and sat.\n"][Math.floor(2 * scattered(i))],
  ).join("");
  const file = write("book.txt", text);
  const options = { task: taskFrom("text"), window: 16, limit: 4000 };
  const { data, trials } = await kept(pathOf("book"), file, options);
  const { heldOut } = splitOf(data.parts, data.count, 1);
  const first = data.windows?.starts[heldOut[0]] ?? 0;
  const part = write("end.txt", text.slice(first, first + 16 * heldOut.length + 1));
  const [said] = await predictions(pathOf("book"), part, { characters: 30 });
  const { characters, continuation, ...scores } = said;
  expect(characters).toBe(16 * heldOut.length + 1);
  const [[name, bits]] = Object.entries(scores);
  expect(bits).toBeCloseTo(trials[0].scores.heldOut[name] ?? 0, 4);
  expect(continuation).toHaveLength(30);
  expect(text).toContain(String(continuation).slice(0, 1));
  expect((await predictions(pathOf("book"), part, { characters: 30 }))[0].continuation).toBe(continuation);
  const [short] = await predictions(pathOf("book"), write("short.txt", "the c"), { characters: 2 });
  expect(short).toMatchObject({ characters: 5, [name]: null });
  told = "";
  const long = write("long.txt", `${"the cat sat. ".repeat(20_000)}${text.slice(0, 400)}`);
  const [only] = await predictions(pathOf("book"), long, { characters: 1 });
  expect(only.characters).toBe(50_000);
  expect(told).toContain("how well the first 50,000 characters of a text are known, and how it goes on");
  expect(told).not.toContain("!");
  await predictions(pathOf("book"), write("cyrillic.txt", "Все счастливые семьи. "), { characters: 1 });
  expect(told).toContain("! 18 of 22 characters are none that the network knows: all of them count as one");
  expect(await errorOf(() => predict(pathOf("book"), part, { json: true, top: 3 }))).toBe(
    "UsageError: --top: has no place in language-model, which the network learnt; leave it out",
  );
});

test("CSV on standard output, quoted where it must be; the best network on validation, or --norm", async () => {
  const bought = table.bought.map((each) => (each === "yes" ? '"a, ""b"""' : "c"));
  const file = write("quoted.csv", csvOf({ size: table.size, shop_id: table.shop_id, bought }));
  const { data, trials } = await kept(pathOf("two"), file, { target: "bought" }, ["none", "layer"]);
  expect(networksIn(pathOf("two")).map(({ kept: { norm } }) => norm)).toEqual(["layer", "none"]);
  expect(networksIn(join(pathOf("two"), "none"))).toHaveLength(1);
  await predict(pathOf("two"), file, { json: false, norm: "none" });
  const [head, first] = printed.split("\n");
  expect(head).toBe('row,bought,"bought=a, ""b""",bought=c');
  expect(first).toMatch(/^1,(?:c|"a, ""b"""),0\.\d{1,9},0\.\d{1,9}$/);
  expect(told).toContain("network: none, ");
  const [none, layer] = trials.map(({ scores }) => scores.validation[data.metric] ?? 0);
  expect(none).not.toBe(layer);
  await predict(pathOf("two"), file, { json: false });
  expect(told).toContain(`network: ${none > layer ? "none" : "layer"}, `);
});

test("nothing that is there is overwritten, and what is not as written is refused", async () => {
  const file = write("small.csv", csvOf({ size: table.size, bought: table.bought }));
  const { data, trials } = await kept(pathOf("mine"), file, { target: "bought" });
  expect(readdirSync(join(pathOf("mine"), "layer")).sort()).toEqual([
    "evenkeel.json",
    "model.json",
    "weights.bin",
  ]);
  // the same once more, as when a comparison is gone on with
  saveNetworks(pathOf("mine"), trials, data, "d");
  expect(await errorOf(() => checkSave(pathOf("mine")))).toBe(
    'UsageError: --save: the folder "mine" is not empty (it holds "layer"), and nothing in it is overwritten; name another folder',
  );
  expect(await errorOf(() => saveNetworks(pathOf("mine"), trials, data, "other"))).toBe(
    'UsageError: --save: the folder "mine/layer" is not empty (it holds "evenkeel.json"), and nothing in it is overwritten; move it away',
  );
  mkdirSync(join(pathOf("theirs"), "layer"), { recursive: true });
  writeFileSync(join(pathOf("theirs"), "layer", "notes.txt"), "");
  expect(await errorOf(() => saveNetworks(pathOf("theirs"), trials, data, "d"))).toBe(
    'UsageError: --save: the folder "theirs/layer" is not empty (it holds "notes.txt"), and nothing in it is overwritten; move it away',
  );
  expect(await errorOf(() => checkSave(file))).toBe(
    'UsageError: --save: "small.csv" is there and no folder; name another one',
  );
  expect(await errorOf(() => checkSave(pathOf("new/one")))).toBe("none");
  expect(existsSync(pathOf("new"))).toBe(false);

  const go = (options: Partial<PredictOptions> = {}, folder = pathOf("mine"), of = file) =>
    errorOf(() => predict(folder, of, { json: false, ...options }));
  expect(await go({ norm: "batch" })).toBe(
    'UsageError: --norm: expected "layer", of which there are networks in "mine", got "batch"',
  );
  expect(await go({ out: file })).toBe('UsageError: --out: "small.csv" is read from; name another file');
  expect(await go({ out: pathOf("mine") })).toBe('UsageError: --out: "mine" is a folder; name a file');
  expect(await go({}, pathOf("theirs"))).toBe(
    'UsageError: predict: there is no network in "theirs", expected evenkeel.json there or in its folders; name a folder that evenkeel compare --save wrote',
  );
  expect(await go({}, pathOf("mine"), write("other.csv", "a,b\n1,2\n"))).toBe(
    'UsageError: other: expected the 1 column that the network learnt from, got none called "size"; its columns are "a", "b": rename them as in the file of the training, or add them (empty where a value is not known)',
  );
  writeFileSync(join(pathOf("mine"), "layer", "weights.bin"), "");
  expect(await go()).toBe(
    'FailureError: predict: weights.bin in "mine/layer" is not as written, or missing; copy the folder again, or train anew with evenkeel compare --save',
  );
  writeFileSync(join(pathOf("mine"), "layer", "evenkeel.json"), "{}");
  expect(await go()).toBe(
    'FailureError: predict: evenkeel.json in "mine/layer" is not as it was written; copy the folder again, or train anew with evenkeel compare --save',
  );
});

test("a layer of the user's own is registered by a module, as for a diagnosis", async () => {
  const file = write("own.csv", csvOf({ size: table.size, bought: table.bought }));
  const { data, trials } = await kept(pathOf("plain"), file, { target: "bought" });
  const changed = JSON.parse(
    JSON.stringify(trials).replaceAll('"class_name":"Activation"', '"class_name":"Squashing"'),
  );
  saveNetworks(pathOf("squashed"), changed, data, "d");
  const told = 'UsageError: predict: the network in "squashed/layer": its class Squashing is not known; ';
  expect(await errorOf(() => predictions(pathOf("squashed"), file))).toBe(
    `${told}name a module that registers it with --layers FILE.js (tf.serialization.registerClass, of @tensorflow/tfjs)`,
  );
  const idle = write("nothing.mjs", "export {};");
  expect(await errorOf(() => predictions(pathOf("squashed"), file, { layers: idle }))).toBe(
    `${told}call tf.serialization.registerClass for it in "nothing.mjs"`,
  );
});
