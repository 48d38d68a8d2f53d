#!/usr/bin/env node
/** The command line of the lab. Exit codes: 0 done, 1 failure (or, with --strict, sickness), 2 usage, 130, 143 and 129 stopped by Ctrl-C, SIGTERM and SIGHUP. */
import { existsSync } from "node:fs";
import { availableParallelism, hostname } from "node:os";
import { typed as argumentOf, listed, quote, wrap } from "@evenkeel/report/format";
import { Command, CommanderError, Help, Option } from "commander";
import type { Choices } from "./comparison.js";
import { FailureError, UsageError } from "./errors.js";
import { modelNames, models } from "./models/registry.js";
import { colorsOf } from "./node/colors.js";
import { describedData } from "./node/datasets.js";
import type { DiagnoseOptions } from "./node/diagnose.js";
import type { DoctorOptions } from "./node/doctor/doctor.js";
import type { InspectOptions } from "./node/inspect.js";
import { listText } from "./node/norm-list.js";
import {
  anyNumber,
  bytes,
  checkpoint,
  choice,
  decimal,
  delimiter,
  either,
  factor,
  integer,
  limitsOf,
  list,
  metricValue,
  page,
  positiveNumber,
  type QueueChoices,
  queueOf,
  type ReadingOptions,
  rates,
  readingOf,
  repeated,
  repeatedList,
  report,
  saveEvery,
  share,
  sweepOf,
  withData,
  withFormat,
  withQueue,
  words,
  yesOrNo,
} from "./node/options.js";
import type { PredictOptions } from "./node/predict.js";
import type { WorkerOptions } from "./node/queue/worker.js";
import type { RecipeOptions } from "./node/recipes.js";
import type { StandardizeOptions } from "./node/standardize.js";
import type { StreamOptions } from "./node/stream/stream.js";
import { columnsOf, endWithTerminal, outliveReaders, printableLines } from "./node/streams.js";
import { version } from "./node/version.js";
import { usualNorms } from "./norms.js";
import { activations, optimizers, sweepSettings, usualDiagnosis } from "./settings.js";

const usually = (text: string, name: "depth" | "width" | "epochs") => {
  const [some] = modelNames;
  return `${text} (default: by the network, ${models[some].usual[name]} for ${some})`;
};

const cores = availableParallelism();
/** Each loads TensorFlow.js, which takes longer than it saves where there are many more than cores. */
const MOST_THREADS = Math.max(16, 4 * cores);

/** Characters of a word that say enough, and the rest of it. */
const LONG = /(\S{200})\S+/g;

/** Columns that are left for what an option does before it goes below its name. */
const LEAST_COLUMNS = 40;

/** A line of the help: where the terminal is narrow commander would not wrap it at all. */
function itemOf(term: string, termWidth: number, description: string, help: Help): string {
  const width = help.helpWidth ?? columnsOf(process.stdout);
  if (width - termWidth - 4 >= LEAST_COLUMNS) {
    return Help.prototype.formatItem.call(help, term, termWidth, description, help);
  }
  return `  ${term}\n${help.boxWrap(description, Math.max(LEAST_COLUMNS / 2, width - 4)).replaceAll(/^/gm, "    ")}`;
}

const program = new Command("evenkeel")
  .description(
    "Shows what each normalization does to a network's training on real data, and what trained networks hold.",
  )
  .version(version)
  .showHelpAfterError("(--help lists the options)")
  .configureHelp({
    formatItem: itemOf,
    minWidthToWrap: LEAST_COLUMNS / 2,
    // that a switch is off goes without saying
    optionDescription(option) {
      return Help.prototype.optionDescription.call(this, option).replace(/ \(default: false\)$/, "");
    },
  })
  // what was typed is part of its errors, of any length
  .configureOutput({
    writeErr: (text) => process.stderr.write(printableLines(text.replaceAll(LONG, "$1…"))),
  })
  .exitOverride();

/** What commander makes of the options of `diagnose`. */
interface Diagnosed extends Omit<DiagnoseOptions, "reading">, ReadingOptions {
  data?: string;
}

