/** TensorFlow Addons: Keras 2 layers. */
import { buffer } from "../../../src/formula/normalization.js";
import {
  batchNorm,
  boundedNorm,
  filterResponseNorm,
  groupNorm,
  instanceNorm,
  layerNormLSTM,
  layerNormRNN,
  rmsNorm,
  statisticsOf,
  thresholdedLinearUnit,
  weightNorm,
} from "../../../src/index.js";
import { around, dots, filled, layerOf, part, softmax } from "./around.js";
import { type Framework, type Mapping, ofTwo, read } from "./golden.js";
import { affine, spectral } from "./keras.js";

const group: Mapping = ({ arguments: { groups = 32, axis = -1, epsilon = 1e-3, center, scale } }) => ({
  norm: groupNorm({ groups, axis: axis as number, epsilon, center: center ?? true, scale: scale ?? true }),
  weights: affine,
});

const instance: Mapping = ({ arguments: { axis = -1, epsilon = 1e-3, center = true } }) => ({
  norm: instanceNorm({ axis: axis as number, epsilon, center }),
  weights: affine,
});

/** The threshold is a layer of its own there. */
const filterResponse: Mapping = ({ arguments: { epsilon, learned_epsilon } }) => ({
  norm: filterResponseNorm({ epsilon, learnedEpsilon: learned_epsilon === true, thresholded: false }),
  weights: { ...affine, learnedEpsilon: "learned_epsilon" },
});

/** With a threshold for each place of an example. */
const threshold: Mapping = ({ arguments: { affine }, steps }) => ({
  norm: thresholdedLinearUnit({ axis: steps[0].inputs[0].shape.map((_, i) => i).slice(1), affine }),
  weights: { tau: "tau", alpha: "alpha" },
});

/** Into the ball of length 1 − epsilon. Theirs is the axis of a vector, of two. */
const poincare: Mapping = ({ arguments: { axis = 1, epsilon = 1e-5 } }) => ({
  norm: boundedNorm({ axis: axis === 0 ? 1 : 0, most: 1 - epsilon, epsilon: 0 }),
});

/**
 * g is v's length before the first step; or, by the data, 1 over the deviation of what a layer of v gives, and its bias what
 * takes the mean out. Gradients are those of the values that were set.
 */
const weight: Mapping = (c) => {
  const { layer, data_init } = c.arguments;
  const { shape } = c.weights?.kernel ?? { shape: [] };
  const normalize = part(weightNorm({ epsilon: 1e-12 }), {});
  const ofOutputs = part(statisticsOf(batchNorm()), {});
  const ofWeights = part(statisticsOf(rmsNorm({ axis: shape.slice(1).map((_, axis) => axis) })), {});
  const inputs = shape.slice(0, -1).reduce((a, b) => a * b, 1);
  return {
    ...around(
      c,
      (ops, [x], { g, kernel, bias, initialized }, options) => {
        const set = (value: typeof x, to: typeof x) =>
          ops.add(value, ops.stop(ops.where(initialized, 0, ops.sub(to, value))));
        let own = { g, bias };
        if (data_init) {
          const start = layerOf(layer)(ops, x, kernel, bias);
          const { y: mean, more = [] } = ofOutputs(ops, [start], {}, options);
          const scale = ops.div(1, ops.sqrt(ops.add(more[0], 1e-10)));
          own = { g: set(g, ops.mul(g, scale)), bias: set(bias, ops.mul(ops.mul(mean, scale), -1)) };
        } else {
          const { y: square } = ofWeights(ops, [kernel], {}, options);
          own = { g: set(g, ops.sqrt(ops.mul(square, inputs))), bias };
        }
        const { y: normalized } = normalize(ops, [kernel], own, options);
        return {
          y: layerOf(layer)(ops, x, normalized, own.bias),
          more: [own.g, own.bias],
          state: { initialized: filled(ops, [], 1) },
        };
      },
      { initialized: buffer([], 0) },
    ),
    outputs: ({ y }) => [y],
    after: { g: ({ more }) => more[0].data, bias: ({ more }) => more[1].data },
  };
};

const lstm: Mapping = ({ arguments: { units, use_bias, norm_epsilon = 1e-3 } }) => ({
  norm: layerNormLSTM({
    units: units as number,
    useBias: use_bias !== false,
    epsilon: norm_epsilon as number,
    carry: "normalized",
  }),
  weights: {
    kernel: "kernel",
    recurrentKernel: "recurrent_kernel",
    bias: "bias",
    kernelGamma: "kernel_norm/gamma",
    kernelBeta: "kernel_norm/beta",
    recurrentGamma: "recurrent_norm/gamma",
    recurrentBeta: "recurrent_norm/beta",
    cellGamma: "state_norm/gamma",
    cellBeta: "state_norm/beta",
  },
});

const simple: Mapping = ({ arguments: { units, layernorm_epsilon } }) => ({
  norm: layerNormRNN({ units: units as number, epsilon: layernorm_epsilon as number | undefined }),
  weights: { kernel: "kernel", recurrentKernel: "recurrent_kernel", gamma: "gamma", bias: "bias" },
  single: ofTwo,
});

/** Scores of a query against a memory, v·tanh(keys + query + b), with a weight-normalized v. */
const bahdanau =
  (monotonic: boolean): Mapping =>
  (c) => {
    const [[batch, time, features]] = c.steps[0].inputs.map(({ shape }) => shape);
    const normalize = part(weightNorm({ axis: null, epsilon: 0 }), { g: "attention_g" });
    return around(c, (ops, [memory, query, before], weights, options) => {
      const v = normalize(ops, [weights.attention_v], weights, options).y;
      const keys = ops.matMul(ops.reshape(memory, [batch * time, features]), weights["memory_layer/kernel"]);
      const asked = ops.matMul(query, weights["query_layer/kernel"]);
      const [, units] = ops.shape(asked);
      const sums = ops.add(ops.reshape(keys, [batch, time, units]), ops.reshape(asked, [batch, 1, units]));
      const bent = ops.tanh(ops.add(sums, weights.attention_b));
      const rows = ops.reshape(bent, [batch * time, units]);
      const scores = ops.reshape(dots(ops, rows, ops.reshape(v, [1, units])), [batch, time]);
      if (!monotonic) return { y: softmax(ops, scores) };
      // who was attended to before moves on, until one is chosen
      const chosen = ops.sigmoid(ops.add(scores, weights.attention_score_bias));
      const at = (array: typeof scores, i: number) => ops.slice(array, 1, i, i + 1);
      let moving = ops.mul(at(before, 0), 0);
      const parts = Array.from({ length: time }, (_, i) => {
        const here = ops.add(moving, at(before, i));
        moving = ops.mul(here, ops.sub(1, at(chosen, i)));
        return ops.mul(here, at(chosen, i));
      });
      return { y: ops.concat(parts, 1) };
    });
  };

export const addons: Framework = {
  file: read("addons"),
  mappings: {
    "layers.GroupNormalization": group,
    "layers.InstanceNormalization": instance,
    "layers.FilterResponseNormalization": filterResponse,
    "layers.TLU": threshold,
    "layers.PoincareNormalize": poincare,
    "layers.WeightNormalization": weight,
    "layers.SpectralNormalization": spectral("sn_u"),
    "rnn.LayerNormLSTMCell": lstm,
    "rnn.LayerNormSimpleRNNCell": simple,
    "seq2seq.BahdanauAttention(normalize)": bahdanau(false),
    "seq2seq.BahdanauMonotonicAttention(normalize)": bahdanau(true),
  },
  missing: {},
};
