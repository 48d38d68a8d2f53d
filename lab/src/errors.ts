/**
 * The two ways a command fails. Either message is shown to the user as it is, without a stack, so it says what was
 * expected, what came, and what to do about it.
 */

/** The command line, or the data it names, asks for something impossible: exit code 2. */
export class UsageError extends Error {
  readonly exitCode = 2;
}

/** A valid request failed (a file that cannot be read, a folder that cannot be written): exit code 1. */
export class FailureError extends Error {
  readonly exitCode = 1;
}

/** What an error says of itself. */
export function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