/** What commander makes of the options of `predict`. */
type Predicted = Omit<PredictOptions, "read"> & ReadingOptions;

/** What commander makes of the options of `compare`. */
interface Parsed extends ReadingOptions, QueueChoices, Omit<Choices, "sweep" | "own" | "save"> {
  data: string;
  save?: string;
  sweep?: string[];
  threads: number;
  json?: boolean;
  out?: string;
  resume?: string;
}

const compareCommand = program
  .command("compare")
  .usage("[module] ...")
  .description(
    "Train one network with each of several normalizations on your data, and report what each one does.",
  )
  .argument(
    "[module]",
    "your own network: a module whose default export builds it (.js, or .ts from Node 22.18)",
  )
  // so that it can be told what is meant instead
  .allowExcessArguments()
  .optionsGroup("Data:")
  .option(
    "--data <name|file>",
    `${describedData.map(({ name }) => name).join(", ")}, or a file: CSV and other text, ARFF, JSON, Parquet, Arrow, Excel, zipped or not`,
    "digits",
  );
withData(compareCommand)
  .option(
    "--offset <number>",
    "added to every input after it was standardized, to see what that does",
    anyNumber,
  )
  .optionsGroup("Comparison:")
  .option(
    "--norms <names>",
    `those of evenkeel norms, or all (default, as fits: ${usualNorms.join(",")})`,
    list,
  )
  .option("--baseline <norm>", "what the others are compared with (default: none, or else the first)")
  .option(
    "--seeds <count>",
    "trials of each normalization, with other initial weights and, unless time says which, held-out rows",
    integer(1, 1000),
    3,
  )
  .option(
    "--sweep <setting> <values...>",
    `train at several values of ${either(sweepSettings)} too: --sweep learning-rate 0.001,0.01,0.1`,
    words,
  )
  .option(
    "--reach <value>",
    "count epochs until the metric has this value (default: 9/10 of the way from guessing to the best)",
    metricValue,
  )
  .optionsGroup("Network:")
  .addOption(choice("--model <kind>", "the network (default: what suits the data)", modelNames))
  .option("--depth <layers>", usually("hidden layers, each with its normalization", "depth"), integer(1, 200))
  .option("--width <units>", usually("units, or channels, of a hidden layer", "width"), integer(1, 4096))
  .addOption(choice("--activation <name>", "after each normalization (default: relu)", activations))
  .optionsGroup("Training:")
  .option("--epochs <count>", usually("passes over the training data", "epochs"), integer(1, 100_000))
  .option("--batch-size <examples>", "examples per step (default: about 32)", integer(1, 1_000_000))
  .addOption(
    choice("--optimizer <name>", "how the weights are updated (default: by the network)", optimizers),
  )
  .option(
    "--tune [rates]",
    "each trial tries these learning rates, and continues with the best on validation (default: a third of the usual rate, the usual one, and three times it)",
    rates,
  )
  .option("--no-tune", "use one learning rate, the usual one")
  .option("--lr, --learning-rate <rate>", "use this rate; with --tune, try those around it", positiveNumber)
  .option("--warm-up <share>", "of the steps, over which the learning rate rises (default: 0)", share)
  .optionsGroup("Results:")
  .option("--save <folder>", "keep the best network of each normalization, for evenkeel predict")
  .option("--out <folder>", "where the report goes (default: evenkeel-report, or the next that is free)")
  .option("--resume <folder>", "continue the comparison in a folder, with all of its options")
  .option("--json", "print every number as JSON instead of the table")
  .option("--threads <count>", "trials that run at a time", integer(1, MOST_THREADS), cores);
withQueue(compareCommand).option(
  "--cancel",
  "with --resume: take its trials off the queue, and report what is finished",
);
withFormat(compareCommand)
  .optionsGroup("Options:")
  .addHelpText(
    "after",
    `
Examples:
  evenkeel compare --data mine.csv --target price --ignore id --seeds 5
  evenkeel compare --data digits --norms none,batch --sweep batch-size 4,16,64
  evenkeel compare my-model.js --data mine.csv --save networks
  evenkeel compare --resume evenkeel-report`,
  );

