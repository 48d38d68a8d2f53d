/** How the command was started, so that it can be told how to start it again. */
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { typed } from "@evenkeel/report/format";

const cli = fileURLToPath(new URL("../cli.js", import.meta.url));

/** `evenkeel compare` with these arguments, from any folder: of an installed package, a script of a clone, or the file itself. */
export const compareCommand = (args: readonly string[], env: NodeJS.ProcessEnv = process.env): string =>
  env.npm_lifecycle_event === "start" && env.npm_package_json !== undefined
    ? ["npm", "--prefix", dirname(env.npm_package_json), "start", ...(args.length > 0 ? ["--"] : []), ...args]
        .map(typed)
        .join(" ")
    : command("compare", args);

/** `evenkeel` with a command and its arguments, from any folder. */
export const command = (name: string, args: readonly string[]): string =>
  [...(/[\\/]node_modules[\\/]/.test(cli) ? ["npx", "@evenkeel/lab"] : ["node", cli]), name, ...args]
    .map(typed)
    .join(" ");
