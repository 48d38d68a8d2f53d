import { expect, test } from "vitest";
import {
  columnOrder,
  compactDateOf,
  type DateOrder,
  dateOf,
  minutesOf,
  momentOf,
  OrderEvidence,
  pivotOf,
} from "../../src/data/dates.js";

const read = (text: string, order: DateOrder = "mdy") => {
  const parts = dateOf(text);
  const moment = parts && momentOf(parts, order);
  return moment === undefined ? undefined : new Date(moment).toISOString().replace(/(T00:00:00)?\.000Z$/, "");
};

test.each([
  ["2024-01-05", "2024-01-05"],
  ["2024-1-5", "2024-01-05"],
  ["2024/01/05", "2024-01-05"],
  ["2024.01.05", "2024-01-05"],
  ["2024-1-5 1:2:3", "2024-01-05T01:02:03"],
  ["2024-01-05T10:00:01Z", "2024-01-05T10:00:01"],
  ["2024-01-05 10:00:00.1234567", "2024-01-05T10:00:00.123Z"],
  ["2024-01-05T10:00+02:00", "2024-01-05T08:00:00"],
  ["2024-01-05 10:00:00 -0130", "2024-01-05T11:30:00"],
  ["2024-01-05 10:00:00 UTC", "2024-01-05T10:00:00"],
  ["2001/01/01 06:20", "2001-01-01T06:20:00"],
  ["2024-01-05 24:00", "2024-01-06"],
  ["20240131T101500Z", "2024-01-31T10:15:00"],
  ["1066-10-14", "1066-10-14"],
  ["5-Jan-24", "2024-01-05"],
  ["5-Jan-70", "1970-01-05"],
  ["05JAN2024", "2024-01-05"],
  ["5 January 2024 1:05 pm", "2024-01-05T13:05:00"],
  ["5th of May 2024", "2024-05-05"],
  ["Jan 5, 2024", "2024-01-05"],
  ["Sept. 5 2024", "2024-09-05"],
  ["Mar 5, 2024", "2024-03-05"],
  ["Mar 2024", "2024-03-01"],
  ["mar 5 mar 2024", "2024-03-05"],
  ["January 5th, 2024 12:00 AM", "2024-01-05"],
  ["2024-Jan-05", "2024-01-05"],
  ["1. März 2024", "2024-03-01"],
  ["Mo., 5. Feb. 2024 10:00", "2024-02-05T10:00:00"],
  ["1er août 2024", "2024-08-01"],
  ["5 de enero de 2024", "2024-01-05"],
  ["lundi 5 févr. 2024", "2024-02-05"],
  ["Okt-24", "2024-10-01"],
  ["Fri, 05 Jan 2024 12:00:00 GMT", "2024-01-05T12:00:00"],
  ["Fri Jan 05 13:00:00 2024", "2024-01-05T13:00:00"],
  ["Fri Jan 05 2024 13:00:00 GMT+0100 (Central European Time)", "2024-01-05T12:00:00"],
  ["10/Oct/2000:13:55:36 -0700", "2000-10-10T20:55:36"],
  ["2020-02", "2020-02-01"],
  ["2/2020", "2020-02-01"],
  ["Feb 2020", "2020-02-01"],
  ["Feb-20", "2020-02-01"],
  ["2020 February", "2020-02-01"],
  ["2020Q2", "2020-04-01"],
  ["Q2 2020", "2020-04-01"],
  ["2020-W01", "2019-12-30"],
  ["1Q24", "2024-01-01"],
  ["2024M03", "2024-03-01"],
  ["2024-01-05 10:00 CET", "2024-01-05T09:00:00"],
  ["Fri Jan  5 10:00:00 EST 2024", "2024-01-05T15:00:00"],
  ["Fri Jan 05 10:00:00 +0000 2024", "2024-01-05T10:00:00"],
  ["Fri Jan 05 10:00:00 -0530 2024", "2024-01-05T15:30:00"],
  ["2024/01/05 1:05:00 PM GMT+1", "2024-01-05T12:05:00"],
  ["05-JAN-24 09.15.10.000000 PM", "2024-01-05T21:15:10"],
  ["05.01.2024 13:45 Uhr", "2024-05-01T13:45:00"],
  ["05/01/2024 13h45", "2024-05-01T13:45:00"],
  ["5 stycznia 2024", "2024-01-05"],
  ["31 октября 2023", "2023-10-31"],
  ["31 maj 2023", "2023-05-31"],
  ["2024. 1. 5.", "2024-01-05"],
  ["2024年1月5日", "2024-01-05"],
  ["2024년 1월 5일", "2024-01-05"],
  ["2024年1月", "2024-01-01"],
  ["٢٠٢٤-٠١-٠٥", "2024-01-05"],
  ["2021-W53-7", "2022-01-09"],
])("%j is a date", (text, iso) => {
  expect(read(text)).toBe(iso);
});

