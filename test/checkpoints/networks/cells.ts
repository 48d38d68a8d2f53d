/**
 * What is shown to load: each network of the fixtures in each of its formats, built from its file's architecture or by hand, with the
 * framework's outputs. ../networks.test.ts runs every one; the README's table is made of this list.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { mxnet } from "./mxnet.js";
import type { Network } from "./network.js";
import { onnx } from "./onnx.js";
import { fastai, pytorch, safetensors } from "./pytorch.js";
import { kerasWithoutWeights, tensorflow } from "./tensorflow.js";

export interface Cell {
  /** Whose network it is: pytorch, fastai, keras2 (Keras 1 too), keras3, tensorflow, gluon, mxnet, onnx, tensorflowjs. */
  readonly framework: string;
  readonly format: string;
  /** What it is, in a line. */
  readonly network: string;
  /** `layersModelFrom` the file's architecture, or `loadInto` a model that is built by hand. */
  readonly how: "layersModelFrom" | "loadInto";
  /** The file, and the model to load it into. */
  readonly path: string;
  readonly made?: Network;
  readonly described: Described;
}

interface Listed {
  readonly shape: number[];
  readonly values: number[];
}

/** What a fixture says of itself. */
interface Described {
  readonly framework: string;
  readonly network: string;
  readonly files: Readonly<Record<string, string>>;
  readonly input: Listed | readonly Listed[] | Readonly<Record<string, Listed>>;
  readonly output: Listed | readonly Listed[] | Readonly<Record<string, Listed>>;
}

const root = fileURLToPath(new URL("../../fixtures/checkpoints/", import.meta.url));
const byHand: Readonly<Record<string, Readonly<Record<string, Network>>>> = {
  pytorch,
  safetensors,
  fastai,
  mxnet,
  onnx,
  tensorflow,
};

/** Files that are opened and described elsewhere, and are no network to run here. */
export const without: Readonly<Record<string, string>> = {
  "onnx/microsoft": "normalizations that add a residual, of ONNX Runtime's own",
  "onnx/nested": "a graph that chooses between branches",
  "tensorflow/shards": "two variables without a network",
  "tensorflow/graph frozen.pb": "a kernel in parts",
  "fastai/network version1.pth": "another network than the one described",
};

export const cells: readonly Cell[] = readdirSync(root).flatMap((folder) =>
  readdirSync(join(root, folder))
    .filter((name) => name.endsWith(".json"))
    .flatMap((name) => cellsOf(folder, name.replace(/\.json$/, ""))),
);

function cellsOf(folder: string, name: string): Cell[] {
  const described: Described = JSON.parse(readFileSync(join(root, folder, `${name}.json`), "utf8"));
  if (typeof described.network !== "string" || `${folder}/${name}` in without) return [];
  const { framework, network, files } = described;
  return Object.entries(files)
    .filter(([, file]) => !(`${folder}/${name} ${file.split("/").pop()}` in without))
    .map(([format, file]) => {
      const path = join(root, folder, file);
      const isWeightsOfKeras = /^keras[123]$/.test(folder) && /weights/.test(file);
      const hasArchitecture =
        (/^keras[123]$/.test(folder) && !isWeightsOfKeras) ||
        folder === "tensorflowjs" ||
        (folder === "tensorflow" && name === "keras2" && /SavedModel/.test(format));
      const made = isWeightsOfKeras
        ? kerasWithoutWeights(join(root, folder, `${name}.keras`))
        : byHand[folder]?.[name];
      return {
        framework,
        format,
        network,
        how: hasArchitecture ? "layersModelFrom" : "loadInto",
        path,
        made: hasArchitecture ? undefined : made,
        described,
      };
    });
}
