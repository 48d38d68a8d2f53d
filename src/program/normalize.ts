/** The fused operation on terms: a call of the kernels, whose gradient is another one. */
import { checkEpsilon, checkOperands, statisticsGiven } from "../formula/checks.js";
import type { ElementaryOps, NormalizeOperands, NormalizeResult } from "../formula/ops.js";
import { type FusedNorm, identityView, maskViewOf, type Plan } from "../formula/plan.js";
import { broadcastMask } from "../formula/terms.js";
import { sizeOf } from "../shape.js";
import type { View } from "../view.js";
import type { Call, Contribution, Term } from "./term.js";

/** What a call on terms needs beside the elementary operations. */
interface Calling extends ElementaryOps<Term> {
  outputs(call: Call): Term[];
  uniform(value: number, shape: readonly number[]): Term;
}

/** Operands by name, those that are there, in a fixed order. */
function present(operands: Readonly<Record<string, Term | undefined>>): [string, Term][] {
  return Object.entries(operands).filter((entry): entry is [string, Term] => entry[1] !== undefined);
}

/** Writes arrays into the arguments of a call, which are the same object every time. */
function fill<A>(call: Record<string, unknown>, names: readonly string[], arrays: readonly A[]): void {
  for (let i = 0; i < names.length; i++) call[names[i]] = arrays[i];
}

export function normalizeTerms(
  ops: Calling,
  norm: FusedNorm,
  x: Term,
  operands: NormalizeOperands<Term>,
): NormalizeResult<Term> {
  const plan = norm.plan(x.shape);
  checkEpsilon(norm.name, norm.epsilon);
  checkOperands(ops, norm, plan, operands);
  const given = statisticsGiven(norm, operands.mean, operands.variance);
  const { gamma, beta, mean, variance, residual } = operands;
  const { mask, masks } = maskTerms(ops, norm, plan, operands.mask);
  const ordered = (values: Term) => (plan.order ? ops.transpose(values, plan.order) : values);
  const { shape } = ordered(x);
  const settings = {
    given,
    epsilon: norm.epsilon,
    statistics: plan.statistics,
    parameters: plan.parameters,
    masks,
  };
  const listed = present({
    x: ordered(x),
    residual: residual && ordered(residual),
    gamma,
    beta,
    mean,
    variance,
    mask,
  });
  const measured = given ? [] : norm.centered ? ["mean", "variance"] : ["variance"];
  const names = ["y", ...(residual ? ["sum"] : []), ...measured];
  const shapeOf = (name: string) => (name === "y" || name === "sum" ? shape : plan.statisticsShape);
  const operandNames = listed.map(([name]) => name);
  const filled: Record<string, unknown> = { ...settings };
  const call: Call = {
    of: listed.map(([, term]) => term),
    outputs: names.map(shapeOf),
    run(kernels, arrays, outputs) {
      fill(filled, operandNames, arrays);
      fill(filled, names, outputs);
      kernels.forward(filled as never);
    },
    back(gradients) {
      const of = (name: string) => gradients[names.indexOf(name)];
      const back = gradientTerms(
        ops,
        settings,
        plan,
        {
          dy: of("y") ?? ops.uniform(0, shape),
          dSum: residual && of("sum"),
          x: result.sum ?? ordered(x),
          gamma,
          mean: mean ?? result.mean,
          variance: variance ?? result.variance,
          mask,
        },
        beta !== undefined,
      );
      const contributions: Contribution[] = [[ordered(x), back.dx]];
      if (residual) contributions.push([ordered(residual), back.dx]);
      if (gamma && back.dGamma) contributions.push([gamma, ops.reshape(back.dGamma, gamma.shape)]);
      if (beta && back.dBeta) contributions.push([beta, ops.reshape(back.dBeta, beta.shape)]);
      return contributions;
    },
  };
  const outputs = ops.outputs(call);
  const result: Record<string, Term | undefined> = Object.fromEntries(
    names.map((name, i) => [name, outputs[i]]),
  );
  const back = plan.order?.map((_, axis, order) => order.indexOf(axis));
  const restored = (values: Term) => (back ? ops.transpose(values, back) : values);
  return {
    y: restored(result.y as Term),
    sum: result.sum && restored(result.sum),
    mean: result.mean && ops.stop(result.mean),
    variance: result.variance && ops.stop(result.variance),
  };
}

interface Settings {
  given: boolean;
  epsilon: number;
  statistics: View;
  parameters: View;
  masks?: View;
}

function gradientTerms(
  ops: Calling,
  settings: Settings,
  plan: Plan,
  operands: Readonly<Record<string, Term | undefined>>,
  offset: boolean,
): { dx: Term; dGamma?: Term; dBeta?: Term } {
  // statistics carry no gradient, whatever they were measured of
  const listed = present(operands);
  const operandNames = listed.map(([name]) => name);
  const filled: Record<string, unknown> = { ...settings };
  const names = ["dx", ...(operands.gamma ? ["dGamma"] : []), ...(offset ? ["dBeta"] : [])];
  const outputs = ops.outputs({
    of: listed.map(([, term]) => term),
    outputs: names.map((name) => (name === "dx" ? (operands.dy as Term).shape : plan.parameterShape)),
    run(kernels, arrays, results) {
      fill(filled, operandNames, arrays);
      fill(filled, names, results);
      kernels.backward(filled as never);
    },
  });
  return Object.fromEntries(names.map((name, i) => [name, outputs[i]])) as { dx: Term };
}

/** The mask as the kernels take it: one value per kept position of a view, or one per element where none fits. */
function maskTerms(
  ops: Calling,
  norm: FusedNorm,
  plan: Plan,
  mask: Term | undefined,
): { mask?: Term; masks?: View } {
  if (mask === undefined) return {};
  const masks = maskViewOf(norm.name, plan, mask.shape);
  if (masks) return { mask, masks };
  const whole = broadcastMask(ops, mask, plan.shape);
  return {
    mask: plan.order ? ops.transpose(whole, plan.order) : whole,
    masks: identityView(sizeOf(plan.shape)),
  };
}
