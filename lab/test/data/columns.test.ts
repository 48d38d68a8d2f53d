import { expect, test } from "vitest";
import { understand } from "../../src/data/columns.js";
import type { Decision, Known, RawColumn, ReadOptions, Table } from "../../src/data/table.js";
import { UsageError } from "../../src/errors.js";

type Cells = RawColumn["cells"];

/** The table of columns given by name. */
function tableOf(columns: Record<string, Cells>, options: ReadOptions = {}): Table {
  const raw = Object.entries(columns).map(([name, cells]) => ({ name, cells }));
  return understand(
    { columns: raw, rowCount: raw[0]?.cells.length ?? 0, decisions: [] },
    "mine.csv",
    options,
  );
}

/** The only column, and what was decided about it. */
function read(cells: Cells, options: ReadOptions = {}, name = "a") {
  const { columns, decisions } = tableOf({ [name]: cells }, options);
  return { kind: columns[0].kind, values: columns[0].values, decisions };
}

const errorOf = (run: () => unknown): string => {
  try {
    run();
  } catch (error) {
    expect(error).toBeInstanceOf(UsageError);
    return (error as Error).message;
  }
  return "no error";
};

/** Decisions as they are shown. */
const told = (decisions: readonly Decision[]): string[] =>
  decisions.map(({ columns, what, why, option }) =>
    [`${columns.join(", ")}: ${what}`, why && ` (${why})`, option && `; ${option}`].join(""),
  );

const repeat = (times: number, ...cells: string[]): string[] =>
  Array.from({ length: times * cells.length }, (_, index) => cells[index % cells.length]);

test("plain numbers and text need no word", () => {
  const table = tableOf({ a: ["1", "-2.5", ""], b: ["x", " y ", ""], c: [1, null, Number.NaN] });
  expect(table.columns).toEqual([
    { name: "a", kind: "number", values: [1, -2.5, null], written: { decimal: "." } },
    { name: "b", kind: "text", values: ["x", "y", null] },
    { name: "c", kind: "number", values: [1, null, null], written: { decimal: "." } },
  ]);
  expect(table).toMatchObject({ name: "mine", rowCount: 3, fileRows: 3, decisions: [] });
  expect(table.rowNumber(1)).toBe(2);
});

test("a file's decimal comma makes its dotted numbers thousands", () => {
  const table = tableOf({
    sold: ["1.415", "926", "12.000"],
    cost: ["7.250", "3.100", "4.900"],
    price: ["0,5", "1,25", "1.234,5"],
  });
  expect(table.columns.map(({ values }) => values)).toEqual([
    [1415, 926, 12000],
    [7250, 3100, 4900],
    [0.5, 1.25, 1234.5],
  ]);
  expect(told(table.decisions)).toEqual([
    'sold, cost: read with thousands separated by dots ("1.415" beside "926"); --decimal .',
    'price: read with thousands separated by dots (such as "1.234,5")',
    'price: read with a decimal comma (such as "0,5")',
  ]);
});

test("grouped thousands prove the decimal of others, and are not told to have one", () => {
  expect(told(tableOf({ a: ["3.645.000", "12"], b: ["1.415", "2.332"] }).decisions)).toEqual([
    'a: read with thousands separated by dots ("3.645.000" beside "12")',
    'b: read with thousands separated by dots (such as "1.415"); --decimal .',
  ]);
});

test("what stays open is told, and decided by --decimal", () => {
  const cells = ["1.415", "926"];
  expect(read(cells).values).toEqual([1415, 926]);
  expect(told(read(cells).decisions)).toEqual([
    'a: read with thousands separated by dots ("1.415" beside "926"); --decimal .',
  ]);
  expect(read(cells, { decimal: "." })).toEqual({ kind: "number", values: [1.415, 926], decisions: [] });
  expect(told(read(["1.415", "2.332"]).decisions)).toEqual([
    'a: read with a decimal point ("1.415" could be "1415" too); --decimal ,',
  ]);
  expect(read(["50,000", "5,000"], { decimal: "," }).values).toEqual([50, 5]);
  expect(told(read(["0.5", "1.415"], { decimal: "," }).decisions)).toEqual([
    'a: read with a decimal point (such as "0.5"); --categorical a',
  ]);
});