/** The options as they are typed. */
const typed: [option: string, value: string | null][] = [];
for (const option of compareCommand.options) {
  compareCommand.on(`option:${option.name()}`, (value?: string | null) => {
    typed.push([option.long ?? option.flags, value ?? null]);
  });
}

/** Those that may be there several times: each adds to what was there. */
const REPEATED = ["--norms", "--ignore", "--keep", "--categorical", "--numeric", "--missing", "--sweep"];
/** Those beside --resume: no number depends on them. */
const BESIDE_RESUME = [
  ...["--threads", "--json", "--max-bytes", "--max-cells"],
  ...["--queue", "--share", "--on-stop", "--cancel"],
];

/** What a module is called. */
const MODULE = /\.[mc]?[jt]s$/i;

/** Throws UsageError for what would be passed over without a word. */
function checkTyped([module, ...others]: readonly string[]): void {
  const unexpected = module === undefined || MODULE.test(module) ? others[0] : module;
  if (unexpected !== undefined) {
    const meant = MODULE.test(unexpected)
      ? "one network at a time"
      : existsSync(unexpected)
        ? `did you mean --data ${argumentOf(unexpected)}?`
        : "several values of one option are separated by commas alone, such as --norms none,layer";
    throw new UsageError(`compare: ${quote(unexpected)} belongs to no option; ${meant}`);
  }
  const values = new Map<string, string>();
  for (const [option, value] of typed) {
    if (REPEATED.includes(option)) continue;
    const name = option.replace(/^--no-/, "--");
    const shown = value === null ? option : `${option} ${quote(value)}`;
    const before = values.get(name);
    if (before !== undefined && before !== shown) {
      throw new UsageError(`${name}: expected once, got ${before} and ${shown}; leave one of them out`);
    }
    values.set(name, shown);
  }
}

compareCommand.action(async (module: string | undefined, parsed: Parsed, { args }: Command) => {
  const { data, sweep, threads, json = false, out, resume, save, ...others } = parsed;
  const { queue: _queue, share: _share, onStop: _onStop, cancel, ...rest } = others;
  const swept = sweep && { sweep: sweepOf(sweep) };
  checkTyped(args);
  if (resume !== undefined) {
    const beside = typed.find(([option]) => option !== "--resume" && !BESIDE_RESUME.includes(option));
    if (beside) {
      throw new UsageError(
        `--resume: every option but ${listed(BESIDE_RESUME)} is that of the comparison in its folder, got ${beside[0]} beside it; leave it out, or begin anew without --resume`,
      );
    }
    const { resume: goOn } = await import("./node/compare.js");
    process.exitCode = await goOn(resume, {
      threads,
      json,
      queue: queueOf(parsed),
      limits: limitsOf(parsed),
    });
    return;
  }
  if (cancel) {
    throw new UsageError(
      "--cancel: takes the trials of a comparison off their queue; name its folder by --resume",
    );
  }
  const { model, depth, width, activation, norms, baseline, seeds, reach, ...more } = rest;
  const { epochs, batchSize, optimizer, tune, learningRate, warmUp, ...reading } = more;
  const network = { model, depth, width, activation };
  const training = { epochs, batchSize, optimizer, tune, learningRate, warmUp };
  // TensorFlow.js and the plots take half a second to load, too long for help and usage errors to wait
  const { compare } = await import("./node/compare.js");
  if (module !== undefined && (model ?? depth ?? width ?? activation) !== undefined) {
    throw new UsageError(
      `compare: --model, --depth, --width and --activation are of the lab's own networks, got one of them beside ${quote(module)}; leave it out`,
    );
  }
  process.exitCode = await compare({
    data,
    ...(module !== undefined && { module }),
    reading: readingOf(reading),
    choices: { ...network, ...training, norms, baseline, seeds, reach, ...swept },
    threads,
    queue: queueOf(parsed),
    json,
    out,
    save,
    typed,
  });
});

