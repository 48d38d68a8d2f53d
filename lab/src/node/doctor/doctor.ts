/** `evenkeel doctor`: the normalizations of a network's file, what is ill of them, and the file mended once that is checked. */
import { existsSync, mkdirSync, realpathSync, statSync } from "node:fs";
import { open } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { quote } from "@evenkeel/report/format";
import { serverDocument } from "@evenkeel/report/server-document";
import { open as openCheckpoint, type Tensor } from "evenkeel/checkpoints";
import { bytesOfParts, type Model, openModel, type WrittenFile } from "evenkeel/onnx";
import { doctored } from "../../doctor/doctor.js";
import { type Examination, remainsIll } from "../../doctor/examination.js";
import { type ModelFile, piecesOf } from "../../doctor/runtime.js";
import { FailureError, UsageError } from "../../errors.js";
import { renderExamination } from "../../report/doctor.js";
import { colorsOf } from "../colors.js";
import { machine } from "../machine.js";
import { stopOnSignals } from "../signals.js";
import { columnsOf } from "../streams.js";
import { version } from "../version.js";
import { removePartial, systemReason, writeFiles, writeWhole } from "../whole-file.js";
import { openOnnxRuntime } from "./onnx-runtime.js";
import { doctorText } from "./summary.js";

/** The options of the command line, already checked. */
export interface DoctorOptions {
  /** Where the mended file goes. */
  fix?: string;
  /** The runtime whose own operators may be used. */
  for?: "onnxruntime";
  opset?: number;
  /** A file of arrays by the names of the network's inputs. */
  inputs?: string;
  /** Of outputs, relative to their largest value. */
  tolerance?: number;
  /** Write what could not be run before and after. */
  unchecked: boolean;
  json: boolean;
  /** Where the page goes; true for its usual name. */
  html?: string | true;
  strict: boolean;
}

const PAGE = "doctor.html";
const RUNTIME = "ONNX Runtime";
const INSTALL = "npm install onnxruntime-node";
const ONLY_READ = "a graph model of TensorFlow.js is only read";

/** Examines the file, mends it where `fix` is set, and returns the exit code: 1 where `strict` is set and something stays ill. */
export async function doctor(file: string, options: DoctorOptions): Promise<number> {
  const { fix, json, html, strict, tolerance, unchecked } = options;
  checkOptions(options);
  const stop = stopOnSignals();
  const model = await openModel(file);
  if (fix !== undefined) checkOut(model, fix);
  const given = options.inputs === undefined ? undefined : await inputsIn(options.inputs);
  const runtime = model.format === "onnx" ? await openOnnxRuntime() : undefined;
  if (fix !== undefined && runtime === undefined && !unchecked) {
    throw new FailureError(
      `--fix: what is mended is checked in ONNX Runtime, which is not installed; install it by ${INSTALL}, or write what is not checked with --unchecked`,
    );
  }
  const progress = progressOn(process.stderr);
  // what waits for it hears of its end
  const end = () => void runtime?.close();
  stop.signal.addEventListener("abort", end);
  let examination: Examination;
  try {
    const care = {
      evenkeel: version,
      runtime: runtime ?? (model.format === "onnx" ? `${RUNTIME} is not installed: ${INSTALL}` : ONLY_READ),
      beside: besideFiles(model),
      given,
      machine: machine(),
      tolerance,
      progress: progress.say,
      ...(fix !== undefined && {
        mend: { target: options.for, opset: options.opset, name: basename(fix), unchecked },
      }),
    };
    const treatment = await doctored(model, care);
    stop.signal.throwIfAborted();
    examination = treatment.examination;
    if (fix !== undefined && treatment.files !== undefined) {
      progress.say("writing");
      examination.written = await writeOut(fix, treatment.files, care.beside, stop.signal);
    }
  } catch (error) {
    if (stop.signal.aborted) return stop.exitCode() ?? 1;
    throw error;
  } finally {
    progress.end();
    stop.signal.removeEventListener("abort", end);
    await runtime?.close();
    await stop.letGo();
  }
  const page = html === true ? PAGE : html;
  try {
    if (page !== undefined) writeWhole(page, renderExamination(examination, serverDocument), "--html");
  } finally {
    // shown even if the page could not be written
    process.stdout.write(
      json
        ? `${JSON.stringify(examination, null, 1)}\n`
        : doctorText(examination, columnsOf(process.stdout), colorsOf(process.stdout)),
    );
  }
  if (page !== undefined) process.stderr.write(`Page  ${colorsOf(process.stderr).underline(page)}\n`);
  if (fix !== undefined && examination.written.length === 0) {
    const text = `Nothing was written: there is nothing ${examination.mends.length > 0 ? "that could be mended" : "to mend"}`;
    process.stderr.write(`${text}\n`);
  }
  return strict && remainsIll(examination) ? 1 : 0;
}

