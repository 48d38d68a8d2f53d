import { describe, expect, it } from "vitest";
import { edited, fromHash, type State, toHash, UNCHANGED, withEdits } from "../../src/norms/state.ts";

const base = Float64Array.of(1, 2, 3, 4, 5, 6);

describe("edits", () => {
  it("are what differs from the start", () => {
    const state = withEdits(UNCHANGED, "x", base, [
      [0, 1],
      [3, 9],
    ]);
    expect([...(state.edits.x ?? [])]).toEqual([[3, 9]]);
    expect(edited(base, state.edits.x)).toEqual(Float64Array.of(1, 2, 3, 9, 5, 6));
    expect(withEdits(state, "x", base, [[3, 4]])).toEqual(UNCHANGED);
  });

  it("tell 0 from -0", () => {
    const zero = Float64Array.of(0);
    const state = withEdits(UNCHANGED, "x", zero, [[0, -0]]);
    expect(Object.is(edited(zero, fromHash(toHash(state)).edits.x)[0], -0)).toBe(true);
  });

  it("beyond the end of a shorter array are left out", () => {
    expect(edited(Float64Array.of(7), new Map([[4, 1]]))).toEqual(Float64Array.of(7));
  });
});

describe("the address", () => {
  const states: Record<string, State> = {
    nothing: UNCHANGED,
    "an element": { ...UNCHANGED, edits: { x: new Map([[5, 3.25]]) } },
    "elements here and there": {
      ...UNCHANGED,
      edits: {
        x: new Map([
          [0, 1e4],
          [1, -0.5],
          [17, 1e-300],
        ]),
        "w.gamma": new Map([[2, 1e21]]),
        dy: new Map([[0, Number.MAX_VALUE]]),
      },
    },
    "a whole array": { ...UNCHANGED, edits: { x: new Map(base.map(Math.sqrt).entries()) } },
    options: {
      ...UNCHANGED,
      options: { epsilon: 0.001, scale: false, guard: "clamp", axis: [-2, -1], groups: 3 },
      training: false,
      other: "batchNorm",
    },
  };

  it.each(Object.entries(states))("brings back %s", (_, state) => {
    expect(fromHash(`#${toHash(state)}`)).toEqual({ other: undefined, ...state });
  });

  it("has only what differs, and can be read", () => {
    expect(toHash(UNCHANGED)).toBe("");
    const state = withEdits(UNCHANGED, "x", base, [
      [1, 7],
      [2, 8],
      [5, 1e4],
    ]);
    expect(toHash({ ...state, options: { axis: 1 }, training: false, other: "rmsNorm" })).toBe(
      "x=1:7,8;5:10000&option.axis=1&training=false&with=rmsNorm",
    );
  });

  it("that is damaged gives what can be read of it", () => {
    const state = fromHash(
      "#x=1:2,nonsense,4;b:3;:;9:Infinity,NaN&y&option.epsilon=&%E0%A4%A&norm=layerNorm",
    );
    expect([...(state.edits.x ?? [])]).toEqual([
      [1, 2],
      [3, 4],
    ]);
    expect(Object.keys(state.edits)).toEqual(["x"]);
  });
});
