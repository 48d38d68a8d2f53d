/** More random networks than random-graphs.test.ts has, each mended in every way. */
import { expect, it } from "vitest";
import { check, emptyReport, WAYS } from "./random-graphs.js";

const GRAPHS = 150;
const FROM = 100_000;

it(`random networks: ${GRAPHS} of them, mended in every way`, async () => {
  const report = emptyReport();
  for (let i = 0; i < GRAPHS; i++) await check(FROM + i, WAYS, report);
  expect(report.wrong).toEqual([]);
  expect(report.missed).toBeLessThan(0.02 * report.sites);
  expect(report.refused.length).toBeLessThanOrEqual(0.02 * GRAPHS);
});
