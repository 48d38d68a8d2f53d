/** What every reader throws of a file that it cannot read. */

/**
 * A file that is damaged, of an unknown format, or holds what is not read here. The message names the file, its format, the byte where
 * that is known, what was expected and what came, and what helps.
 */
export class CheckpointError extends Error {
  override readonly name = "CheckpointError";
  /** The format's name, such as "safetensors"; "unknown" where the bytes are of none. */
  readonly format: string;
  /** The byte at which reading failed; undefined where the fault has no place. */
  readonly offset?: number;

  /**
   * @param file as the user knows it
   * @param problem what was expected and what came: "expected 8 bytes of a header length, the file ends after 3"
   * @param remedy what helps; by default that the file is damaged
   */
  constructor(
    file: string,
    format: string,
    problem: string,
    where: { offset?: number; remedy?: string } = {},
  ) {
    const { offset, remedy = DAMAGED } = where;
    const at = offset === undefined ? "" : ` at byte ${offset}`;
    super(`${file} (${format}${at}): ${problem}; ${remedy}`);
    this.format = format;
    this.offset = offset;
  }
}

const DAMAGED = "the file seems damaged: fetch or write it again";