test("lists of numbers are no decimal commas", () => {
  expect(told(tableOf({ a: ["1,2", "3"], b: ["0.5", "1"], c: ["1.5", "1"] }).decisions)).toEqual([
    'a: read with a decimal comma (such as "1,2"); --categorical a',
  ]);
  expect(read(["1,2", "1,3,4", "1", "2,3"])).toMatchObject({ kind: "text" });
});

test("marks around numbers are left away, once for all columns that have them", () => {
  const table = tableOf({
    price: ["$1,200.50", "($4)"],
    "list price": ["$5", "$6"],
    rate: ["69%", "5 %"],
    weight: ["12 kg", "3.5 kg"],
    votes: ["1'234", "12 [98]"],
    code: ["0x1f", "0x20"],
    size: ["19M", "201k"],
  });
  expect(table.columns.map(({ values }) => values)).toEqual([
    [1200.5, -4],
    [5, 6],
    [69, 5],
    [12, 3.5],
    [1234, 12],
    [31, 32],
    [19e6, 201e3],
  ]);
  expect(told(table.decisions)).toEqual([
    'price: read with thousands separated by commas ("$1,200.50" beside "($4)")',
    'price, list price: read as numbers without the currency (such as "$1,200.50" and "$5"); --categorical price,"list price"',
    'price: read with parentheses as a minus sign (such as "($4)"); --categorical price',
    'rate: read as the numbers before % (such as "69%"); --categorical rate',
    'weight: read as numbers of "kg"; --categorical weight',
    `votes: read with thousands separated by apostrophes (such as "1'234"); --categorical votes`,
    'votes: read as numbers without footnotes (such as "12 [98]"); --categorical votes',
    'code: read as hexadecimal numbers (such as "0x1f"); --categorical code',
    "size: read with M and k as powers of a thousand; --categorical size",
  ]);
});

test("invisible marks that were copied along are none of a number's or a date's", () => {
  expect(read(["\u200e12", "3\u200b", "\ufeff4"]).values).toEqual([12, 3, 4]);
  expect(read(["\u200e1/31/2024\u200e", "2/1/2024"]).values).toEqual([
    Date.UTC(2024, 0, 31),
    Date.UTC(2024, 1, 1),
  ]);
});

test("a unit of one and of many is one", () => {
  const { values, decisions } = read(["3 years", "1 year", "5 Years"]);
  expect(values).toEqual([3, 1, 5]);
  expect(told(decisions)).toEqual(['a: read as numbers of "years"; --categorical a']);
});

test("addresses are text, without a word", () => {
  const streets = Array.from(
    { length: 30 },
    (_, index) => `${index} ${String.fromCharCode(65 + index)}x street`,
  );
  expect(read(streets)).toEqual({ kind: "text", values: streets, decisions: [] });
});

test("several units are text, with a word", () => {
  const { kind, decisions } = read(["12 kg", "3 lb", "7 kg"]);
  expect(kind).toBe("text");
  expect(told(decisions)).toEqual([
    'a: read as text (numbers of different units: "12 kg", "3 lb" and "7 kg")',
  ]);
});

test("several currencies are several units, by sign or code", () => {
  const { kind, decisions } = read(["$1,200", "€900", "£1,500"]);
  expect(kind).toBe("text");
  expect(told(decisions)).toEqual([
    'a: read as text (numbers of different units: "$1,200", "€900" and "£1,500")',
  ]);
  expect(read(["$1,200", "900 USD", "850"]).values).toEqual([1200, 900, 850]);
});