/** Throws UsageError for what means nothing without --fix. */
function checkOptions({ fix, opset, unchecked, ...options }: DoctorOptions): void {
  if (fix !== undefined) return;
  const alone =
    options.for !== undefined ? "--for" : opset !== undefined ? "--opset" : unchecked && "--unchecked";
  if (!alone) return;
  throw new UsageError(
    `${alone}: is about what --fix writes; name a file by --fix OUT, or leave ${alone} out`,
  );
}

/** Throws UsageError where the mended file cannot go there: before anything takes time. */
function checkOut(model: Model, out: string): void {
  if (model.format !== "onnx") {
    throw new UsageError(
      "--fix: a graph model of TensorFlow.js is mended when it is loaded, and its file stays as it is; call fuse(model) of evenkeel/tfjs",
    );
  }
  if (!/\.onnx$/i.test(out)) {
    throw new UsageError(`--fix: expected a name that ends in .onnx, got ${quote(out, 200)}`);
  }
  const folder = dirname(resolve(out));
  if (!existsSync(folder)) {
    throw new UsageError(`--fix: there is no folder ${quote(dirname(out), 200)}; make it first`);
  }
}

/** Files that the model's tensors lie in, as they lie there. */
function besideFiles({ file, external }: Model): ModelFile[] {
  return external.map((name): ModelFile => {
    // links are followed wherever they lead, as the reader does
    const path = realpathSync(join(dirname(file), name));
    return {
      name,
      path,
      byteLength: statSync(path).size,
      async slice(start, end) {
        const handle = await open(path);
        try {
          const { bytesRead, buffer } = await handle.read(new Uint8Array(end - start), 0, end - start, start);
          if (bytesRead < end - start)
            throw new FailureError(`doctor: ${quote(name, 200)} has become shorter; begin anew`);
          return buffer.buffer;
        } finally {
          await handle.close();
        }
      },
    };
  });
}

/** Arrays by name. @throws UsageError for a file of anything else */
async function inputsIn(path: string): Promise<ReadonlyMap<string, Tensor>> {
  const { format, tensors } = await openCheckpoint(path);
  if (format !== "npz") {
    throw new UsageError(
      `--inputs: expected a file of NumPy's savez, arrays by the names of the inputs, got ${format}; write it with numpy.savez`,
    );
  }
  return tensors;
}

/**
 * Writes the mended file, and beside it what its tensors lie in where that is not there already. The file itself comes last: as long as
 * it is not there, or is still the old one, nothing refers to what is new.
 */
async function writeOut(
  out: string,
  [main, ...others]: readonly WrittenFile[],
  beside: readonly ModelFile[],
  signal: AbortSignal,
): Promise<Examination["written"]> {
  const folder = dirname(out);
  const copied: ModelFile[] = [];
  for (const file of beside) if (!(await isThere(join(folder, file.name), file))) copied.push(file);
  const files = [
    ...copied.map((file) => ({
      path: join(folder, file.name),
      parts: piecesOf(file),
      byteLength: file.byteLength,
    })),
    ...[...others, main].map(({ name, parts, byteLength }) => ({
      path: join(folder, name),
      parts: bytesOfParts(parts),
      byteLength,
    })),
  ];
  try {
    for (const { path } of files) mkdirSync(dirname(path), { recursive: true });
    // of one that was killed
    for (const { path } of files) {
      removePartial(dirname(path), new RegExp(`^${basename(path).replaceAll(/\W/g, "\\$&")}$`));
    }
    (await writeFiles(files, signal)).name();
  } catch (error) {
    if (signal.aborted || (error as NodeJS.ErrnoException).syscall === undefined) throw error;
    throw new FailureError(
      `--fix: cannot write ${quote(out, 200)} (${systemReason(error)}); free space, allow it, or name another file`,
    );
  }
  return files.map(({ path, byteLength }) => ({ name: path, byteLength })).reverse();
}

/**
 * Whether a file that the network's tensors lie in is there already.
 * @throws UsageError where another one has its name
 */
async function isThere(path: string, file: ModelFile): Promise<boolean> {
  if (!existsSync(path)) return false;
  if (realpathSync(path) === file.path) return true;
  if (statSync(path).size === file.byteLength) {
    const there = await open(path);
    try {
      let [at, same] = [0, true];
      for await (const bytes of piecesOf(file)) {
        const { buffer, bytesRead } = await there.read(Buffer.alloc(bytes.length), 0, bytes.length, at);
        same &&= bytesRead === bytes.length && buffer.equals(bytes);
        at += bytesRead;
        if (!same) break;
      }
      if (same) return true;
    } finally {
      await there.close();
    }
  }
  throw new UsageError(
    `--fix: ${quote(path, 200)} is another file than the network's tensors lie in, and would have to be replaced; name another folder`,
  );
}

/** What is done now, where there is a terminal. */
function progressOn(stream: NodeJS.WriteStream) {
  const isShown = stream.isTTY === true;
  return {
    say: (text: string) => {
      if (isShown) stream.write(`\r\u001b[K${text} …`);
    },
    end: () => {
      if (isShown) stream.write("\r\u001b[K");
    },
  };
}
