/** State in an address: what differs from the usual, whatever it holds, and nothing that it should not have. */
import { expect, test } from "vitest";
import { type Fields, list, number, oneOf, read, text, written } from "../../src/ui/address.ts";

interface State {
  data: string;
  norms: readonly string[];
  depth: number | undefined;
  offset: number;
  backend: "wasm" | "webgl";
}
const fields: Fields<State> = {
  data: text("digits"),
  norms: list(["none", "layer"]),
  depth: number<number | undefined>(undefined, (value) => Number.isInteger(value) && value > 0),
  offset: number(0),
  backend: oneOf(["wasm", "webgl"], "wasm"),
};
const usual = read("", fields);

test("the usual state needs no word", () => {
  expect(written(usual, fields)).toBe("");
  expect(usual).toEqual({
    data: "digits",
    norms: ["none", "layer"],
    depth: undefined,
    offset: 0,
    backend: "wasm",
  });
});

test.each<Partial<State>>([
  { depth: 60 },
  { norms: ["batch"] },
  { norms: ["layer", "layer+reversible-instance", "post-layer"] },
  { offset: -1e4, backend: "webgl" },
  { data: "a & b = c # ä ☃ %.csv" },
  { offset: 1e-7 },
])("%o comes back", (part) => {
  const state = { ...usual, ...part };
  expect(read(`#${written(state, fields)}`, fields)).toEqual(state);
});

test.each([
  "depth=-1",
  "depth=1.5",
  "depth=",
  "depth=x",
  "offset=Infinity",
  "backend=cpu",
  "unknown=1",
  "norms=",
  "norms=,,",
  "&&=#",
])("%s is as usual", (hash) => {
  expect(read(`#${hash}`, fields)).toEqual(usual);
});