test("codes stay text: leading zeros, and whole numbers that a double would round", () => {
  expect(read(["02139", "10001"])).toMatchObject({ kind: "text", values: ["02139", "10001"] });
  expect(told(read(["02139", "10001"]).decisions)).toEqual([
    'a: kept as text (codes with leading zeros, such as "02139"); --numeric a',
  ]);
  expect(read(["02139", "10001"], { numeric: ["a"] }).values).toEqual([2139, 10001]);
  expect(told(read(["9007199254740993", "9007199254740994"]).decisions)).toEqual([
    'a: kept as text (whole numbers such as "9007199254740993" and "9007199254740994" would be rounded); --numeric a',
  ]);
  expect(read(["-2327002432021.473"]).values).toEqual([-2327002432021.473]);
  expect(read(["01", "12"]).values).toEqual([1, 12]);
  expect(read(["0", "0.5"]).decisions).toEqual([]);
});

test("names of things are no numbers where some hold letters", () => {
  const cells = ["207", "208", "209", "210", "207a"];
  const { kind, values, decisions } = read(cells, {}, "subject");
  expect({ kind, values }).toEqual({ kind: "text", values: cells });
  expect(told(decisions)).toEqual(['subject: read as text ("207a" beside numbers, where things are named)']);
  expect(read(["1", "2", "NA"], {}, "subject").values).toEqual([1, 2, null]);
});

test("text among numbers is missing, and told; half of it makes the column text", () => {
  const numbers = Array.from({ length: 90 }, (_, index) => String(index));
  const many = [...numbers, ...repeat(5, "approx 3", "see note")];
  expect(read(many).values.slice(88)).toEqual([88, 89, ...Array(10).fill(null)]);
  expect(read(many, { categorical: ["a"] }).values).toEqual(many);
  expect(told(read(many).decisions)).toEqual([
    'a: read as numbers, with other text as missing ("approx 3" and "see note", in 10 cells); --categorical a',
  ]);
  // one note that comes again and again among many numbers
  expect(read([...numbers.slice(0, 80), ...repeat(40, "approx 3")]).kind).toBe("number");
  expect(told(read(["1", "2", "x", "abc"]).decisions)).toEqual([
    'a: read as text (2 values are no numbers: "x" and "abc")',
  ]);
});

test("texts are looked for in all of a long column", () => {
  const numbers = Array.from({ length: 3000 }, (_, index) => String(index));
  const names = Array.from({ length: 2000 }, (_, index) => `id ${index}`);
  const { kind, decisions } = read([...numbers, ...names]);
  expect(kind).toBe("text");
  expect(told(decisions)).toEqual([
    'a: read as text (2,000 values are no numbers: "id 0", "id 1" and "id 2")',
  ]);
});

test("levels of which some are numbers are levels", () => {
  const cells = repeat(10, "4", "6", "8", "rotary");
  expect(read(cells)).toMatchObject({ kind: "text", values: cells });
  expect(told(read(cells).decisions)).toEqual([
    'a: read as text ("rotary" beside numbers, as frequent as levels are)',
  ]);
});

test("few values that hardly come again are no levels", () => {
  expect(read(["<0.05", "0.12", "0.33", "<0.05", "1.2", "0.5", "0.7", "0.8"]).values.slice(0, 3)).toEqual([
    null,
    0.12,
    0.33,
  ]);
});

test("text in a column of declared numbers is told as what it is", () => {
  const { columns, decisions } = understand(
    { columns: [{ name: "a", cells: ["1", "twelve", "NA"], type: "number" }], rowCount: 3, decisions: [] },
    "a.arff",
    {},
  );
  expect(columns[0].values).toEqual([1, null, null]);
  expect(told(decisions)).toEqual(['a: read as numbers, with other text as missing ("twelve", in 1 cell)']);
});

test("infinite numbers are missing, and told", () => {
  expect(read(["1", "inf", "1e400", "2"]).values).toEqual([1, null, null, 2]);
  expect(told(read(["1", "inf", "1e400", "2"]).decisions)).toEqual([
    'a: read with infinite values as missing ("inf" and "1e400", in 2 cells)',
  ]);
  expect(read([1, Number.NEGATIVE_INFINITY]).values).toEqual([1, null]);
});

