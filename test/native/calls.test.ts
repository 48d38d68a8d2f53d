/**
 * Several calls of a layer before `backward`, such as the two inputs of a siamese network: each `backward` takes back one call, and
 * gradients are summed. Against separate calls of `apply` with copies of the weights, for every normalization; and what is dropped.
 */
import { describe, expect, it } from "vitest";
import {
  apply,
  type BackendArray,
  BatchNorm,
  type Evenkeel,
  GroupNorm,
  Layer,
  LayerNorm,
  onlineNorm,
  open,
  type PlainArray,
} from "../../src/index.js";
import { sizeOf } from "../../src/shape.js";
import { rows } from "../norms/rows/index.js";
import { expectClose, largest, normal } from "../support/numerics.js";

const wasm = await open({ backend: "wasm", threads: 1 });
const truth = await open({ backend: "reference" });

const random = (shape: readonly number[], seed: number): PlainArray => ({
  shape,
  data: Float64Array.from(normal(sizeOf(shape), seed, 0.3)),
});

/** Weights as plain copies: what a layer writes later does not reach them. */
function copies(layer: Layer): Record<string, PlainArray> {
  return Object.fromEntries(
    Object.entries(layer.weights).map(([name, { shape, data }]) => [name, { shape, data: data.slice() }]),
  );
}

function close(name: string, actual: PlainArray, expected: PlainArray, tolerance: number): void {
  const allowed = tolerance * Math.max(1, largest(expected.data));
  expect(actual.shape, name).toEqual(expected.shape);
  expectClose(name, actual.data, expected.data, () => allowed);
}

/** Inputs away from where a norm is not differentiable, as in the table. */
function inputsOf({ shapes, input = (value) => value }: (typeof rows)[number], seed: number) {
  return shapes.map((shape, i) => {
    const { data } = random(shape, seed + i);
    return { shape, data: Float64Array.from(data, i === 0 ? input : (value) => value) };
  }) as unknown as [PlainArray, ...PlainArray[]];
}

/** A layer with weights other than its initial ones, under which gradients would be 0. */
function layerOf(ek: Evenkeel, { norm, shapes, weights: chosen }: (typeof rows)[number]): Layer {
  const layer = new Layer(ek, norm, ...shapes);
  Object.entries(layer.weights).forEach(([name, { data, size }], i) => {
    const noise = normal(size, 31 + i);
    const trained = norm.weights(...shapes)[name].trained;
    const values = Float64Array.from(noise, (value, at) =>
      trained ? data[at] + 0.3 * value : Math.fround(Math.abs(value) + 0.5),
    );
    data.set(chosen ? chosen(name, values) : values);
  });
  return layer;
}

describe.each([
  { name: "wasm", ek: wasm, tolerance: 2e-5 },
  { name: "reference", ek: truth, tolerance: 1e-9 },
])("on $name", ({ ek, tolerance }) => {
  describe.each(rows.map((row) => ({ row, called: `${row.norm.name}${row.name ? ` (${row.name})` : ""}` })))(
    "$called",
    ({ row }) => {
      const { norm } = row;

      it.each(["the last first", "the first first"])("two calls, taken back %s", (order) => {
        const layer = layerOf(ek, row);
        const [a, b] = [11, 111].map((seed) => inputsOf(row, seed));
        const expected = [];
        const calls = [];
        for (const [i, inputs] of [a, b].entries()) {
          const alone = apply(ek, norm, inputs, copies(layer));
          const call = layer.call(inputs);
          expect([...call.y.data]).toEqual([...alone.y.data]);
          const dy = random(alone.y.shape, 51 + i);
          expected.push({ dy, ...alone.backward(dy) });
          calls.push(call);
        }
        const taken = order === "the last first" ? [1, 0] : [0, 1];
        for (const i of taken) {
          const dx =
            order === "the last first"
              ? layer.backward(expected[i].dy)
              : calls[i].backward(expected[i].dy).dx;
          close(`dx of call ${i}`, dx, expected[i].dx, tolerance * 10);
        }
        for (const [name, gradient] of Object.entries(layer.gradients)) {
          const { shape } = layer.weights[name];
          const [one, other] = expected.map(({ weights }) => weights[name].data);
          const sum = Float64Array.from(one, (value, at) => value + other[at]);
          // gradients of a layer are float32
          close(`d${name}`, { shape, data: gradient }, { shape, data: sum }, Math.max(tolerance * 10, 1e-6));
        }
        layer.dispose();
        expect(ek.memory().arrays).toBe(0);
      });
    },
  );
});

