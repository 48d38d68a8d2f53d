/** Standard output and error, which may be closed at any time, and what somebody else wrote on its way there. */
import { printable } from "@evenkeel/report/format";

/** Columns where there is no terminal. */
const WIDTH = 80;
/** What a stream ends in whose reader has gone: a closed pipe, a closed terminal. */
const GONE = ["EPIPE", "EIO", "ENXIO", "ECONNRESET", "ERR_STREAM_DESTROYED"];

/** Columns that a text for this stream may take, of however many the terminal has. */
export const columnsOf = (stream: NodeJS.WriteStream, most = WIDTH): number =>
  Math.min(most, stream.columns || WIDTH);

/** Lines without what a terminal obeys. */
export const printableLines = (text: string): string =>
  text
    .split("\n")
    .map((line) => printable(line.replaceAll("\t", " ")))
    .join("\n");

let terminalGone = false;

/**
 * From here on a reader that stops early, such as head, or a terminal that closes does not end the program: it goes on,
 * and what it writes is lost. Where output fails for another reason (a full disk), the exit code says so.
 */
export function outliveReaders(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on("error", (error: NodeJS.ErrnoException) => {
      terminalGone ||= stream.isTTY && GONE.includes(error.code ?? "");
      if (GONE.includes(error.code ?? "")) return;
      process.exitCode ||= 1;
      if (stream === process.stdout) {
        process.stderr.write(`error: cannot write to standard output (${error.message})\n`);
      }
    });
  }
}

/** What a terminal tells that closes. */
export function hungUp(): void {
  terminalGone ||= [process.stdin, process.stdout, process.stderr].some(({ isTTY }) => isTTY);
}

/** Without its terminal Node aborts at its end, where it would set it back: it is ended as closing the terminal ends a program. */
export function endWithTerminal(): void {
  if (!terminalGone) return;
  process.removeAllListeners("SIGHUP");
  process.kill(process.pid, "SIGHUP");
}