test("notations of missing values are told; among text they may be levels", () => {
  const table = tableOf({
    n: ["1", "?", "3", "NA"],
    d: ["2024-01-01", "None", "2024-01-03", "2024-01-04"],
    region: ["EU", "NA", "EU", "AS"],
    text: ["x", "?", "y", "x"],
  });
  expect(table.columns.map(({ values }) => values)).toEqual([
    [1, null, 3, null],
    [Date.UTC(2024, 0, 1), null, Date.UTC(2024, 0, 3), Date.UTC(2024, 0, 4)],
    ["EU", "NA", "EU", "AS"],
    ["x", null, "y", "x"],
  ]);
  expect(told(table.decisions)).toEqual([
    'n, d, text: read with missing values ("?", "NA" and "None", in 4 cells); --missing ""',
    'd: read as dates (such as "2024-01-01"); --categorical d',
    'region: read with "NA" as a value of its own (in 1 cell); --missing NA',
  ]);
});

test("--missing says which notations are meant, and no others", () => {
  expect(read(["1", "-999", "3", "-999.0"], { missing: ["-999"] })).toEqual({
    kind: "number",
    values: [1, null, 3, null],
    decisions: [],
  });
  expect(read([1, -999], { missing: ["-999"] }).values).toEqual([1, null]);
  expect(read(["EU", "NA", "?", ""], { missing: ["NA"] }).values).toEqual(["EU", null, "?", null]);
});

test("a number that may stand for a missing one is told, not changed", () => {
  const cells = [...repeat(20, "1.5", "2.5", "3.5"), ...repeat(3, "-999")];
  expect(read(cells).values.at(-1)).toBe(-999);
  expect(told(read(cells).decisions)).toEqual([
    'a: read with -999 as a number (in 3 cells, far from all others: it may stand for a missing value); --missing "-999"',
  ]);
  expect(read(repeat(20, "-999", "-500", "300")).decisions).toEqual([]);
});

test("dates are told with what could be read otherwise", () => {
  const table = tableOf({
    when: ["2024-01-01 10:00", "2024-01-02 11:00"],
    sent: ["1/2/2024", "3/4/2024"],
    time: ["12:30", "13:45"],
  });
  expect(table.columns.map(({ kind, values }) => [kind, values[1]])).toEqual([
    ["date", Date.UTC(2024, 0, 2, 11)],
    ["date", Date.UTC(2024, 2, 4)],
    ["number", 825],
  ]);
  expect(told(table.decisions)).toEqual([
    'when: read as dates (such as "2024-01-01 10:00"); --categorical when',
    'sent: read as dates of month, day and year ("1/2/2024" could be another order); --dates dmy',
    'time: read as hours and minutes, in minutes (such as "12:30" and "13:45"); --categorical time',
  ]);
  expect(read(["1/2/2024", "3/4/2024"], { dates: "dmy" }).values).toEqual([
    Date.UTC(2024, 1, 1),
    Date.UTC(2024, 3, 3),
  ]);
});

test("what is no date among dates is missing, and told", () => {
  const cells = ["0000-00-00", "2024-01-01", "2024-01-02", "2024-02-30", ...repeat(4, "2024-01-03")];
  expect(read(cells).values.filter((value) => value === null)).toHaveLength(2);
  expect(told(read(cells).decisions)).toEqual([
    'a: read as dates (such as "2024-01-01"); --categorical a',
    'a: read with what is no date as missing ("0000-00-00" and "2024-02-30", in 2 cells); --categorical a',
  ]);
});

test("what looks like a date and is none in any order is no date", () => {
  expect(read(["20-00-00", "40-47-84", "60-16-13"])).toEqual({
    kind: "text",
    values: ["20-00-00", "40-47-84", "60-16-13"],
    decisions: [],
  });
  expect(read(["18.00.00", "19.00.00", "20.30.00"]).values).toEqual([1080, 1140, 1230]);
});

test("birthdays of two-digit years are of the past", () => {
  expect(read(["1/5/45", "2/15/38", "3/1/61"]).values[0]).toBe(Date.UTC(1945, 0, 5));
  expect(read(["5-Jan-45", "15-Feb-75", "1-Mar-02"]).values).toEqual([
    Date.UTC(1945, 0, 5),
    Date.UTC(1975, 1, 15),
    Date.UTC(2002, 2, 1),
  ]);
});