const predictCommand = program
  .command("predict")
  .description("What a network that compare --save kept says of the rows of a file.")
  .argument("<folder>", "that --save wrote: of all normalizations, or of one")
  .argument("<file>", "a name or a file: rows, series or text, as in training")
  .option("--norm <name>", "of which normalization (default: the best on validation)")
  .option("--layers <file>", "a module that registers the classes of the network's own layers")
  .option("--out <file>", "write the predictions there instead of the screen")
  .option("--top <count>", "items that are recommended to each user (default: 10)", integer(1, 10_000))
  .option("--characters <count>", "that continue a text (default: 200)", integer(1, 100_000))
  .option("--json", "as JSON instead of CSV", false);
withFormat(predictCommand).action(async (folder: string, file: string, options: Predicted) => {
  const { predict } = await import("./node/predict.js");
  const { norm, layers, out, top, characters, json, ...reading } = options;
  process.exitCode = await predict(folder, file, {
    ...{ norm, layers, out, top, characters, json },
    read: readingOf(reading),
  });
});

const diagnoseCommand = program
  .command("diagnose")
  .description(
    "Show where the gradient of a saved network vanishes or explodes and where its units die, before training and over the first steps.",
  )
  .argument("<model>", "a layers model of TensorFlow.js (its model.json or folder), or .keras or .h5")
  .option("--layers <file>", "a module that registers the classes of the network's own layers")
  .option("--try [norms]", "train it with normalizations put in too (default: what is proposed)", list)
  .option("--html [out]", "write a page with plots by depth too (default: diagnosis.html)", page)
  .option("--json", "print every number as JSON", false)
  .optionsGroup("Training:")
  .option("--steps <count>", "training steps", integer(0, 100_000), usualDiagnosis.steps)
  .option("--batch-size <examples>", "examples per step", integer(1, 100_000), usualDiagnosis.batchSize)
  .addOption(
    choice("--optimizer <name>", "how the weights are updated", optimizers).default(usualDiagnosis.optimizer),
  )
  .option("--lr, --learning-rate <rate>", "default: 0.01, of adam 0.001", positiveNumber)
  .option("--seed <number>", "of the batches", integer(0, 1e9), usualDiagnosis.seed)
  .optionsGroup("Data:")
  .option("--data <name|file>", "what it is trained on (default: random examples)")
  .option("--raw", "take numbers as the file has them, without standardizing them", false);
withData(diagnoseCommand);
withFormat(diagnoseCommand).action(async (model: string, options: Diagnosed) => {
  const { diagnose } = await import("./node/diagnose.js");
  const { layers, data, raw, steps, batchSize, optimizer, learningRate, seed, html, json, ...rest } = options;
  const { try: tried, ...reading } = rest;
  process.exitCode = await diagnose(model, {
    ...{ layers, data, raw, steps, batchSize, optimizer, learningRate, seed, html, json, try: tried },
    reading: readingOf(reading),
  });
});

program
  .command("worker")
  .description("Run trials that compare --queue puts on a queue, on this machine.")
  .option("--queue <url>", "redis://host or postgres://host/database (default: EVENKEEL_QUEUE)")
  .option("--threads <count>", "trials that run at a time", integer(1, MOST_THREADS), cores)
  .option("--share <folder>", "where the data are, if compare was given one")
  .option("--cache <folder>", "where data are kept (default: a folder for temporary files)")
  .option(
    "--lease <seconds>",
    "after which the trials of a silent worker are given to others",
    integer(2, 86_400),
    30,
  )
  .option(
    "--patience <seconds>",
    "after which a trial without a sign of life is ended",
    integer(1, 86_400),
    600,
  )
  .action(async ({ queue = process.env.EVENKEEL_QUEUE, ...options }: Partial<WorkerOptions>) => {
    if (queue === undefined) {
      throw new UsageError(
        "worker: expected --queue with a URL such as redis://host, or one in EVENKEEL_QUEUE, got none",
      );
    }
    const { work } = await import("./node/queue/worker.js");
    process.exitCode = await work({ ...(options as WorkerOptions), queue });
  });

