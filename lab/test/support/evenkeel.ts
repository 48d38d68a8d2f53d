/** The command line as its user meets it: a process with arguments, two streams and an exit code. */
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

const cli = fileURLToPath(new URL("../../dist/cli.js", import.meta.url));

export interface Outcome {
  /** Null where a signal ended the process. */
  code: number | null;
  stdout: string;
  stderr: string;
}

/** Runs `evenkeel` with these arguments in a folder; as in a CI, which some libraries take for a terminal with colours. */
export function evenkeel(folder: string, ...line: string[]): Promise<Outcome> {
  return new Promise((resolve, reject) => {
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
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, stdout, stderr }));
  });
}
