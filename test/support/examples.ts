/** Runs examples in Markdown as they are, each in a process of its own. */
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { transformSync } from "rolldown/utils";

export const root = fileURLToPath(new URL("../..", import.meta.url));

/** The code of each block that opens with ``` and this language. */
export function examplesOf(markdown: string, language: "js" | "ts"): string[] {
  return [...markdown.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\`$`, "gms"))].map(
    ([, code]) => code,
  );
}

/** What an example writes to standard output; throws with what it wrote to standard error where it fails. */
export async function runExample(code: string): Promise<string> {
  const { code: plain, errors } = transformSync("example.ts", code);
  if (errors.length > 0) throw new SyntaxError(errors.map(({ message }) => message).join("\n"));
  const run = promisify(execFile)(process.execPath, ["--input-type=module", "-e", plain], { cwd: root });
  return (await run).stdout;
}

/** The texts that an example says it prints, in order. */
export const promised = (code: string): string[] =>
  [...code.matchAll(/\/\/ prints: (.*)$/gm)].map(([, text]) => text);

/**
 * What an example says it prints, and what it printed: all lines where every print has a text, else for each
 * text the next line that equals it.
 */
export function printedAsPromised(code: string, output: string): { promised: string[]; printed: string[] } {
  const texts = promised(code);
  const lines = output.replace(/\n$/, "").split("\n");
  if (texts.length === 0 || code.split("console.log(").length - 1 === texts.length)
    return { promised: texts, printed: texts.length === 0 ? [] : lines };
  let at = 0;
  const printed = texts.map((text) => {
    const found = lines.indexOf(text, at);
    if (found === -1) return `(not among what was printed: ${lines.slice(at).join(" ⏎ ")})`;
    at = found + 1;
    return text;
  });
  return { promised: texts, printed };
}
