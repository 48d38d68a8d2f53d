/** `evenkeel stream`: standardizes, watches and learns what comes without end. */
import { FailureError } from "../errors.js";

/** The options of the command line, already checked. */
export interface StreamOptions {
  from: string;
}

/** Runs until the source ends or it is stopped, and returns the exit code. */
export async function stream(_options: StreamOptions): Promise<number> {
  throw new FailureError("stream: not here yet");
}
