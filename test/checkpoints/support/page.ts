/** What runs inside the browser for page.browser.ts: bundled, and called as `page`. */
import { type Checkpoint, open, writeNpz, writeSafetensors } from "evenkeel/checkpoints";

/** What a page sees of a file: its tensors' first values and their sums. */
export interface Seen {
  format: string;
  file: string;
  tensors: [name: string, first: number, sum: number][];
  modules: string[];
}

async function seen({ format, file, tensors, modules }: Checkpoint): Promise<Seen> {
  const values: Seen["tensors"] = [];
  for (const [name, tensor] of tensors) {
    const numbers = Array.from((await tensor.read()) as ArrayLike<number | bigint>, Number);
    values.push([name, numbers[0], numbers.reduce((sum, value) => sum + value, 0)]);
  }
  return { format, file, tensors: values, modules: modules.map(({ name }) => name) };
}

const fetched = async (url: string) => (await fetch(url)).blob();

async function openBlob(url: string): Promise<Seen> {
  return seen(await open(await fetched(url)));
}

async function openFile(url: string, name: string): Promise<Seen> {
  return seen(await open(new File([await fetched(url)], name)));
}

async function openFiles(folder: string, names: string[]): Promise<Seen> {
  const files = names.map(async (name) => new File([await fetched(`${folder}/${name}`)], name));
  return seen(await open(await Promise.all(files)));
}

/** The files that a user picked: a FileList. */
async function openPicked(): Promise<Seen> {
  const { files } = document.querySelector("input") as HTMLInputElement;
  return seen(await open(files as FileList));
}

/** By requests of ranges; how many bytes came. */
async function openRanges(url: string, name: string): Promise<{ values: number[]; received: number }> {
  const { headers } = await fetch(url, { method: "HEAD" });
  let received = 0;
  const { tensors } = await open({
    byteLength: Number(headers.get("content-length")),
    async slice(start, end) {
      const response = await fetch(url, { headers: { range: `bytes=${start}-${end - 1}` } });
      const bytes = await response.arrayBuffer();
      received += bytes.byteLength;
      return bytes;
    },
  });
  const values = Array.from((await tensors.get(name)?.read()) as Float32Array);
  return { values, received };
}

/** Written in the page and read again. */
async function written(): Promise<Seen[]> {
  const tensors = [["a", { shape: [2], data: Float32Array.of(1.5, -2) }]] as const;
  return Promise.all(
    [writeSafetensors(tensors), writeNpz(tensors)].map(async (bytes) => seen(await open(bytes))),
  );
}

/** A message, of what cannot be opened. */
async function refused(url: string | null): Promise<string> {
  try {
    await open(url ?? new Uint8Array(16));
  } catch (error) {
    return `${(error as Error).name}: ${(error as Error).message}`;
  }
  return "opened";
}

export const page = { openBlob, openFile, openFiles, openPicked, openRanges, written, refused };
Object.assign(globalThis, { page });