test("digits are dates only where the name says so", () => {
  const cells = ["20240131", "20240201"];
  expect(read(cells).kind).toBe("number");
  expect(read(cells, {}, "order_date")).toMatchObject({
    kind: "date",
    values: [Date.UTC(2024, 0, 31), Date.UTC(2024, 1, 1)],
  });
  expect(read([20240131, 20240201], {}, "order_date").kind).toBe("date");
  expect(read([...cells, "20249999"], {}, "order_date").kind).toBe("number");
  expect(read(["202401311030", "202401311045"], {}, "timestamp").kind).toBe("date");
  const pandas = read(["20240131.0", "", "20240201.0", "20240202.0", "0"], {}, "date");
  expect(pandas.values).toEqual([31, null, 32, 33, null].map((day) => day && Date.UTC(2024, 0, day)));
  expect(told(pandas.decisions)[1]).toBe(
    'date: read with what is no date as missing ("0", in 1 cell); --categorical date',
  );
  expect(read(cells, { numeric: ["order_date"] }, "order_date").kind).toBe("number");
});

test("--categorical and --numeric decide, or say why they cannot", () => {
  expect(read(["1", "02", "2024-01-01"], { categorical: ["a"] }).values).toEqual(["1", "02", "2024-01-01"]);
  expect(errorOf(() => read(["1", "2", `x\u001b${"y".repeat(1e5)}`], { numeric: ["a"] }))).toBe(
    `mine.csv: row 3, column "a": expected a number, got "x\ufffd${"y".repeat(37)}…"; correct the value, name it with --missing, or leave out --numeric a`,
  );
  expect(errorOf(() => read(["1"], { numeric: ["a"], categorical: ["A"] }))).toBe(
    'column "a" is named by --categorical and by --numeric; remove it from one of them',
  );
  expect(errorOf(() => read(["1"], { numeric: ["b"] }))).toBe(
    '--numeric: there is no column "b"; did you mean "a"? The columns are "a"',
  );
});

test("what the format declares is kept", () => {
  const table = understand(
    {
      columns: [
        { name: "n", cells: [1, null], type: "number" },
        { name: "d", cells: [0, 86_400_000], type: "date" },
        { name: "t", cells: ["1", "NA"], type: "text", levels: ["1", "NA", "\u0007"] },
      ],
      rowCount: 900,
      rowNumbers: [17, 400],
      decisions: [{ columns: [], what: "read by its reader" }],
    },
    "big.data.parquet",
    {},
  );
  expect(table.columns).toEqual([
    { name: "n", kind: "number", values: [1, null] },
    { name: "d", kind: "date", values: [0, 86_400_000] },
    { name: "t", kind: "text", values: ["1", "NA"], levels: ["1", "NA", "\ufffd"] },
  ]);
  expect(table).toMatchObject({ name: "big.data", rowCount: 2, fileRows: 900 });
  expect(table.decisions).toEqual([{ columns: [], what: "read by its reader" }]);
  expect(table.rowNumber(1)).toBe(400);
});

test("a declared date that is to be a level is shown as one", () => {
  const table = understand(
    { columns: [{ name: "d", cells: [0], type: "date" }], rowCount: 1, decisions: [] },
    "a.parquet",
    { categorical: ["d"] },
  );
  expect(table.columns[0]).toEqual({ name: "d", kind: "text", values: ["1970-01-01T00:00:00.000Z"] });
});

test("text of several lines is on one", () => {
  expect(read(["a\r\nb", "x\ty", "z"]).values).toEqual(["a b", "x y", "z"]);
});

test("text can be shown, and what is told of it is short", () => {
  const osc = "\u001b]52;c;x\u0007\u202e";
  expect(read([osc, "b"]).values).toEqual(["\ufffd]52;c;x\ufffd\ufffd", "b"]);
  const long = `${"1".repeat(1e6)}x`;
  const { decisions } = read([...Array.from({ length: 30 }, (_, index) => String(index)), osc, long]);
  expect(told(decisions).join("").length).toBeLessThan(250);
  expect(told(decisions).join("")).not.toContain("\u001b");
});

