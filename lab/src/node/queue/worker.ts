/** `evenkeel worker`: runs the trials of a queue on this machine. */
import { FailureError } from "../../errors.js";

/** The options of the command line, already checked. */
export interface WorkerOptions {
  /** redis://, rediss:// or postgres://. */
  queue: string;
  /** Trials at a time. */
  threads: number;
  /** The folder that `compare --share` writes data to. */
  share?: string;
  /** Where data and modules are kept between trials. */
  cache?: string;
  /** Seconds after which the trials of a worker that gives no sign of life go to others. */
  lease: number;
  /** Seconds after which a trial that gives no sign of life is ended. */
  patience: number;
}

/** Runs until it is stopped, and returns the exit code. */
export async function work(_options: WorkerOptions): Promise<number> {
  throw new FailureError("worker: not here yet");
}
