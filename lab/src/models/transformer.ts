/**
 * Blocks of attention and of a small network that sees each step by itself, both added to what they were given (Vaswani et al.
 * 2017, arXiv 1706.03762). f is either part:
 *
 *     pre       x + f(norm(x)), and a norm after the last block      Xiong et al. 2020, arXiv 2002.04745
 *     post      norm(x + f(x))                                       as in the paper
 *     sandwich  x + norm(f(norm(x))), and a norm after the last      Ding et al. 2021, arXiv 2105.13290
 *     reordered x + norm(f(x)), and a norm after the last            OLMo 2, arXiv 2501.00656
 *     qk        as pre, with normalized queries and keys             Henry et al. 2020, arXiv 2010.04245
 */
import { isCausal } from "../data/form.js";
import { arrangements } from "../norms.js";
import { type Builder, type Model, refusesAllBut, type Tensor } from "./model.js";
import { outputsOf, stepsOf } from "./steps.js";

/** Channels of a head, at least, and heads, at most. */
const LEAST_HEAD = 32;
const MOST_HEADS = 8;
/** What the network within a block is wider by. */
const WIDER = 2;

/** The most heads that divide the width. */
function headsOf(width: number): number {
  let heads = Math.max(1, Math.min(MOST_HEADS, Math.floor(width / LEAST_HEAD)));
  while (width % heads > 0) heads--;
  return heads;
}

export const transformer = {
  name: "transformer",
  title: "transformer",
  unit: "channels",
  usualFor: ["tokens"],
  usual: { depth: 2, width: 64, epochs: 5, optimizer: "adam", learningRate: { sgd: 0.05, adam: 0.001 } },
  places: ["features", "positions", "forecast"],
  arrangements,
  norms: ["none", "layer", "post-layer", "qk-layer", "rms"],
  refusal: refusesAllBut("tokens", "series"),
  build(builder, inputs) {
    const { keras, form, depth, width, arrangement, norm, kernel, activate, block, evenkeel, own, seed } =
      builder;
    const attend = (x: Tensor) =>
      evenkeel("normalizedAttention", {
        heads: headsOf(width),
        kind: builder.attention,
        causal: isCausal(form),
        seed: seed(),
      }).apply(x) as Tensor;
    const dense = (x: Tensor, units: number) => kernel(x, (args) => keras.dense({ units, ...args }));
    const feed = (x: Tensor) => dense(activate(dense(x, WIDER * width)), width);
    const added = placements[arrangement](builder);
    let x = own("Positions", { seed: seed(), name: "positions" }).apply(stepsOf(builder, inputs)) as Tensor;
    for (let layer = 0; layer < depth; layer++) x = block(added(added(x, attend), feed));
    if (arrangement !== "post") x = norm(x);
    if (isCausal(form)) return outputsOf(builder, x);
    return outputsOf(builder, own("MeanOfSteps", { name: "mean" }).apply(x) as Tensor);
  },
} as const satisfies Model;

type Part = (x: Tensor) => Tensor;

const sum = ({ keras }: Builder, x: Tensor, y: Tensor) => keras.add().apply([x, y]) as Tensor;
const before = (builder: Builder) => (x: Tensor, part: Part) => sum(builder, x, part(builder.norm(x)));

/** What a part gives, added to what it was given. */
const placements: Record<Builder["arrangement"], (builder: Builder) => (x: Tensor, part: Part) => Tensor> = {
  pre: before,
  qk: before,
  post: (builder) => (x, part) => builder.norm(sum(builder, x, part(x))),
  sandwich: (builder) => (x, part) => sum(builder, x, builder.norm(part(builder.norm(x)))),
  reordered: (builder) => (x, part) => sum(builder, x, builder.norm(part(x))),
};