describe("gradients of a siamese network", () => {
  it.each([
    { name: "layerNorm", make: () => new LayerNorm(truth, 5), shape: [3, 5] },
    { name: "batchNorm", make: () => new BatchNorm(truth, 5), shape: [4, 5] },
    { name: "batchNorm, frozen", make: () => new BatchNorm(truth, 5).freeze(), shape: [4, 5] },
    { name: "groupNorm", make: () => new GroupNorm(truth, 2, 6), shape: [2, 3, 6] },
  ])("are those of finite differences: $name", ({ make, shape }) => {
    const [a, b, da, db] = [1, 2, 3, 4].map((seed) => random(shape, seed));
    const layer = make();
    for (const name of ["gamma", "beta"]) layer.weights[name].data.set(normal(layer.weights[name].size, 7));
    /** The loss whose gradients with respect to the two outputs are da and db. */
    const loss = () => {
      const dot = (y: PlainArray, dy: PlainArray) => {
        let sum = 0;
        for (let i = 0; i < y.data.length; i++) sum += y.data[i] * dy.data[i];
        return sum;
      };
      return dot(layer.forward(a), da) + dot(layer.forward(b), db);
    };
    loss();
    const dxb = layer.backward(db);
    const dxa = layer.backward(da);
    const { gradients } = layer;
    const differences = (data: PlainArray["data"]) =>
      Float64Array.from(data, (value, i) => {
        const at = (moved: number) => {
          data[i] = moved;
          return loss();
        };
        const slope = (at(value + 1e-5) - at(value - 1e-5)) / 2e-5;
        data[i] = value;
        return slope;
      });
    expectClose("dxa", dxa.data, differences(a.data), () => 1e-6);
    expectClose("dxb", dxb.data, differences(b.data), () => 1e-6);
    for (const name of ["gamma", "beta"]) {
      expectClose(name, gradients[name], differences(layer.weights[name].data), () => 2e-6);
    }
    layer.dispose();
  });
});

