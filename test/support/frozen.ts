/** A tape for central differences, on which a formula's constants stay constant. */
import { type Node, Tape } from "../../src/native/tape.js";

/** Records the values of constants in its first run, and reuses them in all later ones. */
export class Frozen extends Tape {
  private readonly first: Node[] = [];
  private next = 0;

  replay(): this {
    this.next = 0;
    return this;
  }

  override stop(x: Node): Node {
    const { next } = this;
    this.next++;
    this.first[next] ??= this.fixed({ shape: x.array.shape, data: x.array.data.slice() });
    return this.first[next];
  }

  override normalize(...call: Parameters<Tape["normalize"]>): ReturnType<Tape["normalize"]> {
    const { mean, variance, ...result } = super.normalize(...call);
    return { ...result, mean: mean && this.stop(mean), variance: variance && this.stop(variance) };
  }
}
