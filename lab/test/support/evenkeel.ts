/** The command line as its user meets it: a process with arguments, two streams and an exit code. */
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

export const cli = fileURLToPath(new URL("../../dist/cli.js", import.meta.url));

export interface Outcome {
  /** Null where a signal ended the process. */
  code: number | null;
  stdout: string;
  stderr: string;
}

export interface Started {
  child: ChildProcessWithoutNullStreams;
  /** When standard error holds this. */
  said(what: RegExp): Promise<void>;
  ended: Promise<Outcome>;
}

/** Starts `evenkeel` with these arguments in a folder; as in a CI, which some libraries take for a terminal with colours. */
export function start(folder: string, ...line: string[]): Started {
  const child = spawn(process.execPath, [cli, ...line], {
    cwd: folder,
    env: { ...process.env, CI: "true" },
  });
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  const ended = new Promise<Outcome>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, stdout, stderr }));
  });
  const said = (what: RegExp) =>
    new Promise<void>((resolve, reject) => {
      const look = () => {
        if (what.test(stderr)) resolve();
      };
      child.stderr.on("data", look);
      child.on("close", () => reject(new Error(`it ended without saying ${what}:\n${stderr}`)));
      look();
    });
  return { child, said, ended };
}

/** Runs it to its end. */
export const evenkeel = (folder: string, ...line: string[]): Promise<Outcome> => start(folder, ...line).ended;