test("the cells of its reader are let go of", () => {
  const raw = { columns: [{ name: "a", cells: ["1"] }], rowCount: 1, decisions: [] };
  understand(raw, "a.csv", {});
  expect(raw.columns).toEqual([]);
});

test("a file without columns or rows is none", () => {
  expect(errorOf(() => tableOf({}))).toBe(
    "mine.csv: expected at least one row of data, got none; check that the file was written to its end",
  );
  expect(errorOf(() => tableOf({ a: [], b: [] }))).toBe(
    "mine.csv: expected at least one row of data, got only the names of the columns; check that the file was written to its end",
  );
});

test("cells that are as they should be are not held twice", () => {
  const raw: RawColumn[] = [
    { name: "n", type: "number", cells: [1, null, 0] },
    { name: "t", type: "text", cells: ["a", null, "b"] },
    { name: "u", cells: ["x", "y", null] },
    { name: "v", type: "number", cells: [1, Number.POSITIVE_INFINITY, 0] },
    { name: "w", type: "text", cells: ["a ", "", "a"] },
  ];
  const { columns } = understand({ columns: raw, rowCount: 3, decisions: [] }, "a.json", {});
  expect(columns.map(({ values }, index) => values === raw[index].cells)).toEqual([
    true,
    true,
    true,
    false,
    false,
  ]);
  expect(columns.slice(3).map(({ values }) => values)).toEqual([
    [1, null, 0],
    ["a", null, "a"],
  ]);
});

test("a file of nothing that a cell can hold says so", () => {
  const decisions = [{ columns: ["f"], what: "left out", why: "lists" }];
  expect(errorOf(() => understand({ columns: [], rowCount: 3, decisions }, "a.json", {}))).toBe(
    "a.json: expected columns of numbers, dates or text, got only what no cell can hold (lists); write what is in them as columns of their own",
  );
});

test("many rows take no longer than reading them", () => {
  // a tenth of a second where nothing else runs
  const cells = Array.from({ length: 60_000 }, (_, index) => String(index * 1.37));
  const start = performance.now();
  tableOf({ a: cells, b: cells, c: cells });
  expect(performance.now() - start).toBeLessThan(2000);
});

test("many columns take no longer than their cells", () => {
  const columns = Object.fromEntries(
    Array.from({ length: 20_000 }, (_, index) => [`c${index}`, [index % 2 ? "1.5" : "2024-01-05"]]),
  );
  const start = performance.now();
  expect(tableOf(columns).decisions).toHaveLength(1);
  expect(performance.now() - start).toBeLessThan(6000);
});

test("columns of an earlier file are read as they were, however little this one says", () => {
  const cells = {
    sold: ["1.415"],
    day: ["03/04/2024"],
    code: ["12"],
    grade: ["None"],
    size: ["big"],
    from: ["12:30"],
    born: ["2024"],
  };
  const known = new Map<string, Known>([
    ["sold", { kind: "number", written: { decimal: "," } }],
    ["day", { kind: "date", written: { dates: "dmy" } }],
    ["code", { kind: "text" }],
    ["grade", { kind: "text", values: new Set(["None", "A"]) }],
    ["size", { kind: "number" }],
    ["from", { kind: "number" }],
    ["born", { kind: "date" }],
    ["gone", { kind: "date" }],
  ]);
  expect(tableOf(cells, { known }).columns.map(({ kind, values }) => [kind, values[0]])).toEqual([
    ["number", 1415],
    ["date", Date.UTC(2024, 3, 3)],
    ["text", "12"],
    ["text", "None"],
    ["number", null],
    ["number", 750],
    ["date", null],
  ]);
  expect(tableOf(cells).columns.map(({ kind, values }) => [kind, values[0]])).not.toContainEqual([
    "number",
    1415,
  ]);
});
