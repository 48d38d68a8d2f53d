/** `evenkeel standardize`: moments of tables beyond memory, and the tables standardized, by DuckDB. */
import { FailureError } from "../errors.js";

/** The options of the command line, already checked. */
export interface StandardizeOptions {
  out?: string;
}

/** Returns the exit code. */
export async function standardize(_files: readonly string[], _options: StandardizeOptions): Promise<number> {
  throw new FailureError("standardize: not here yet");
}