test.each([
  "2024-02-30",
  "2024-13-01",
  "0000-00-00",
  "2024-01-05 25:00",
  "2024-01-05 10:61",
  "2024-01-05 noon",
  "Foo 2020",
  "5-Foo-24",
  "1001-12",
  "2020-W54",
  "12:30",
  "1999",
  "may 5",
  "1-2",
  "1/2/345",
  "Monday",
  "x".repeat(1e6),
  `2024-01-05${" ".repeat(50)}x`,
])("%j is no date", (text) => {
  expect(dateOf(text)).toBeUndefined();
});

test("three numbers are read in the order of their column", () => {
  expect((["dmy", "mdy", "ymd"] as const).map((order) => read("01/02/03", order))).toEqual([
    "2003-02-01",
    "2003-01-02",
    "2001-02-03",
  ]);
  expect(read("1/2/2021 13:45", "dmy")).toBe("2021-02-01T13:45:00");
  expect(read("1. 2. 2021", "dmy")).toBe("2021-02-01");
  expect(read("1/2/2021", "ymd")).toBeUndefined();
  expect(read("31/12/2021", "mdy")).toBeUndefined();
});

const none = { decimalComma: false };
const evidenceOf = (...texts: string[]): OrderEvidence => {
  const evidence = new OrderEvidence();
  for (const text of texts) evidence.add(dateOf(text) as NonNullable<ReturnType<typeof dateOf>>, text);
  return evidence;
};

test.each<[string[], DateOrder, DateOrder | undefined]>([
  [["31/12/2020", "1/2/2021"], "dmy", undefined],
  [["12/31/20", "1/2/21"], "mdy", undefined],
  [["1.2.2021", "3.4.2021"], "dmy", undefined],
  [["Fr, 05.01.2024", "Sa, 06.01.2024"], "dmy", undefined],
  [["1/2/2021", "3/4/2021"], "mdy", "dmy"],
  // the first of each month
  [["1/1/2021", "1/2/2021", "1/3/2021"], "dmy", "mdy"],
  [["1/1/2021", "2/1/2021", "3/1/2021"], "mdy", "dmy"],
  // a year comes again more often than a day
  [["21/01/30", "21/02/28", "21/03/29"], "ymd", "dmy"],
  [["14-01-01", "14-02-01", "14-03-01"], "ymd", "dmy"],
])("%j are of %s, or %s", (texts, order, or) => {
  expect(columnOrder(evidenceOf(...texts), none, undefined)).toEqual(
    or === undefined ? { order } : { order, or },
  );
});

test.each<[number[], number | undefined]>([
  // all of one century
  [[20, 22, 24], 100],
  [[38, 45, 61], 38],
  [[69, 70, 72], 69],
  // over the turn of the century
  [[95, 99, 0, 24], 95],
  [[30, 45, 55, 70, 99, 10], 30],
  [[10, 55], 55],
  [[], 100],
])("years of two digits %j are of the 20th century from %d on", (years, pivot) => {
  const texts = years.map((year) => `5-Jan-${String(year).padStart(2, "0")}`);
  expect(pivotOf(evidenceOf(...texts), "mdy")).toBe(pivot);
  expect(pivotOf(evidenceOf(...texts.map((text) => text.replace("Jan", "1"))), "mdy")).toBe(pivot);
});

test("the order is also that of the file's other dates, of its decimal comma, or the user's", () => {
  const open = evidenceOf("1/2/2021", "3/4/2021");
  const sure = evidenceOf("25/12/2021");
  expect(columnOrder(open, { order: "dmy", decimalComma: false }, undefined)).toEqual({ order: "dmy" });
  expect(columnOrder(open, { decimalComma: true }, undefined)).toEqual({ order: "dmy", or: "mdy" });
  expect(columnOrder(open, { order: "dmy", decimalComma: true }, "mdy")).toEqual({ order: "mdy" });
  expect(columnOrder(sure, none, "mdy")).toEqual({ order: "dmy" });
});

test("times and spans are minutes", () => {
  expect(
    ["12:30", "1:30 PM", "12:05 am", "00:12:30", "2 days 01:00:00", "-0:30", "7 PM"].map(minutesOf),
  ).toEqual([750, 810, 5, 12.5, 2940, -30, 1140]);
  expect(
    ["2h 30m", "45m", "19h", "1 day, 2 hours", "90s", "PT1H30M", "P1DT2H", "18.30.00", "1:30.0"].map(
      minutesOf,
    ),
  ).toEqual([150, 45, 1140, 1560, 1.5, 90, 1560, 1110, 1.5]);
  expect(
    ["12:60", "13:30 pm", "12", "a:b", "1:2", ":30", "5 metres", "PT", "1.2.3", "m"].map(minutesOf),
  ).toEqual(Array(10).fill(undefined));
});

test("dates in digits alone are of the last two centuries", () => {
  expect(compactDateOf("20240131")).toBe(Date.UTC(2024, 0, 31));
  expect(compactDateOf("202402")).toBe(Date.UTC(2024, 1, 1));
  expect(compactDateOf("202401311030")).toBe(Date.UTC(2024, 0, 31, 10, 30));
  expect(compactDateOf("20240131103015")).toBe(Date.UTC(2024, 0, 31, 10, 30, 15));
  expect(
    ["20240230", "99991231", "2024", "2024013", "2024013110", "202401312460"].map(compactDateOf),
  ).toEqual(Array(6).fill(undefined));
});
