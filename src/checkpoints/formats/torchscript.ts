/**
 * TorchScript's classes (torch/csrc/jit/docs/serialization.md): objects of `__torch__` in the pickle, whose code lies under `code/`, a file for
 * each module of Python. Of the code the options of layers are read: the constants that a scripted class declares, and what a traced one
 * calls an operator of normalization with. Nothing of it is run.
 */
import type { PickleRecord } from "../encodings/pickle.js";
import type { Bytes } from "../source.js";

/** Of a file of code, and of a constant in it. */
const MOST_CODE = 2 ** 24;
const MOST_CONSTANT = 1000;

type Options = Readonly<Record<string, unknown>>;

/** Whether an object is a module of TorchScript. */
export function isScripted({ module }: PickleRecord): boolean {
  return /^__torch__\b/.test(module) && !module.startsWith("__torch__.torch.classes");
}

/**
 * What the class of an object declares, or calls its operator with. A file of code is read when a class of it is first asked for.
 * @param code the file at a path under `code/`
 */
export function declarations(
  code: (path: string) => Bytes | undefined,
): (object: PickleRecord) => Promise<Options | undefined> {
  const files = new Map<string, Promise<ReadonlyMap<string, Options>>>();
  return async ({ module, name }) => {
    const path = `${module.replaceAll(".", "/")}.py`;
    const classes = files.get(path) ?? classesIn(code(path));
    files.set(path, classes);
    return (await classes).get(name);
  };
}

/** Options of a file's classes. One that is too long is left aside. */
async function classesIn(file: Bytes | undefined): Promise<ReadonlyMap<string, Options>> {
  if (file === undefined || file.byteLength > MOST_CODE) return new Map();
  return declaredIn(new TextDecoder().decode(await file.read()));
}

/** Options by their place in a call of an operator; a traced module has them there alone. */
const OPERATORS = new Map<string, Readonly<Record<string, number>>>([
  ["batch_norm", { momentum: 6, eps: 7 }],
  ["instance_norm", { momentum: 6, eps: 7 }],
  ["group_norm", { num_groups: 1, eps: 4 }],
  ["layer_norm", { normalized_shape: 1, eps: 4 }],
  ["rms_norm", { normalized_shape: 1, eps: 3 }],
]);

/**
 * A scripted class declares its constants, `  eps : Final[float] = 1.0e-05`; a traced one calls
 * `torch.group_norm(input, 2, weight, bias, 1.0e-05)`.
 */
function declaredIn(code: string): Map<string, Options> {
  const classes = new Map<string, [string, unknown][]>();
  let current: [string, unknown][] = [];
  const declare = (option: string, text: string): void => {
    const value = constant(text);
    if (value !== undefined) current.push([option, value]);
  };
  for (const line of code.split("\n")) {
    const [, name] = /^class (\w+)\(/.exec(line) ?? [];
    if (name !== undefined) {
      current = [];
      classes.set(name, current);
    }
    const [, option, text] = /^ {2}([A-Za-z]\w*) : Final\[.*\] = (.*)$/.exec(line) ?? [];
    if (option !== undefined) declare(option, text);
    const [, operator, given] = /^ {4}(?:\w+ =|return) torch\.(\w+)\(([^()]{0,1000})\)$/.exec(line) ?? [];
    const args = given?.split(/, (?![^[]*\])/) ?? [];
    for (const [named, place] of Object.entries(OPERATORS.get(operator) ?? {})) {
      // in evaluation, a momentum of None is traced as 0
      if (place < args.length && !(named === "momentum" && Number(args[place]) === 0))
        declare(named, args[place]);
    }
  }
  return new Map(Array.from(classes, ([name, options]) => [name, Object.fromEntries(options)]));
}

/** A number, boolean, string, None, or a tuple or list of them; undefined for anything else. */
function constant(text: string): unknown {
  if (text.length > MOST_CONSTANT) return undefined;
  const json = text
    .replace(/^\((.*?),?\s*\)$/, "[$1]")
    .replace(/\b(True|False|None)\b/g, (word) => (word === "None" ? "null" : word.toLowerCase()))
    .replace(/(\d)\.(?!\d)/g, "$1.0");
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}
