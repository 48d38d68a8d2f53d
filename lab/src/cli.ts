#!/usr/bin/env node
/** The command line of the lab. Exit codes: 0 done, 1 failure (or, with --strict, sickness), 2 usage, 130, 143 and 129 stopped by Ctrl-C, SIGTERM and SIGHUP. */
import { availableParallelism } from "node:os";
import { quote, wrap } from "@evenkeel/report/format";
import { Command, CommanderError, InvalidArgumentError, Option } from "commander";
import type { Choices } from "./comparison.js";
import type { DateOrder } from "./data/dates.js";
import { usualLimits } from "./data/table.js";
import type { DatasetOptions } from "./dataset.js";
import { FailureError, reason, UsageError } from "./errors.js";
import type { Usual } from "./models/model.js";
import { modelNames, models } from "./models/registry.js";
import { colorsOf } from "./node/colors.js";
import { describedData } from "./node/datasets.js";
import type { InspectOptions } from "./node/inspect.js";
import { listText } from "./node/norm-list.js";
import { columnsOf, endWithTerminal, outliveReaders, printableLines } from "./node/streams.js";
import { version } from "./node/version.js";
import { usualNorms } from "./norms.js";
import { activations, optimizers, type SweepSetting, sweepSettings } from "./settings.js";
import { primaryMetricNames, taskNames } from "./tasks/registry.js";

const refuse = (expected: string): never => {
  throw new InvalidArgumentError(`Expected ${expected}.`);
};

const integer = (least: number, most: number) => (text: string) => {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= least && value <= most) return value;
  return refuse(`an integer from ${least} to ${most.toLocaleString("en-US")}`);
};

const positiveNumber = (text: string) => {
  const value = Number(text);
  if (text.trim() !== "" && Number.isFinite(value) && value > 0) return value;
  return refuse("a number above 0");
};

const metricValue = (text: string) => {
  const value = Number(text);
  return value > 0 && value <= 1 ? value : refuse("a number above 0 and at most 1, such as 0.9 for 90 %");
};

const list = (text: string) => {
  const names = text.split(",").map((name) => name.trim());
  return names.every((name) => name !== "") ? names : refuse("names separated by commas");
};

/** `a, b or c`. */
const either = (names: readonly string[]) => `${names.slice(0, -1).join(", ")} or ${names.at(-1)}`;

/** Each once, in ascending order. */
const ascending = (values: readonly number[]) => [...new Set(values)].sort((a, b) => a - b);

const rates = (text: string) => {
  const values = text.split(",").map(Number);
  if (values.every((value) => value > 0 && Number.isFinite(value))) return ascending(values);
  return refuse("learning rates separated by commas, such as 0.001,0.01,0.1");
};

/** Every use of the option adds to it. */
const repeated = (text: string, before: string[] = []) => [...before, text];
/** An empty mark stands for nothing at all, which is missing anyway. */
const repeatedList = (text: string, before: string[] = []) => [
  ...before,
  ...text.split(",").map((mark) => mark.trim()),
];

const size = (text: string): [number, number] => {
  const found = /^(\d+)x(\d+)$/i.exec(text);
  return found ? [Number(found[1]), Number(found[2])] : refuse("HEIGHTxWIDTH, such as 8x8");
};

const UNITS = { "": 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30 };

const bytes = (text: string) => {
  const [, digits, unit] = /^(\d+(?:\.\d+)?)\s?([kmg]?)b?$/i.exec(text) ?? [];
  const value = Math.round(Number(digits) * UNITS[unit?.toLowerCase() as keyof typeof UNITS]);
  return value > 0 && Number.isSafeInteger(value) ? value : refuse("a number of bytes, such as 4GB");
};

const DELIMITERS: Readonly<Record<string, string>> = {
  tab: "\t",
  "\\t": "\t",
  space: " ",
  comma: ",",
  semicolon: ";",
  pipe: "|",
};

const delimiter = (text: string) => {
  const found = DELIMITERS[text.toLowerCase()] ?? text;
  return [...found].length === 1 && found !== '"' && !/[\r\n]/.test(found)
    ? found
    : refuse("one character, tab, or space (for any number of blanks)");
};

const yesOrNo = (text: string) =>
  /^(yes|true)$/i.test(text) ? true : /^(no|false)$/i.test(text) ? false : refuse("yes or no");

const encoding = (text: string) => {
  try {
    return new TextDecoder(text).encoding;
  } catch {
    return refuse("a name such as utf-8, utf-16le, windows-1252 or shift_jis");
  }
};

/** The words of `--sweep`: a setting and its values. */
const words = (text: string, before: string[] = []) => [...before, ...text.split("=")];

const SWEPT: Readonly<Record<SweepSetting, (text: string) => number>> = {
  "learning-rate": positiveNumber,
  "batch-size": integer(2, 1_000_000),
  depth: integer(1, 200),
};

