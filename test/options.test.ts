/** Option names: what is not known is an error that names the remedy. */
import { describe, expect, it } from "vitest";
import { checkOptions, nearest } from "../src/options.js";

const known = ["backend", "threads", "module", "relaxed"];

describe("checkOptions", () => {
  it("accepts known names, in any number", () => {
    checkOptions("open", {}, known);
    checkOptions("open", { threads: 2, backend: undefined }, known);
    checkOptions("open", Object.create({ inherited: 1 }), known);
  });

  it.each([
    [{ backned: "wasm" }, 'did you mean "backend"? There are backend, threads, module, relaxed'],
    [{ threads: 2, thread: 2 }, 'did you mean "threads"? There are backend, threads, module, relaxed'],
    [{ Backend: undefined }, 'did you mean "backend"? There are backend, threads, module, relaxed'],
    [{ color: 1 }, "there are backend, threads, module, relaxed"],
    [{ [`backend${"x".repeat(100_000)}`]: 1 }, "there are backend, threads, module, relaxed"],
    [{ constructor: 1 }, "there are backend, threads, module, relaxed"],
    [JSON.parse('{ "__proto__": 1 }'), "there are backend, threads, module, relaxed"],
    [{ workers: 2 }, "it is called threads here"],
  ])("says what %o should have been", (options, remedy) => {
    const [name] = Object.keys(options).filter((each) => !known.includes(each));
    expect(() => checkOptions("open", options, known, { workers: "threads" })).toThrow(
      new TypeError(`open: no option is called "${name}"; ${remedy}`),
    );
  });

  it("says so where a function takes no options at all", () => {
    expect(() => checkOptions("rmsPresets", { a: 1 }, [])).toThrow(
      new TypeError('rmsPresets: no option is called "a"; there are none'),
    );
  });

  it.each([
    [null, "null"],
    [undefined, "undefined"],
    [3, "3"],
    ["wasm", "wasm"],
    [["wasm"], "an array"],
  ])("refuses %o", (options, got) => {
    expect(() => checkOptions("open", options as object, known)).toThrow(
      new TypeError(`open: options must be an object, got ${got}`),
    );
  });
});

it("nearest counts typing errors, and swaps as one", () => {
  expect(nearest("backned", known)).toBe("backend");
  expect(nearest("numGroups", ["axis", "groups"])).toBe("groups");
  expect(nearest("epsilom", ["axis", "epsilon"])).toBe("epsilon");
  expect(nearest("axes", ["axis", "epsilon"])).toBe("axis");
  expect(nearest("gamma", ["axis", "epsilon"])).toBeUndefined();
});
