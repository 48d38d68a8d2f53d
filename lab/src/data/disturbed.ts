/** Real data with something wrong in them that real data often have, so that it is known what it is and where. */

import { listed } from "@evenkeel/report/format";
import { uniformFloat64 } from "pure-rand/distribution/uniformFloat64";
import { xoroshiro128plus } from "pure-rand/generator/xoroshiro128plus";
import { meanAndDeviation } from "./standardize.js";
import type { Column, Table } from "./table.js";

export interface Disturbance {
  /** A share of all numbers is moved by so many standard deviations of their column, up or down. */
  outliers?: { share: number; size: number; seed: number };
  /** From a share of the rows on, every number is higher by so many standard deviations of its column. */
  shift?: { from: number; by: number };
}

/** A table whose columns of numbers, but for those named, are disturbed. Standard deviations are those of the columns before. */
export function disturbed(
  table: Table,
  { outliers, shift }: Disturbance,
  but: readonly (string | undefined)[] = [],
): Table {
  const chosen = table.columns.filter(({ kind, name }) => kind === "number" && !but.includes(name));
  const random = xoroshiro128plus(outliers?.seed ?? 0);
  const first = shift === undefined ? table.rowCount : Math.round(shift.from * table.rowCount);
  const change = (column: Column): Column => {
    const { deviation } = meanAndDeviation(column.values.filter((value) => typeof value === "number"));
    const values = column.values.map((value, row) => {
      // drawn for every row, so that what is missing moves no outlier
      const [hit, up] = [uniformFloat64(random), uniformFloat64(random)];
      if (typeof value !== "number") return value;
      const moved = row >= first ? value + (shift?.by ?? 0) * deviation : value;
      if (outliers === undefined || hit >= outliers.share) return moved;
      return moved + (up < 0.5 ? -1 : 1) * outliers.size * deviation;
    });
    return { ...column, values };
  };
  const done = [
    ...(outliers === undefined
      ? []
      : [
          `${100 * outliers.share} % of the values moved by ${outliers.size} standard deviations, up or down`,
        ]),
    ...(shift === undefined
      ? []
      : [
          `all values from row ${(first + 1).toLocaleString("en-US")} on raised by ${shift.by} standard deviations`,
        ]),
  ];
  return {
    ...table,
    columns: table.columns.map((column) => (chosen.includes(column) ? change(column) : column)),
    decisions: [
      ...table.decisions,
      { columns: chosen.map(({ name }) => name), what: listed(done), why: "as the recipe has it" },
    ],
  };
}
