/** Which of the inputs that can be made a network runs with. */
import { lengthsTried, madeSamples, notMade, type Sample } from "./inputs.js";
import { type Runtime, RuntimeError, type Session } from "./runtime.js";

/**
 * Samples with which it runs, or why there are none: lengths that are open are tried.
 * @param below for inputs of indices how many there are
 */
export async function samplesFor(
  session: Session,
  runtime: Runtime,
  below?: ReadonlyMap<string, number>,
): Promise<readonly Sample[] | string> {
  const ports = session.inputs;
  const other = notMade(ports);
  if (other !== undefined) return other;
  let refused: unknown;
  for (const lengths of lengthsTried(ports)) {
    try {
      const samples = madeSamples(ports, lengths, { below });
      await session.run(samples[0].feeds);
      return samples;
    } catch (error) {
      if (error instanceof RangeError) return error.message;
      refused ??= error;
      if (!(error instanceof RuntimeError) || error.how !== "refused") break;
    }
  }
  return whyNot(runtime, refused);
}

/** What a runtime says of a network that it does not run. Throws what is no fault of the network. */
export function whyNot({ name }: Runtime, error: unknown): string {
  if (!(error instanceof RuntimeError)) throw error;
  return error.how === "refused"
    ? `${name} refuses it (${error.message})`
    : `${name} could not run it: ${error.message}`;
}
