/**
 * One table drives all: every normalization × every host (jax-js, whose compiler takes long, in jax.slow.ts) and backend × training and evaluation × masked or not, against its
 * formula in plain float64 loops; gradients of inputs and weights against central differences in float64 with a random dy
 * (never through sum(), under which dx may be zero and any mistake passes); hard inputs; padding that must not count.
 */
import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, it } from "vitest";
import { run as runOps } from "../../src/formula/run.js";
import { apply, Layer, open, type PlainArray } from "../../src/index.js";
import { catalog } from "../../src/norms/catalog.js";
import { install } from "../../src/tfjs/index.js";
import { apply as applyTf } from "../../src/tfjs/layers/apply.js";
import { Frozen } from "../support/eager.js";
import { hardInputs, normal } from "../support/numerics.js";
import { backends as tfBackends, use } from "../support/tfjs-backends.js";
import { rows } from "./rows/index.js";
import { close, named, prepared, truth, whole } from "./rows/prepared.js";

const wasm = await open({ backend: "wasm", threads: 1 });

it("has a row for every normalization of the catalog", () => {
  const without = Object.keys(catalog).filter((name) => !rows.some(({ norm }) => norm.name === name));
  expect(without).toEqual([]);
});

describe.each(named)("$name", ({ row }) => {
  const { norm, inputs, specified, weights, dy, trainedNames, tolerance, calls, run } = prepared(row);
  const [x] = inputs;

  describe.each(calls)("$name", (call) => {
    const { training, masked } = call;
    const counts = masked ? whole(masked, x.shape) : undefined;
    const expected = row.expected(inputs, weights, { training, mask: counts });
    const best = run(truth, call);
    const gradients = best.backward();

    it("is its formula in float64", () => {
      close("y", best.applied.y, expected.y, 1e-9);
      for (const [i, values] of (expected.more ?? []).entries()) {
        close(`more[${i}]`, best.applied.more[i], values, 1e-9);
      }
      expect(Object.keys(best.applied.state).sort()).toEqual(Object.keys(expected.state ?? {}).sort());
      for (const [name, values] of Object.entries(expected.state ?? {})) {
        close(name, best.applied.state[name], values, 1e-9);
      }
    });

    it("has the gradient of central differences", () => {
      const constants = new Frozen();
      const loss = () => {
        const held = Object.entries(weights).map(([name, data]) => [
          name,
          { shape: specified[name].shape, data },
        ]);
        const options = { training, mask: masked ?? undefined };
        const { y, more = [] } = runOps(constants.replay(), norm, inputs, Object.fromEntries(held), options);
        const dot = (a: Float64Array, b: ArrayLike<number>) => a.reduce((sum, one, j) => sum + one * b[j], 0);
        return more.reduce((sum, { data }, i) => sum + dot(data, dMore[i].data), dot(y.data, dy.data));
      };
      // of all that it gives at once
      const all = run(truth, call).applied;
      const dMore = all.more.map(({ shape, data }, i) => ({
        shape,
        data: Float64Array.from(normal(data.length, 53 + i)),
      }));
      const gradients = all.backward(dy, { dMore });
      loss();
      const difference = (values: Float64Array) =>
        values.map((value, i) => {
          const step = 1e-5;
          values[i] = value + step;
          const above = loss();
          values[i] = value - step;
          const below = loss();
          values[i] = value;
          return (above - below) / (2 * step);
        });
      inputs.forEach((input, i) => {
        const given = gradients.inputs[i] ?? {
          shape: input.shape,
          data: new Float64Array(input.data.length),
        };
        close(`gradient of input ${i}`, given, difference(input.data), 2e-7);
      });
      for (const name of trainedNames) {
        close(`gradient of ${name}`, gradients.weights[name], difference(weights[name]), 2e-7);
      }
    });

    it("in WASM", () => {
      const { applied, backward } = run(wasm, call);
      close("y", applied.y, best.applied.y.data, tolerance);
      for (const [name, { data }] of Object.entries(best.applied.state))
        close(name, applied.state[name], data, tolerance);
      const actual = backward();
      close("dx", actual.dx, gradients.dx.data, 10 * tolerance);
      for (const name of trainedNames) {
        close(`gradient of ${name}`, actual.weights[name], gradients.weights[name].data, 10 * tolerance);
      }
    });

    it("on arrays of the backend, without one left behind", () => {
      const before = wasm.memory().arrays;
      const arrays = inputs.map(({ shape, data }) => wasm.array(shape, data));
      const held = Object.fromEntries(
        Object.entries(weights).map(([name, data]) => [name, wasm.array(specified[name].shape, data)]),
      );
      const applied = apply(wasm, norm, arrays as unknown as [PlainArray], held, {
        training,
        mask: masked ?? undefined,
      });
      const upstream = wasm.array(dy.shape, dy.data);
      const actual = applied.backward(upstream);
      close("y", applied.y, best.applied.y.data, tolerance);
      close("dx", actual.dx, gradients.dx.data, 10 * tolerance);
      const given = [...actual.inputs, ...Object.values(actual.weights), applied.y, ...applied.more];
      for (const array of [...new Set(given), ...arrays, ...Object.values(held), upstream]) {
        (array as { dispose?(): void } | undefined)?.dispose?.();
      }
      applied.release();
      expect(wasm.memory().arrays).toBe(before);
    });

    if (masked && counts) {
      it("padding counts for nothing, whatever it holds", () => {
        const stray = {
          shape: x.shape,
          data: x.data.map((value, i) => (counts[i] === 0 ? [Number.NaN, 1e30, -7][i % 3] : value)),
        };
        for (const ek of [truth, wasm]) {
          const [clean, other] = [inputs, [stray, ...inputs.slice(1)]].map((arrays) => run(ek, call, arrays));
          expect([...other.applied.y.data]).toEqual([...clean.applied.y.data]);
          for (const [name, { data }] of Object.entries(clean.applied.state)) {
            expect([...other.applied.state[name].data], name).toEqual([...data]);
          }
          const [cleanly, otherwise] = [clean.backward(), other.backward()];
          expect([...otherwise.dx.data]).toEqual([...cleanly.dx.data]);
          otherwise.dx.data.forEach((value, i) => {
            if (counts[i] === 0) expect(value).toBeCloseTo(0, 12);
          });
          for (const name of trainedNames) {
            expect([...otherwise.weights[name].data], name).toEqual([...cleanly.weights[name].data]);
          }
        }
      });
    }

    it.each(tfBackends)("in TensorFlow.js on %s", async (backend) => {
      await use(backend);
      await install();
      const before = tf.memory().numTensors;
      tf.tidy(() => {
        const tensors = inputs.map(({ shape, data }) => tf.tensor(Float32Array.from(data), [...shape]));
        const held = Object.fromEntries(
          Object.entries(weights).map(([name, data]) => [
            name,
            tf.tensor(Float32Array.from(data), [...specified[name].shape]),
          ]),
        );
        const maskTensor = masked
          ? tf.tensor(Uint8Array.from(masked.data), [...masked.shape], "bool")
          : undefined;
        const call = (list: tf.Tensor[]) =>
          applyTf(
            norm,
            list.slice(0, inputs.length),
            {
              ...held,
              ...Object.fromEntries(trainedNames.map((name, i) => [name, list[inputs.length + i]])),
            },
            { training, mask: maskTensor },
          );
        const all = [...tensors, ...trainedNames.map((name) => held[name])];
        const { y, state } = call(all);
        const plain = (tensor: tf.Tensor) => ({
          shape: tensor.shape,
          data: tensor.dataSync() as Float32Array,
        });
        close("y", plain(y), best.applied.y.data, tolerance);
        for (const [name, { data }] of Object.entries(best.applied.state)) {
          close(name, plain(state?.[name] as tf.Tensor), data, tolerance);
        }
        // TensorFlow.js refuses to differentiate by what has no part in y, such as noise in evaluation
        const connected = (list: tf.Tensor[], y: tf.Tensor) =>
          list.reduce((sum, input) => tf.add(sum, tf.mul(tf.sum(input), 0)), y);
        const slopes = tf.grads((...list: tf.Tensor[]) => connected(list, call(list).y))(
          all,
          tf.tensor(Float32Array.from(dy.data), [...dy.shape]),
        );
        close("dx", plain(slopes[0]), gradients.dx.data, 10 * tolerance);
        trainedNames.forEach((name, i) => {
          close(
            `gradient of ${name}`,
            plain(slopes[inputs.length + i]),
            gradients.weights[name].data,
            10 * tolerance,
          );
        });
      });
      expect(tf.memory().numTensors).toBe(before);
    });
  });

  it.each(Object.keys(hardInputs))("stays finite on: %s", (kind) => {
    const hard = { shape: x.shape, data: hardInputs[kind](x.data.length, 5) };
    const applied = apply(wasm, norm, [hard, ...inputs.slice(1)] as unknown as [PlainArray], weights);
    const { dx, weights: slopes } = applied.backward({ shape: dy.shape, data: Float32Array.from(dy.data) });
    const all: Record<string, PlainArray> = { y: applied.y, dx, ...applied.state, ...slopes };
    for (const [name, { data }] of Object.entries(all)) {
      expect(
        data.findIndex((value) => !Number.isFinite(value)),
        name,
      ).toBe(-1);
    }
  });

  it("is a layer: forward, backward, state dict, and nothing left behind", () => {
    const before = wasm.memory().arrays;
    const layer = new Layer(wasm, norm, ...row.shapes);
    const floats = (data: Float64Array) => Float32Array.from(data);
    layer.loadStateDict(
      Object.fromEntries(Object.entries(weights).map(([name, data]) => [name, floats(data)])),
    );
    const plain = inputs.map(({ shape, data }) => ({ shape, data: floats(data) }));
    const { y, state } = layer.call(plain as unknown as [PlainArray]);
    close("y", y, run(truth, calls[0]).applied.y.data, tolerance);
    layer.backward({ shape: dy.shape, data: floats(dy.data) });
    expect(Object.keys(layer.gradients).sort()).toEqual([...trainedNames].sort());
    const saved = layer.stateDict();
    for (const [name, { data }] of Object.entries(state)) expect([...saved[name]], name).toEqual([...data]);
    layer.dispose();
    expect(wasm.memory().arrays).toBe(before);
  });
});

beforeAll(async () => {
  await use("cpu");
});
