/** A network of the user's own, from its module: `evenkeel compare my-model.ts`. */
import { spawnSync } from "node:child_process";
import { existsSync, statSync } from "node:fs";
import { basename, extname, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { printable, quote } from "@evenkeel/report/format";
import * as tf from "@tensorflow/tfjs-core";
import type { Form } from "../data/form.js";
import { FailureError, reason, UsageError } from "../errors.js";
import type { Model, ModelSettings } from "../models/model.js";
import { buildNetwork } from "../models/network.js";
import { type OwnArgs, type OwnFacts, type OwnNetwork, ownModel } from "../models/own.js";
import { modelOf } from "../models/registry.js";
import { aboutOf, type NormName, nameOf, placedOf } from "../norms.js";
import { digestOfModule } from "./module-files.js";
import { resolveOwnImports } from "./own-imports.js";
import { startTensorFlow } from "./tensorflow.js";

type ModuleSettings = NonNullable<ModelSettings["module"]>;

/** A module, and what it was found to build. */
export interface OwnModule {
  model: Model;
  module: ModuleSettings;
  /**
   * The same as it fits these examples, tried before anything is trained: the model knows which normalizations have no place
   * in it; `depth` is how many it has a place for, and `notes` what was decided about it, a phrase each.
   * @throws UsageError for a function that fails, or builds no network for such examples
   */
  on(form: Form): {
    model: Model;
    module: ModuleSettings;
    depth: number;
    parameters: number;
    notes: string[];
  };
}

const EXTENSIONS = [".js", ".mjs", ".cjs", ".ts", ".mts", ".cts"];
const TYPESCRIPT = /\.[mc]?ts$/;
/** Characters of a message of somebody else's. */
const SHOWN = 300;
/** Frames of a stack in which the module's own is looked for. */
const FRAMES = 100;

/** Throws UsageError for a file that is not such a module. */
export async function loadOwnModel(path: string): Promise<OwnModule> {
  const whole = resolve(path);
  const file = basename(whole);
  const shown = printable(file).slice(0, SHOWN);
  checkFile(path, whole, file);
  await startTensorFlow();
  resolveOwnImports();
  const module = { path: whole, digest: digestOfModule(whole) };
  const exported = await imported(whole, shown);
  const make = functionOf(exported, shown);
  const name = file.slice(0, -extname(file).length);
  let facts: OwnFacts = { norms: 0, wrapped: 0 };
  const model = ownModel(name, shown, located(make, whole, shown), (found) => {
    facts = found;
  });
  return {
    model,
    module,
    on(form) {
      // two at a time, so that what both have is found
      const parameters = tryOut(model, "none", form, () => tryOut(model, "none", form));
      const { norms, wrapped, takenOff } = facts;
      const problems = new Map<NormName, string | undefined>();
      const unfit = (norm: NormName) => {
        if (!problems.has(norm)) problems.set(norm, missing(norm) ?? problemOf(model, norm, form, shown));
        return problems.get(norm);
      };
      const missing = (norm: NormName) => {
        const { inner } = placedOf(norm) ?? {};
        if (inner === undefined) return undefined;
        const isOfWeights = aboutOf(inner)?.takes === "weight";
        if ((isOfWeights ? wrapped : norms) > 0) return undefined;
        return `${shown}: ${nameOf(norm)}: the network never calls ${isOfWeights ? "norm.weights(layer)" : "norm()"}`;
      };
      const notes = takenOff
        ? [`the last ${takenOff} of ${shown} left out: the loss is computed from what comes before it`]
        : [];
      return { model: { ...model, unfit }, module, depth: norms + wrapped, parameters, notes };
    },
  };
}

/** The model of these settings, whoever it is by. Throws FailureError for a module that has changed. */
export async function modelFor(settings: ModelSettings): Promise<Model> {
  const { module } = settings;
  if (module === undefined) return modelOf(settings);
  const { model, module: now } = await loadOwnModel(module.path);
  if (now.digest === module.digest) return model;
  throw new FailureError(
    `${quote(module.path, SHOWN)} has changed since the comparison was begun; bring back what it was, or begin anew`,
  );
}

/** Its parameters, once it has been built and has computed gradients of two examples. */
function tryOut(model: Model, norm: NormName, form: Form, meanwhile?: () => void): number {
  const settings = { depth: 1, width: 1, activation: "relu" } as const;
  const { model: network } = buildNetwork(model, settings, norm, form, 1);
  try {
    meanwhile?.();
    tf.tidy(() => {
      const x = tf.zeros([2, ...form.input.shape]);
      tf.variableGrads(() => tf.mean(tf.square(network.apply(x, { training: true }) as tf.Tensor)));
    });
    return network.trainableWeights.reduce(
      (sum, { shape }) => sum + shape.reduce<number>((size, length) => size * (length ?? 1), 1),
      0,
    );
  } finally {
    network.dispose();
  }
}

function problemOf(model: Model, norm: NormName, form: Form, file: string): string | undefined {
  try {
    tryOut(model, norm, form);
    return undefined;
  } catch (error) {
    const problem = reason(error).slice(0, SHOWN);
    return problem.startsWith(file) ? problem : `${file}: ${nameOf(norm)}: ${problem}`;
  }
}

function checkFile(path: string, whole: string, file: string): void {
  const shown = quote(path, SHOWN);
  const expected = (problem: string) => {
    throw new UsageError(`compare: ${problem}`);
  };
  if (!existsSync(whole))
    expected(`${shown} is not there; name a module whose default export builds a network`);
  if (!statSync(whole).isFile())
    expected(`${shown} is no file; name a module whose default export builds a network`);
  if (!EXTENSIONS.includes(extname(file))) {
    expected(
      `${shown}: expected a module of JavaScript or TypeScript, which ends in ${EXTENSIONS.slice(0, -1).join(", ")} or ${EXTENSIONS.at(-1)}; to name data, use --data ${shown}`,
    );
  }
}

async function imported(whole: string, file: string): Promise<Record<string, unknown>> {
  try {
    return await withoutAdvice(() => import(pathToFileURL(whole).href));
  } catch (error) {
    const { code } = error as { code?: string };
    if (code === "ERR_UNKNOWN_FILE_EXTENSION" && TYPESCRIPT.test(whole)) {
      throw new UsageError(
        `${file}: TypeScript is read by Node 22.18 and later, and this is Node ${process.versions.node}; use such a Node, or compile it to JavaScript (npx -p typescript tsc ${file}) and name that`,
      );
    }
    if (code === "ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX") {
      throw new UsageError(
        `${at(error, whole, file)}: ${messageOf(error)}; Node takes types away and nothing else: write it without enum, namespace and parameter properties, or compile it to JavaScript`,
      );
    }
    const place = error instanceof SyntaxError ? atSyntax(error, whole, file) : at(error, whole, file);
    throw new UsageError(`${place}: it cannot be imported: ${messageOf(error)}; ${importRemedy(error)}`);
  }
}

/** Node says of modules of either kind how they are better named, and of types that it takes them away; each thread would. */
async function withoutAdvice<T>(run: () => Promise<T>): Promise<T> {
  const { emitWarning } = process;
  process.emitWarning = ((warning: unknown, ...args: unknown[]) => {
    const told = JSON.stringify([warning instanceof Error ? [warning.name, warning.message] : warning, args]);
    if (!/MODULE_TYPELESS_PACKAGE_JSON|ExperimentalWarning/.test(told)) {
      (emitWarning as (...all: unknown[]) => void).call(process, warning, ...args);
    }
  }) as typeof emitWarning;
  try {
    return await run();
  } finally {
    process.emitWarning = emitWarning;
  }
}

function importRemedy(error: unknown): string {
  const { code } = error as { code?: string };
  if (code === "ERR_MODULE_NOT_FOUND" || code === "MODULE_NOT_FOUND") {
    return "take TensorFlow.js from the tf that the function is given, and install whatever else it needs beside it, or beside Evenkeel where a worker runs it";
  }
  const isNoModule = /^(Unexpected token 'export'|Cannot use import statement)/.test(reason(error));
  return isNoModule ? "give the module a name that ends in .mjs" : "mend it, or name another module";
}

/** As `at`: what is no JavaScript is not run, so that Node has to be asked for its line. */
function atSyntax(error: SyntaxError, whole: string, file: string): string {
  const place = at(error, whole, file);
  if (place !== file) return place;
  const { stderr } = spawnSync(process.execPath, ["--check", whole], { encoding: "utf8", timeout: 10_000 });
  const told = new SyntaxError();
  told.stack = stderr ?? "";
  return at(told, whole, file);
}

/** A default export, or that of a CommonJS module compiled from one. */
function functionOf(exported: Record<string, unknown>, file: string): OwnNetwork {
  const { default: given } = exported;
  const found = (given as { default?: unknown } | undefined)?.default ?? given;
  if (typeof found === "function") return found as OwnNetwork;
  const got =
    found === undefined
      ? `no default export${namesOf(exported)}`
      : `a default export that is ${kindOf(found)}`;
  throw new UsageError(
    `${file}: expected a default export that is a function, got ${got}; write: export default ({ norm, inputShape, outputs, tf }) => tf.sequential({ layers: [...] })`,
  );
}

function namesOf(exported: Record<string, unknown>): string {
  const names = Object.keys(exported).filter((name) => name !== "default");
  return names.length === 0 ? "" : ` beside ${quote(names.join(", "), 80)}`;
}

const kindOf = (value: unknown): string =>
  value === null ? "null" : typeof value === "object" ? "an object" : `a ${typeof value}`;

/** The function, whose errors say where in the file they came from. */
function located(make: OwnNetwork, whole: string, file: string): OwnNetwork {
  return (args: OwnArgs) => {
    const { stackTraceLimit } = Error;
    // below are the frames of TensorFlow.js
    Error.stackTraceLimit = FRAMES;
    try {
      return make(args);
    } catch (error) {
      if (error instanceof UsageError) throw error;
      throw new UsageError(`${at(error, whole, file)}: ${messageOf(error)}`, { cause: error });
    } finally {
      Error.stackTraceLimit = stackTraceLimit;
    }
  };
}

const messageOf = (error: unknown): string => {
  const [line] = reason(error).split("\n");
  const name = error instanceof Error && error.name !== "Error" ? `${error.name}: ` : "";
  return bounded(`${name}${line}`);
};

const bounded = (text: string): string => {
  const clean = printable(text);
  return clean.length > SHOWN ? `${clean.slice(0, SHOWN)}…` : clean;
};

/** The file, with the line where the error was thrown, as far as its stack says. */
function at(error: unknown, whole: string, file: string): string {
  const stack = error instanceof Error ? (error.stack ?? "") : "";
  for (const place of [pathToFileURL(whole).href, whole]) {
    const from = stack.indexOf(`${place}:`);
    const [, line] = from < 0 ? [] : (/^(\d+)/.exec(stack.slice(from + place.length + 1)) ?? []);
    if (line !== undefined) return `${file}:${line}`;
  }
  return file;
}