program
  .command("standardize")
  .description(
    "Standardize the columns of numbers of tables of any size: their moments in one scan, and the tables themselves.",
  )
  .argument("<files...>", "Parquet, CSV (.gz too) or JSON files, also as patterns: 'data/*.parquet'")
  .option("--out <folder>", "write the standardized tables there, as Parquet, and standardizer.json")
  .option("--moments <file>", "write standardizer.json there, without tables")
  .option("--json", "print standardizer.json instead of the table", false)
  .optionsGroup("Columns:")
  .option("--columns <columns>", "standardize these (default: all that are numbers): a,b", repeated)
  .option("--ignore <columns>", "leave these as they are: a,b or as often as needed", repeated)
  .option("--by <column>", "standardize each group of rows with the same value in this column by itself")
  .option("--weights <column>", "rows count by the weight in this column")
  .option("--missing <marks>", "what stands for a missing value in CSV, such as ?,N/A", repeatedList)
  .option("--decimal <mark>", 'of numbers in CSV: "." or ","', decimal)
  .optionsGroup("Tables:")
  .option("--with <file>", "standardize as a standardizer.json that was made before, of training data")
  .option("--float32", "write standardized columns as float32 instead of float64", false)
  .optionsGroup("Machine:")
  .option("--memory <size>", "most that DuckDB holds, such as 1GB (default: half of the machine's)", bytes)
  .option("--threads <count>", "that read and write", integer(1, MOST_THREADS), cores)
  .addHelpText(
    "after",
    `
Examples:
  evenkeel standardize 'data/*.parquet'
  evenkeel standardize train.csv --ignore id --out scaled
  evenkeel standardize test.csv --with scaled/standardizer.json --out scaled-test`,
  )
  .action(async (files: string[], options: StandardizeOptions) => {
    const { standardize } = await import("./node/standardize.js");
    process.exitCode = await standardize(files, options);
  });

program
  .command("stream")
  .description("Standardize, watch for drift and learn, record by record, what comes without end.")
  .option("--from <source>", "- for standard input, a file, or redis://host/0/stream: NDJSON or CSV", "-")
  .option("--columns <names>", "the inputs, or names of all fields where no line has them", list)
  .option("--ignore <columns>", "leave columns out: a,b or as often as needed", list)
  .option("--time <column>", "when each record was measured: goes with it to the output")
  .option("--header <yes|no>", "whether the first line has the names of the columns", yesOrNo)
  .option("--delimiter <character>", "between the fields of CSV; tab, comma, semicolon or pipe", delimiter)
  .option("--forgetting <factor>", "each record multiplies all older weights by it (default: 1)", factor)
  .option("--half-life <records>", "after so many more, a record counts half", positiveNumber)
  .optionsGroup("Learning:")
  .option("--learn <column>", "predict it, and then learn from it")
  .option("--classes <names>", "the values of --learn, where they are names: no,yes", list)
  .option("--norm <name>", "between the layers (default: layer)")
  .option("--depth <layers>", "hidden layers (default: 4)", integer(1, 200))
  .option("--width <units>", "of a hidden layer (default: 32)", integer(1, 4096))
  .addOption(choice("--optimizer <name>", "how the weights are updated (default: adam)", optimizers))
  .option("--lr, --learning-rate <rate>", "default: 0.002", positiveNumber)
  .option("--batch-size <records>", "records per step (default: 32)", integer(1, 100_000))
  .option("--seed <number>", "of the initial weights (default: 1)", integer(0, 1e9))
  .option("--no-compare", "do not learn without normalization beside it")
  .optionsGroup("Drift:")
  .option(
    "--drift-chance <share>",
    "false alarms to expect in a million records; 0 does not watch (default: 0.01)",
    share,
  )
  .option("--drift-block <records>", "that are compared at a time (default: 64)", integer(16, 1_000_000))
  .optionsGroup("Results:")
  .option("--out <place>", "- for standard output, a file, or redis://host/0/stream", "-")
  .addOption(choice("--format <name>", "of the output (default: that of the input)", ["ndjson", "csv"]))
  .option("--report [out]", "write a page at the end (default: stream.html)", report)
  .option("--limit <records>", "end after so many, those before a restart included", integer(1, 1e15))
  .optionsGroup("Restarts:")
  .option("--state <file>", "where the stream is kept, to go on from after an end at any moment")
  .addOption(
    new Option("--save-every <count>", "records, or seconds such as 10s, between two saves")
      .argParser(saveEvery)
      .default({ seconds: 10 }, "10s"),
  )
  .option("--goes-on", "standard input goes on where it was, rather than beginning anew", false)
  .optionsGroup("Streams of Redis:")
  .option("--group <name>", "of consumers, who share the entries", "evenkeel")
  .addOption(
    new Option("--consumer <name>", "of this one in the group").default(
      hostname(),
      "the name of this machine",
    ),
  )
  .option("--claim-after <seconds>", "take over what another one left", integer(1, 86_400), 60)
  .option("--stop-at-end", "end where the stream has no more entries, rather than wait", false)
  .addHelpText(
    "after",
    `
Examples:
  evenkeel stream < sensor.csv > standardized.csv
  mosquitto_sub -t plant/1 | evenkeel stream --learn load --state plant.state --goes-on --report
  evenkeel stream --from redis://localhost/0/readings --out redis://localhost/0/predictions --state a.state`,
  )
  .action(async (options: StreamOptions) => {
    const { stream } = await import("./node/stream/stream.js");
    process.exitCode = await stream(options);
  });

