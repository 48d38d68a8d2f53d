#!/usr/bin/env node
/** The command line of the lab. Exit codes: 0 done, 1 failure (or, with --strict, sickness), 2 usage, 130 stopped by Ctrl-C. */
import { availableParallelism } from "node:os";
import { wrap } from "@evenkeel/report/format";
import { Command, CommanderError, InvalidArgumentError, Option } from "commander";
import { FailureError, UsageError } from "./errors.js";
import type { Usual } from "./models/model.js";
import { modelNames, models } from "./models/registry.js";
import { colorsOf } from "./node/colors.js";
import type { CompareOptions } from "./node/compare.js";
import { describedData } from "./node/datasets.js";
import type { InspectOptions } from "./node/inspect.js";
import { listText } from "./node/norm-list.js";
import { version } from "./node/version.js";
import { usualNorms } from "./norms.js";
import { activations, optimizers } from "./settings.js";
import { taskNames } from "./tasks/registry.js";

const integer = (least: number, most: number) => (text: string) => {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= least && value <= most) return value;
  throw new InvalidArgumentError(`Expected an integer from ${least} to ${most.toLocaleString("en-US")}.`);
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
  throw new InvalidArgumentError("Expected names separated by commas.");
};

const size = (text: string): [number, number] => {
  const found = /^(\d+)x(\d+)$/i.exec(text);
  if (found) return [Number(found[1]), Number(found[2])];
  throw new InvalidArgumentError("Expected HEIGHTxWIDTH, such as 8x8.");
};

const page = (text: string) => {
  if (/\.html?$/i.test(text)) return text;
  throw new InvalidArgumentError("Expected a name that ends in .html; FILE comes before --html.");
};

const checkpoint = (text: string) => {
  if (!/^(?!file:)[a-z][a-z0-9+.-]+:\/\//i.test(text)) return text;
  throw new InvalidArgumentError("Expected a file or a folder; download it first.");
};

/** An argument as one would type it. */
const quoted = (argument: string) =>
  /^[\w./,:=@%+-]+$/.test(argument) ? argument : `'${argument.replaceAll("'", "'\\''")}'`;

/** What reproduces it, from the folder of the repository. `npm start` names the subcommand itself. */
const commandOf = ([, ...options]: string[]) =>
  ["npm start", ...(options.length > 0 ? ["--", ...options.map(quoted)] : [])].join(" ");

const usually = (text: string, name: keyof Usual) =>
  `${text} (default: ${modelNames.map((model) => `${models[model].usual[name]} for ${model}`).join(", ")})`;

const program = new Command("evenkeel")
  .description(
    "Shows what each normalization does to a network's training on real data, and what trained networks hold.",
  )
  .version(version)
  .showHelpAfterError("(--help lists the options)")
  .exitOverride();

program
  .command("compare")
  .description("Train one network under several normalizations, and report.")
  .option(
    "--data <name|file>",
    `${describedData.map(({ name }) => name).join(", ")}, or a CSV, TSV, ARFF, JSON or Parquet file`,
    "digits",
  )
  .option("--target <column>", "what to predict (default: the last column)")
  .option("--ignore <columns>", "columns to leave out", list)
  .option("--categorical <columns>", "columns whose numbers are names of categories", list)
  .addOption(new Option("--task <task>", "how to read the target, if it is not clear").choices(taskNames))
  .option("--image <HxW>", "the features are the pixels of images", size)
  .option("--limit <rows>", "use at most this many rows", integer(2, 1e9))
  .addOption(new Option("--model <kind>", "the network (default: what suits the data)").choices(modelNames))
  .option("--depth <layers>", usually("blocks before the last layer", "depth"), integer(1, 200))
  .option("--width <units>", usually("units, or channels, of a block", "width"), integer(1, 4096))
  .addOption(
    new Option("--activation <name>", "after each normalization").choices(activations).default("relu"),
  )
  .option("--norms <names>", `see evenkeel norms, or all (default, as fits: ${usualNorms.join(",")})`, list)
  .option("--seeds <count>", "trials of each normalization", integer(1, 1000), 3)
  .option("--epochs <count>", usually("passes over the training data", "epochs"), integer(1, 100_000))
  .option("--batch-size <examples>", "examples per step (default: about 32)", integer(2, 1_000_000))
  .option("--learning-rate <rate>", usually("step size of the optimizer", "learningRate"), positiveNumber)
  .addOption(
    new Option("--optimizer <name>", "how the weights are updated").choices(optimizers).default("sgd"),
  )
  .option("--reach <metric>", "metric to count epochs to (default: 9/10 of the way to the best)", metricValue)
  .option("--threads <count>", "trials that run at a time", integer(1, 1024), availableParallelism())
  .option("--out <folder>", "where to write report.html and comparison.json", "evenkeel-report")
  .option("--json", "print every number as JSON instead of the table", false)
  .action(async (options: CompareOptions) => {
    // TensorFlow.js and the plots take half a second to load, too long for help and usage errors to wait
    const { compare } = await import("./node/compare.js");
    process.exitCode = await compare(options, commandOf(process.argv.slice(2)));
  });

program
  .command("inspect")
  .description("Show what a file of a trained network holds, and whether its normalizations are well.")
  .argument(
    "<file>",
    "of PyTorch, Keras, TensorFlow, MXNet, ONNX or NumPy, or a folder of such a model",
    checkpoint,
  )
  .option("--json", "print every number as JSON instead of the summary", false)
  .option("--html [out]", "write a page with plots by depth too (default: inspection.html)", page)
  .option("--strict", "exit with 1 where a normalization is sick", false)
  .action(async (file: string, options: InspectOptions) => {
    const { inspect } = await import("./node/inspect.js");
    process.exitCode = await inspect(file, options);
  });

program
  .command("convert")
  .description("Write the tensors of a trained network in another format.")
  .argument("<file>", "what inspect reads", checkpoint)
  .argument("<out>", "a name that ends in .safetensors or .npz")
  .action(async (file: string, out: string) => {
    const { convert } = await import("./node/convert.js");
    process.exitCode = await convert(file, out);
  });

program
  .command("norms")
  .description("List every normalization, and in which networks compare can train it.")
  .action(() => {
    process.stdout.write(`${listText(80)}\n`);
  });

// a reader that stops early, such as head, is not a failure of this program
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
});

try {
  await program.parseAsync();
} catch (error) {
  const label = colorsOf(process.stderr).red("error:");
  if (error instanceof CommanderError) {
    // commander has already printed it
    process.exitCode = error.exitCode === 0 ? 0 : 2;
  } else if (error instanceof UsageError || error instanceof FailureError) {
    process.stderr.write(`${label} ${error.message}\n`);
    process.exitCode = error.exitCode;
  } else if (error instanceof Error && error.name === "CheckpointError") {
    // told by its name, so that the readers are loaded only where they are needed
    process.stderr.write(`${label} ${wrap(`error: ${error.message}`, 80).slice("error: ".length)}\n`);
    process.exitCode = 1;
  } else {
    process.stderr.write(`${label} ${error instanceof Error ? error.stack : error}\n`);
    process.exitCode = 1;
  }
}
