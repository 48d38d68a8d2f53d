import { expect, test } from "vitest";
import {
  columnDecimal,
  type Decimal,
  Evidence,
  fileDecimal,
  numberOf,
  numeralOf,
} from "../../src/data/numbers.js";

const read = (text: string, decimal: Decimal = ".") => {
  const numeral = numeralOf(text);
  return numeral && numberOf(numeral, decimal);
};
const evidenceOf = (...texts: string[]): Evidence => {
  const evidence = new Evidence();
  for (const text of texts) {
    const numeral = numeralOf(text);
    if (numeral) evidence.add(numeral, text);
  }
  return evidence;
};

test.each([
  ["0", 0],
  ["-1.5", -1.5],
  ["+7", 7],
  [".5", 0.5],
  ["5.", 5],
  ["1e5", 1e5],
  ["2.5E-3", 0.0025],
  ["9,471e-02", 0.09471],
  ["1.5×10^3", 1500],
  ["\u22120.25", -0.25],
  ["\u20138", -8],
  ["7-", -7],
  ["5.-", 5],
  ["5,--", 5],
  ["-0", 0],
  ["$5 USD", 5],
  ["- 3", -3],
  ["(1,234.50)", -1234.5],
  ["($4)", -4],
  ["-$3.50", -3.5],
  ["$-3.50", -3.5],
  ["$1,200.00", 1200],
  ["1.200,50 €", 1200.5],
  ["CHF 7.50", 7.5],
  ["USD 5", 5],
  ["5 kr", 5],
  ["5 zł", 5],
  ["12 000,10 руб.", 12000.1],
  ["NT$1,200.5", 1200.5],
  ["69%", 69],
  ["12,5 %", 12.5],
  ["12 [98]", 12],
  ["9 [1][note 2]", 9],
  ["0.5***", 0.5],
  ["10,000.5+", 10000.5],
  ["3+", 3],
  ["0x1F", 31],
  ["-0xff", -255],
  ["50_094", 50094],
  ["1_00_00", 10000],
  ["12 345", 12345],
  ["12\u00a0345,5", 12345.5],
  ["1\u202f234\u202f567", 1234567],
  ["1'234.50", 1234.5],
  ["2’000", 2000],
  ["1´234´567", 1234567],
  ["3rd", 3],
  ["1.234.567", 1234567],
  ["1,234,567", 1234567],
  ["12,34,567", 1234567],
  ["1.234,5", 1234.5],
  ["1,234.5", 1234.5],
  ["0,095", 0.095],
  ["12 kg", 12],
  ["3.5in", 3.5],
  ['5"', 5],
  ["12.5 °C", 12.5],
  ["4 m2", 4],
  ["Infinity", Number.POSITIVE_INFINITY],
  ["-inf", Number.NEGATIVE_INFINITY],
  ["∞", Number.POSITIVE_INFINITY],
  ["１２．５", 12.5],
  ["٣٤", 34],
  ["١٢٫٥", 12.5],
  ["१२", 12],
  ["๓.๕", 3.5],
  ["1.5D+03", 1500],
])("%j is one number", (text, value) => {
  expect(read(text)).toBe(value);
  // what proves its notation is read the same in any file
  if (numeralOf(text)?.unclear === undefined) expect(read(text, ",")).toBe(value);
});

test.each([
  "",
  ".",
  "-",
  "x0",
  "Q1",
  "1/2",
  "2x2",
  "10-20",
  "8.5/10",
  "2024-01-05",
  "01.02.2024",
  "12:30",
  "192.168.1.1",
  "1.2.3",
  "1,3,4",
  "1,2,",
  "1.2345,6",
  "5 10",
  "1 2345",
  "_5",
  "1__0",
  "555-1234",
  "(555) 123-4567",
  "--5",
  "+-5",
  "5'11\"",
  "[98]",
  "$",
  "e5",
  "infinite",
  "0xdeadbeefcafebabe",
  "5 pipes with a very long name",
  "1. Male",
])("%j is no number", (text) => {
  expect(numeralOf(text)).toBeUndefined();
});

test("a point or comma with three digits behind it is open until the file decides", () => {
  expect([read("1.415", "."), read("1.415", ",")]).toEqual([1.415, 1415]);
  expect([read("50,000", "."), read("50,000", ",")]).toEqual([50_000, 50]);
  expect(numeralOf("0.415")?.decimal).toBe(".");
  expect(numeralOf("1234.567")?.decimal).toBe(".");
  expect(numeralOf("1.415e0")?.decimal).toBe(".");
});

test("a currency is known by its sign or its code, before or behind the number", () => {
  expect(
    ["$5", "US$ 5", "5 USD", "€5", "5,00 EUR", "₹5", "Rs. 5", "5"].map((text) => numeralOf(text)?.currency),
  ).toEqual(["USD", "USD", "USD", "EUR", "EUR", "INR", "INR", ""]);
});

test("a file's notation is what most of its columns prove", () => {
  const point = evidenceOf("0.5");
  const comma = evidenceOf("0,5", "1.234,5");
  expect(fileDecimal([evidenceOf("1.415", "12")])).toBeUndefined();
  expect(fileDecimal([comma, evidenceOf("1.415")])).toBe(",");
  expect(fileDecimal([point, comma, comma])).toBe(",");
  expect(fileDecimal([point, comma])).toBe(".");
});

test.each<[string[], Decimal | undefined, Decimal, boolean]>([
  // its own proof first
  [["0.095", "1.250", "0.992"], ",", ".", true],
  [["0,5", "1.250"], ".", ",", true],
  // then that of its file
  [["1.415", "2.332"], ",", ",", true],
  [["1.415", "2.332"], ".", ".", true],
  [["1,415", "926"], ".", ".", true],
  // whole numbers that are a thousand times as large as the others would be
  [["1.415", "926", "88"], ".", ",", false],
  [["1.415", "2", "3"], ".", ".", false],
  [["1,415", "926"], ",", ".", false],
  // a file of no proof
  [["1.415", "926"], undefined, ",", false],
  [["1.415", "2.332"], undefined, ".", false],
  [["1.415", "1500"], undefined, ".", false],
  [["50,000", "5,000"], undefined, ".", false],
])("%j in a file of %j is read with %j", (texts, file, decimal, sure) => {
  expect(columnDecimal(evidenceOf(...texts), file, undefined)).toEqual({ decimal, sure });
});

test("beside semicolons, a comma that nothing is known of is a decimal one", () => {
  const read = (...texts: string[]) => columnDecimal(evidenceOf(...texts), undefined, undefined, true);
  expect(read("1,415", "2,332")).toEqual({ decimal: ",", sure: false });
  expect(read("1,415", "926")).toEqual({ decimal: ".", sure: false });
  expect(read("1.415", "2.332")).toEqual({ decimal: ".", sure: false });
});

test("what the user says decides what is open, and only that", () => {
  expect(columnDecimal(evidenceOf("1.415", "926"), ",", ".").decimal).toBe(".");
  expect(columnDecimal(evidenceOf("0.5", "1.415"), ",", ",").decimal).toBe(".");
});

test("a text of any length takes no time", () => {
  const start = performance.now();
  for (const text of [
    `${"1".repeat(5e6)}x`,
    "1,".repeat(2e6),
    ...["1", "1,", "1 ", "-", "(", "$", "[", "1[", "*", " ", "1e"].map((one) => `${one.repeat(180)}x1`),
  ]) {
    for (let times = 0; times < 20; times++) expect(numeralOf(text)).toBeUndefined();
  }
  expect(performance.now() - start).toBeLessThan(300);
});