describe("what awaits backward", () => {
  const x = (seed: number) => random([4, 3], seed);
  const gone = "batchNorm: backward needs a forward call before it";
  /** Weights' gradients of one forward and backward. */
  const alone = (input: PlainArray, dy: PlainArray) => {
    const layer = new BatchNorm(wasm, 3);
    layer.forward(input);
    layer.backward(dy);
    layer.dispose();
    return layer.gradients;
  };

  it("a forward after a backward begins anew: what was left is dropped, gradients are overwritten", () => {
    const layer = new BatchNorm(wasm, 3);
    layer.forward(x(1));
    layer.forward(x(2));
    layer.backward(x(3));
    expect(layer.gradients).toEqual(alone(x(2), x(3)));
    layer.forward(x(4));
    expect(layer.gradients).toEqual(alone(x(2), x(3)));
    layer.backward(x(5));
    expect(layer.gradients).toEqual(alone(x(4), x(5)));
    expect(() => layer.backward(x(6))).toThrow(gone);
    layer.dispose();
  });

  it("a forward that is never taken back leaves later steps as they are", () => {
    const layer = new BatchNorm(wasm, 3);
    layer.forward(x(9));
    for (const seed of [1, 2, 3]) {
      layer.forward(x(seed));
      layer.backward(x(seed + 10));
      expect(layer.gradients).toEqual(alone(x(seed), x(seed + 10)));
    }
    layer.dispose();
  });

  it("a call that was refused, or whose gradient was, changes nothing", () => {
    const layer = new BatchNorm(wasm, 3);
    layer.forward(x(1));
    expect(() => layer.forward(random([4, 5], 1))).toThrow("this layer was made for [3]");
    expect(() => layer.forward({ shape: [1, 3], data: Float32Array.of(1, 2, 3) })).toThrow("one value");
    expect(() => layer.backward(random([3, 4], 1))).toThrow("dy must have shape [4, 3]");
    layer.backward(x(2));
    expect(layer.gradients).toEqual(alone(x(1), x(2)));
    layer.dispose();
  });

  it("a call that was released, or dropped, has no way back", () => {
    const layer = new BatchNorm(wasm, 3);
    const [a, b] = [layer.call([x(1)]), layer.call([x(2)])];
    b.release();
    layer.backward(x(3));
    expect(layer.gradients).toEqual(alone(x(1), x(3)));
    const over = "batchNorm: backward was called already, or after release";
    for (const call of [a, b]) expect(() => call.backward(x(3))).toThrow(over);
    const c = layer.call([x(1)]);
    layer.call([x(2)]).backward(x(3));
    layer.forward(x(4));
    expect(() => c.backward(x(3))).toThrow(over);
    layer.dispose();
  });

  it("a call that fails on its way back is dropped, and leaves nothing behind: the one before it is next", () => {
    for (const own of [false, true]) {
      const layer = new LayerNorm(wasm, 3);
      const [a, b] = [wasm.array([4, 3], normal(12, 1)), wasm.array([4, 3], normal(12, 2))];
      const dy: PlainArray = random([4, 3], 3);
      layer.forward(a).dispose();
      const before = wasm.memory().arrays;
      const last = layer.call([b]);
      last.y.dispose();
      b.dispose();
      const back = () => (own ? last.backward(dy as never) : layer.backward(dy));
      expect(back).toThrow(
        "layerNorm: x: this array of shape [4, 3] was disposed; keep it until its last use",
      );
      // b itself is gone
      expect(wasm.memory().arrays).toBe(before - 1);
      // one that does not fit may be repeated
      expect(() => layer.backward(random([3, 4], 3))).toThrow("dy must have shape [4, 3], got [3, 4]");
      const dx: PlainArray = layer.backward<PlainArray>(dy);
      const { dx: expected } = new LayerNorm(truth, 3)
        .call<PlainArray>([{ shape: a.shape, data: a.data.slice() }])
        .backward(dy);
      close("dx", dx, expected, 1e-5);
      expect(() => layer.backward(dy)).toThrow("backward needs a forward call before it");
      for (const one of [layer, a, dx as BackendArray]) one.dispose();
    }
  });

  it("the control process of online normalization goes on from one backward to the next", () => {
    const layer = new Layer(wasm, onlineNorm(), [1, 3]);
    const [a, b] = [1, 2].map((seed) => random([1, 3], seed));
    for (const input of [a, b]) layer.forward(input);
    layer.backward(a);
    const first = layer.stateDict().controlMean;
    layer.backward(b);
    const second = layer.stateDict().controlMean;
    // u = u + mean(dx): without the first, the second would be what is added to it
    for (const [i, value] of second.entries()) expect(Math.abs(value - first[i])).toBeGreaterThan(1e-3);
    expect(first.every((value) => value !== 0)).toBe(true);
    layer.dispose();
  });
});

describe("memory", () => {
  it("a loop of evaluation holds on to one call", () => {
    const layer = new BatchNorm(wasm, 3).eval();
    const x = wasm.array([4, 3], normal(12, 1));
    const residual = wasm.array([4, 3], normal(12, 2));
    const counts = Array.from({ length: 30 }, () => {
      const { y, sum } = layer.forward(x, residual);
      for (const array of [y, sum]) array.dispose();
      return wasm.memory().arrays;
    });
    expect(new Set(counts).size).toBe(1);
    for (const one of [layer, x, residual]) one.dispose();
    expect(wasm.memory()).toEqual({ arrays: 0, elements: 0 });
  });

  it("a loop of training without backward holds on to 2²⁶ values of x, or four calls", () => {
    for (const { shape, calls } of [
      { shape: [1 << 16, 64], calls: 16 },
      { shape: [(1 << 18) + 1, 64], calls: 4 },
    ]) {
      const layer = new LayerNorm(wasm, 64, { scale: false, center: false });
      const x = wasm.array(shape, new Float32Array(sizeOf(shape)).fill(1));
      for (let i = 0; i < calls + 3; i++) layer.forward(x).dispose();
      // a mean and a variance for each
      expect(wasm.memory().arrays).toBe(1 + 2 * calls);
      for (const one of [layer, x]) one.dispose();
      expect(wasm.memory().arrays).toBe(0);
    }
  });
});