function sweepOf([setting = "", values = "", ...others]: string[]): Choices["sweep"] {
  const expected = `--sweep: expected ${either(sweepSettings)} and values separated by commas, such as --sweep learning-rate 0.001,0.01,0.1`;
  const swept = sweepSettings.find((each) => each === setting);
  if (swept === undefined || others.length > 0) {
    throw new UsageError(`${expected}; got ${quote([setting, values, ...others].filter(Boolean).join(" "))}`);
  }
  let parsed: number[];
  try {
    parsed = ascending(values.split(",").map((value) => SWEPT[swept](value.trim())));
  } catch (error) {
    throw new UsageError(`${expected}; got ${quote(values)}: ${reason(error)}`);
  }
  if (parsed.length < 2) throw new UsageError(`${expected}; got fewer than two values, ${quote(values)}`);
  return { setting: swept, values: parsed };
}

const page = (text: string) => {
  if (/\.html?$/i.test(text)) return text;
  throw new InvalidArgumentError("Expected a name that ends in .html; FILE comes before --html.");
};

const checkpoint = (text: string) => {
  if (!/^(?!file:)[a-z][a-z0-9+.-]+:\/\//i.test(text)) return text;
  throw new InvalidArgumentError("Expected a file or a folder; download it first.");
};

const usually = (text: string, name: keyof Usual) =>
  `${text} (default: ${modelNames.map((model) => `${models[model].usual[name]} for ${model}`).join(", ")})`;

const program = new Command("evenkeel")
  .description(
    "Shows what each normalization does to a network's training on real data, and what trained networks hold.",
  )
  .version(version)
  .showHelpAfterError("(--help lists the options)")
  // what was typed is part of its errors
  .configureOutput({ writeErr: (text) => process.stderr.write(printableLines(text)) })
  .exitOverride();

/** What commander makes of the options of `compare`. */
interface Parsed extends Omit<DatasetOptions, "limits">, Omit<Choices, "sweep"> {
  data: string;
  maxBytes?: number;
  maxCells?: number;
  sweep?: string[];
  threads: number;
  json?: boolean;
  out?: string;
  resume?: string;
}

const compareCommand = program
  .command("compare")
  .description("Train one network under several normalizations, and report.")
  .optionsGroup("Data:")
  .option(
    "--data <name|file>",
    `${describedData.map(({ name }) => name).join(", ")}, or a file: CSV and other text, ARFF, JSON, Parquet, Arrow, Excel, zipped or not`,
    "digits",
  )
  .option("--target <column>", "what to predict (default: the last column)")
  .addOption(new Option("--task <task>", "how to read the target, if it is not clear").choices(taskNames))
  .addOption(
    new Option(
      "--metric <metric>",
      `judge by ${either(primaryMetricNames)} (default: what suits the target)`,
    ),
  )
  .option("--ignore <columns>", "leave columns out: a,b or as often as needed", repeated)
  .option("--keep <columns>", "keep columns that would be left out: constants, identifiers", repeated)
  .option("--categorical <columns>", "columns whose values are names of categories", repeated)
  .option("--numeric <columns>", "columns whose values are numbers", repeated)
  .option("--levels <count>", "most levels of a text column; the others become one", integer(1, 10_000))
  .option("--image <HxW>", "the inputs are the pixels of images", size)
  .option("--limit <rows>", "use at most this many rows, drawn at random", integer(2, 1e9))
  .addOption(
    new Option("--split <how>", "hold out random rows, or the latest ones").choices(["random", "time"]),
  )
  .option("--time <column>", "what says when, for --split time")
  .option("--group <column>", "rows that have one value in it stay in one part")
  .optionsGroup("How the file is to be read, where it is read wrongly:")
  .option("--header <yes|no>", "whether the first row has the names of the columns", yesOrNo)
  .option("--delimiter <character>", "between the fields of a row; tab, or space for any blanks", delimiter)
  .addOption(new Option("--decimal <mark>", "of numbers").choices([".", ","]))
  .option("--missing <marks>", "what stands for a missing value, such as ?,N/A", repeatedList)
  .addOption(
    new Option("--dates <order>", "of day, month and year in dates such as 03/04/2024").choices([
      "dmy",
      "mdy",
      "ymd",
    ] satisfies DateOrder[]),
  )
  .option("--encoding <name>", "of the text, such as windows-1252", encoding)
  .option("--member <name>", "the file in an archive, or the sheet of a workbook")
  .option(
    "--max-bytes <size>",
    `most that is read and unpacked (default: ${usualLimits.bytes / 2 ** 30}GB)`,
    bytes,
  )
  .option(
    "--max-cells <count>",
    `most rows × columns (default: ${usualLimits.cells.toLocaleString("en-US")})`,
    integer(1, Number.MAX_SAFE_INTEGER),
  )
  .optionsGroup("Network:")
  .addOption(new Option("--model <kind>", "the network (default: what suits the data)").choices(modelNames))
  .option("--depth <layers>", usually("blocks before the last layer", "depth"), integer(1, 200))
  .option("--width <units>", usually("units, or channels, of a block", "width"), integer(1, 4096))
  .addOption(
    new Option("--activation <name>", "after each normalization").choices(activations).default("relu"),
  )
  .optionsGroup("Comparison:")
  .option("--norms <names>", `see evenkeel norms, or all (default, as fits: ${usualNorms.join(",")})`, list)
  .option("--baseline <norm>", "what the others are compared with (default: none, or the first)")
  .option("--seeds <count>", "trials of each normalization", integer(1, 1000), 3)
  .option(
    "--sweep <setting> <values...>",
    `draw the metric against ${either(sweepSettings)}: --sweep learning-rate 0.001,0.01,0.1`,
    words,
  )
  .option("--reach <metric>", "metric to count epochs to (default: 9/10 of the way to the best)", metricValue)
  .optionsGroup("Training:")
  .option("--epochs <count>", usually("passes over the training data", "epochs"), integer(1, 100_000))
  .option("--batch-size <examples>", "examples per step (default: about 32)", integer(2, 1_000_000))
  .addOption(
    new Option("--optimizer <name>", "how the weights are updated").choices(optimizers).default("sgd"),
  )
  .option(
    "--tune [rates]",
    "each trial tries these learning rates, and goes on with the best on validation (default: a third of the usual rate, the usual one, and three times it)",
    rates,
  )
  .option("--no-tune", "use one learning rate, the usual one")
  .option("--learning-rate <rate>", "use this one; with --tune, try those around it", positiveNumber)
  .optionsGroup("Results:")
  .option("--out <folder>", "where they go (default: evenkeel-report, or the next that is free)")
  .option("--resume <folder>", "go on with the comparison in a folder, with all of its options")
  .option("--threads <count>", "trials that run at a time", integer(1, 1024), availableParallelism())
  .option("--json", "print every number as JSON instead of the table")
  .addHelpText(
    "after",
    `
Examples:
  evenkeel compare --data mine.csv --target price --ignore id --seeds 5
  evenkeel compare --data digits --norms none,batch --sweep batch-size 4,16,64
  evenkeel compare --resume evenkeel-report`,
  );

/** The options as they are typed. */
const typed: [option: string, value: string | null][] = [];
for (const option of compareCommand.options) {
  compareCommand.on(`option:${option.name()}`, (value?: string | null) => {
    typed.push([option.long ?? option.flags, value ?? null]);
  });
}

compareCommand.action(async (parsed: Parsed) => {
  const { data, maxBytes, maxCells, sweep, threads, json = false, out, resume, ...rest } = parsed;
  if (resume !== undefined) {
    const beside = typed.find(([option]) => !["--resume", "--threads", "--json"].includes(option));
    if (beside) {
      throw new UsageError(
        `--resume: every option but --threads and --json is that of the comparison in its folder, got ${beside[0]} beside it; leave it out, or begin anew without --resume`,
      );
    }
    const { resume: goOn } = await import("./node/compare.js");
    process.exitCode = await goOn(resume, { threads, json });
    return;
  }
  const { model, depth, width, activation, norms, baseline, seeds, reach, ...more } = rest;
  const { epochs, batchSize, optimizer, tune, learningRate, ...reading } = more;
  const limits = {
    ...(maxBytes !== undefined && { bytes: maxBytes }),
    ...(maxCells !== undefined && { cells: maxCells }),
  };
  const network = { model, depth, width, activation };
  const training = { epochs, batchSize, optimizer, tune, learningRate };
  const swept = sweep && { sweep: sweepOf(sweep) };
  // TensorFlow.js and the plots take half a second to load, too long for help and usage errors to wait
  const { compare } = await import("./node/compare.js");
  process.exitCode = await compare({
    data,
    reading: { ...reading, ...(Object.keys(limits).length > 0 && { limits }) },
    choices: { ...network, ...training, norms, baseline, seeds, reach, ...swept },
    threads,
    json,
    out,
    typed,
  });
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

outliveReaders();

/** What somebody else wrote (a name, an argument) is part of most messages. */
function complain(message: string, width = Number.POSITIVE_INFINITY): void {
  const lines = printableLines(wrap(`error: ${message}`, width)).slice("error:".length);
  process.stderr.write(`${colorsOf(process.stderr).red("error:")}${lines}\n`);
}

try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) {
    // commander has already printed it
    process.exitCode = error.exitCode === 0 ? 0 : 2;
  } else if (error instanceof UsageError || error instanceof FailureError) {
    complain(error.message, process.stderr.columns);
    process.exitCode = error.exitCode;
  } else if (error instanceof Error && error.name === "CheckpointError") {
    // told by its name, so that the readers are loaded only where they are needed
    complain(error.message, columnsOf(process.stderr));
    process.exitCode = 1;
  } else if (
    error instanceof RangeError &&
    /alloc|invalid (?:array|string|typed array|array buffer)/i.test(error.message)
  ) {
    complain(
      `there is not enough memory for the data (${error.message}); use fewer rows with --limit, or fewer columns with --ignore`,
    );
    process.exitCode = 1;
  } else {
    const trace = error instanceof Error ? (error.stack ?? error.message) : String(error);
    complain(`this is a fault of Evenkeel ${version}: please report it with these lines\n${trace}`);
    process.exitCode = 1;
  }
}
endWithTerminal();
