/** The machine that measured something, for those who read the numbers. */
import { availableParallelism, cpus } from "node:os";

export const machine = (): { processor: string; cores: number; runtime: string } => ({
  processor: cpus()[0]?.model.trim() ?? "unknown",
  cores: availableParallelism(),
  runtime: `Node ${process.versions.node}`,
});
