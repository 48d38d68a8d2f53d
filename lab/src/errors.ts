/**
 * The two ways a command ends badly. The message of either is shown to the user as it stands,
 * without a stack, so it says what was expected, what came, and what to do about it.
 */

/** The command line or the data that it names asks for something that cannot be: exit code 2. */
export class UsageError extends Error {
  readonly exitCode = 2;
}

/** Something that was asked for rightly did not work (a file that cannot be read, a folder that cannot be written): exit code 1. */
export class FailureError extends Error {
  readonly exitCode = 1;
}
