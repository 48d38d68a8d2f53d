import { expect, test } from "vitest";
import { doubtsOf } from "../../src/data/doubts.js";

/** What is said of classes with 100 rows each, 25 of them held out. */
function saidOf(classes: string[]): string[] {
  const rows = Array.from({ length: 100 * classes.length }, (_, row) => row);
  const part = (is: (row: number) => boolean) => Int32Array.from(rows.filter(is));
  const split = {
    train: part((row) => row % 4 > 1),
    validation: part((row) => row % 4 === 1),
    heldOut: part((row) => row % 4 === 0),
  };
  return doubtsOf(
    "y",
    classes,
    Float32Array.from(rows, (row) => Math.floor(row / 100)),
    split,
  );
}

test("classes of several spellings", () => {
  expect(saidOf(["no", "No", "YES", "maybe", "maybe."])).toEqual([
    'classes "no", "No", "maybe", "maybe." are told apart by how they are spelled; where they mean the same, write them alike in the file',
  ]);
  expect(saidOf(["yes", "no", "A+", "A-", "a"])).toEqual([]);
});
