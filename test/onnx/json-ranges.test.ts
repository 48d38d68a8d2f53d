import { describe, expect, it } from "vitest";
import { listed, membersAt, rangeAt } from "../../src/onnx/json-ranges.js";

const text =
  '\ufeff { "a\\"]" : [1, "x, ]\\\\", {"b": [NaN, -Infinity]}, null ] ,"a": {}, "__proto__":[ ], "a" : 1e5}';
const at = (...path: string[]) => {
  const range = rangeAt(text, path);
  return range && text.slice(range.start, range.end);
};

describe("ranges", () => {
  it("are of values as they stand: brackets and quotes within texts are none, of one name the last counts", () => {
    expect(at('a"]')).toBe('[1, "x, ]\\\\", {"b": [NaN, -Infinity]}, null ]');
    expect(at('a"]', "1")).toBe('"x, ]\\\\"');
    expect(at('a"]', "2", "b", "1")).toBe("-Infinity");
    expect(at("a")).toBe("1e5");
    expect(at("__proto__")).toBe("[ ]");
    expect([at("b"), at("a", "b"), at('a"]', "9")]).toEqual([undefined, undefined, undefined]);
    expect([...membersAt(text, text.indexOf("{")).keys()]).toEqual(['a"]', "a", "__proto__"]);
  });

  it("of a list with others in it keep what stands between", () => {
    const list = "[ 1,\n  2,\n  3 ]";
    const whole = { start: 0, end: list.length };
    expect(listed(list, whole, new Set(), new Map())).toBe(list);
    expect(
      listed(
        list,
        whole,
        new Set([0, 2]),
        new Map([
          [1, ["4", "5"]],
          [-1, ["0"]],
        ]),
      ),
    ).toBe("[ 0,\n  2,\n  4,\n  5 ]");
    expect(listed("[]", { start: 0, end: 2 }, new Set(), new Map([[Number.POSITIVE_INFINITY, ["1"]]]))).toBe(
      "[1]",
    );
    expect(listed("[1]", { start: 0, end: 3 }, new Set([0]), new Map())).toBe("[]");
  });
});
