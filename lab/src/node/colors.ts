/** Colours for the terminal. */
import pc from "picocolors";

/**
 * The colours of a stream: none unless it is a terminal that shows them. By default picocolors looks at standard output
 * alone, and takes any CI for a terminal.
 */
export function colorsOf(stream: NodeJS.WriteStream): ReturnType<typeof pc.createColors> {
  return pc.createColors(stream.isTTY === true && stream.hasColors());
}