program
  .command("recipes")
  .description("List questions about normalizations that one command answers.")
  .action(async () => {
    const { listRecipes } = await import("./node/recipes.js");
    process.stdout.write(listRecipes(columnsOf(process.stdout)));
  });

const recipeCommand = program
  .command("recipe")
  .description("Ask one of these questions: train, answer it, and report.")
  .argument("<name>", "one of evenkeel recipes")
  .option("--out <folder>", "where the report goes (default: evenkeel-NAME); what is there is gone on with")
  .option("--threads <count>", "trials that run at a time", integer(1, MOST_THREADS), cores)
  .option("--json", "print every number as JSON instead of the table", false);
withQueue(recipeCommand).action(
  async (name: string, { queue, share, onStop, ...options }: Omit<RecipeOptions, "queue"> & QueueChoices) => {
    const { runRecipe } = await import("./node/recipes.js");
    process.exitCode = await runRecipe(name, { ...options, queue: queueOf({ queue, share, onStop }) });
  },
);

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
  .command("doctor")
  .description(
    "Find the normalizations in a network's file, say which are ill, and write the file mended once that is checked.",
  )
  .argument("<file>", "an ONNX model, or the model.json of a graph model of TensorFlow.js", checkpoint)
  .option("--json", "print every number as JSON instead of the summary", false)
  .option("--html [out]", "write a page with plots by depth too (default: doctor.html)", page)
  .option("--strict", "exit with 1 where something is ill and not mended", false)
  .optionsGroup("Mending:")
  .option("--fix <out>", "write the mended file there")
  .addOption(choice("--for <runtime>", "use its own operators too", ["onnxruntime"]))
  .option("--opset <version>", "raise the model's operator set to this one", integer(7, 23))
  .option(
    "--tolerance <share>",
    "most that an output may move (default: by type, 1e-5 of float32)",
    positiveNumber,
  )
  .option("--unchecked", "write what could not be run before and after, too", false)
  .optionsGroup("Running it:")
  .option("--inputs <file>", "arrays by the names of the network's inputs, of numpy.savez (default: made)")
  .addHelpText(
    "after",
    `
Examples:
  evenkeel doctor model.onnx --html
  evenkeel doctor model.onnx --fix mended.onnx
  evenkeel doctor model.onnx --fix mended.onnx --for onnxruntime --inputs examples.npz`,
  )
  .action(async (file: string, options: DoctorOptions) => {
    const { doctor } = await import("./node/doctor/doctor.js");
    process.exitCode = await doctor(file, options);
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
