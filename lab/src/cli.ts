#!/usr/bin/env node
/** The command line of the lab. Exit codes: 0 done, 1 failure, 2 usage, 130 stopped by Ctrl-C. */
import { availableParallelism } from "node:os";
import { Command, CommanderError, InvalidArgumentError, Option } from "commander";
import { colorsOf } from "./colors.js";
import { bundledNames } from "./data/bundled.js";
import { FailureError, UsageError } from "./errors.js";
import { listText, usualNorms } from "./norms.js";
import { activations, type CompareOptions, modelKinds, optimizers, usual } from "./settings.js";
import { version } from "./version.js";

const wholeNumber = (least: number, most: number) => (text: string) => {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= least && value <= most) return value;
  throw new InvalidArgumentError(`Expected a whole number from ${least} to ${most.toLocaleString("en-US")}.`);
};

const positiveNumber = (text: string) => {
  const value = Number(text);
  if (text.trim() !== "" && Number.isFinite(value) && value > 0) return value;
  throw new InvalidArgumentError("Expected a number above 0.");
};

const metricValue = (text: string) => {
  const value = Number(text);
  if (value > 0 && value <= 1) return value;
  throw new InvalidArgumentError("Expected a number above 0 and at most 1, such as 0.9 for 90 %.");
};

const list = (text: string) => {
  const names = text.split(",").map((name) => name.trim());
  if (names.every((name) => name !== "")) return names;
  throw new InvalidArgumentError("Expected names with commas between them.");
};

const size = (text: string): [number, number] => {
  const found = /^(\d+)x(\d+)$/i.exec(text);
  if (found) return [Number(found[1]), Number(found[2])];
  throw new InvalidArgumentError("Expected HEIGHTxWIDTH, such as 8x8.");
};

/** An argument as one would type it. */
const quoted = (argument: string) =>
  /^[\w./,:=@%+-]+$/.test(argument) ? argument : `'${argument.replaceAll("'", "'\\''")}'`;

/** What makes it again, from the repository's folder. `npm start` names the subcommand itself. */
const commandOf = ([, ...options]: string[]) =>
  ["npm start", ...(options.length > 0 ? ["--", ...options.map(quoted)] : [])].join(" ");

const usually = (text: string, name: keyof (typeof usual)["mlp"]) =>
  `${text} (default: ${usual.mlp[name]} for mlp, ${usual.cnn[name]} for cnn)`;

const program = new Command("evenkeel")
  .description("Shows on real data what each normalization does to a network's training.")
  .version(version)
  .showHelpAfterError("(--help lists the options)")
  .exitOverride();

program
  .command("compare")
  .description("Train one network under several normalizations, and report.")
  .option(
    "--data <name|file>",
    `${bundledNames.map(({ name }) => name).join(", ")}, or a CSV, TSV, ARFF, JSON or Parquet file`,
    "digits",
  )
  .option("--target <column>", "what to predict (default: the last column)")
  .option("--ignore <columns>", "columns to leave out", list)
  .option("--categorical <columns>", "columns whose numbers are names", list)
  .addOption(
    new Option("--task <task>", "what the target is, if not clear").choices(["classification", "regression"]),
  )
  .option("--image <HxW>", "the features are the pixels of images", size)
  .option("--limit <rows>", "use at most so many rows", wholeNumber(2, 1e9))
  .addOption(
    new Option("--model <kind>", "the network (default: cnn for images, else mlp)").choices(modelKinds),
  )
  .option("--depth <layers>", usually("blocks before the last layer", "depth"), wholeNumber(1, 200))
  .option("--width <units>", usually("units, or channels, of a block", "width"), wholeNumber(1, 4096))
  .addOption(new Option("--activation <name>", "between the blocks").choices(activations).default("relu"))
  .option("--norms <names>", `see evenkeel norms, or all (default, as fits: ${usualNorms.join(",")})`, list)
  .option("--seeds <count>", "trials of each normalization", wholeNumber(1, 1000), 3)
  .option("--epochs <count>", usually("passes over the training data", "epochs"), wholeNumber(1, 100_000))
  .option("--batch-size <examples>", "examples of a step (default: about 32)", wholeNumber(2, 1_000_000))
  .option("--learning-rate <rate>", usually("step size of the optimizer", "learningRate"), positiveNumber)
  .addOption(new Option("--optimizer <name>", "how steps are taken").choices(optimizers).default("sgd"))
  .option("--reach <metric>", "target to count epochs to (default: 9/10 of the way to the best)", metricValue)
  .option("--threads <count>", "trials at a time", wholeNumber(1, 1024), availableParallelism())
  .option("--out <folder>", "where report.html and comparison.json go", "evenkeel-report")
  .option("--json", "print every number as JSON instead of the table", false)
  .action(async (options: CompareOptions) => {
    // TensorFlow.js and the plots take half a second to load, which help and usage errors need not wait for
    const { compare } = await import("./compare.js");
    process.exitCode = await compare(options, commandOf(process.argv.slice(2)));
  });

program
  .command("norms")
  .description("List every normalization, and in which networks compare can train it.")
  .action(() => {
    process.stdout.write(`${listText(80)}\n`);
  });

// a reader that has seen enough, such as head, is no failure of this program
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
});

try {
  await program.parseAsync();
} catch (error) {
  const label = colorsOf(process.stderr).red("error:");
  if (error instanceof CommanderError) {
    // commander has said it already
    process.exitCode = error.exitCode === 0 ? 0 : 2;
  } else if (error instanceof UsageError || error instanceof FailureError) {
    process.stderr.write(`${label} ${error.message}\n`);
    process.exitCode = error.exitCode;
  } else {
    process.stderr.write(`${label} ${error instanceof Error ? error.stack : error}\n`);
    process.exitCode = 1;
  }
}
