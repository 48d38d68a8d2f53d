/**
 * What runs networks: ONNX Runtime in a process of its own, or in a page. It may refuse a file, hang with it or end with it, and says
 * so by a RuntimeError; nothing of that ends the program.
 */
import type { Values } from "evenkeel/checkpoints";

/** A tensor in memory. */
export interface TensorData {
  /** As `evenkeel/checkpoints` names types. */
  readonly dtype: string;
  readonly shape: readonly number[];
  /** Row-major; float16 as float32, bool as uint8. */
  readonly values: Values;
}

/** Tensors by the names of the inputs or outputs that they are for. */
export type Tensors = Readonly<Record<string, TensorData>>;

/** An input or output of a network. */
export interface Port {
  readonly name: string;
  readonly dtype: string;
  /** A length is a number, or a name where it is open; "" is open without a name. */
  readonly shape: readonly (number | string)[];
}

/** A file of a network; a source for `evenkeel/onnx`. */
export interface ModelFile {
  /** Its path from the folder of the network. */
  readonly name: string;
  readonly byteLength: number;
  slice(start: number, end: number): Promise<ArrayBuffer> | ArrayBuffer;
  /** Where it lies already, just so, on the machine that the runtime is on. */
  readonly path?: string;
}

/** So many bytes of a file are held at once. */
const STEP = 2 ** 22;

/** The bytes of a file, one piece after the other. */
export async function* piecesOf({ byteLength, slice }: ModelFile): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < byteLength; at += STEP) {
    yield new Uint8Array(await slice(at, Math.min(byteLength, at + STEP)));
  }
}

/** A network that is ready to run. */
export interface Session {
  readonly inputs: readonly Port[];
  readonly outputs: readonly Port[];
  /**
   * The outputs of these names, by default all; of several networks at a time in turns.
   * @throws RuntimeError
   */
  run(feeds: Tensors, outputs?: readonly string[]): Promise<Tensors>;
  /** ms that each of so many runs takes. @throws RuntimeError */
  time(feeds: Tensors, turns: number): Promise<number[]>;
  close(): Promise<void>;
}

/** What runs networks. */
export interface Runtime {
  /** Such as "onnxruntime-node". */
  readonly name: string;
  readonly version: string;
  /**
   * Reads a network, with the runtime's own optimizations as they are by default.
   * @param files the network's own file first, then those that its tensors lie in
   * @throws RuntimeError
   */
  open(files: readonly ModelFile[]): Promise<Session>;
  close(): Promise<void>;
}

/** That a network could not be read or run, and how that ended. */
export class RuntimeError extends Error {
  override readonly name = "RuntimeError";

  /** @param how "refused" with a message of the runtime's; "hung" past its time; "died" with its process, "memory" for too much of it */
  constructor(
    readonly how: "refused" | "hung" | "died" | "memory",
    message: string,
  ) {
    super(message);
  }
}
