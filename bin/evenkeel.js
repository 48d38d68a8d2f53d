#!/usr/bin/env node
/** `npx evenkeel`: the command line is the lab's, a package of its own. Runs it where it is installed, else says where it is. */
// by a name of its own, so that no tool takes the lab for a dependency
const lab = "@evenkeel/lab/cli";
let installed = true;
try {
  import.meta.resolve(lab);
} catch {
  installed = false;
}
if (installed) await import(lab);
else {
  const rest = process.argv.slice(2).join(" ") || "compare --data mine.csv --target price";
  process.stderr.write(
    `evenkeel: the command line is in a package of its own, @evenkeel/lab. Run it with\n\n  npx @evenkeel/lab ${rest}\n\n`,
  );
  process.exitCode = 1;
}
