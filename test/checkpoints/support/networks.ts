/** The networks of the fixtures: what a framework wrote, with what was in it. */
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

export interface DescribedNetwork {
  readonly framework: string;
  readonly version: string;
  /** By format, from the fixture's folder. */
  readonly files: Readonly<Record<string, string>>;
  readonly weights: Readonly<Record<string, { readonly shape: number[]; readonly values: number[] }>>;
  readonly normalizations: readonly { name: string; type: string; options: Record<string, unknown> }[];
}

export const fixtures = fileURLToPath(new URL("../../fixtures/checkpoints/", import.meta.url));

/** Those with normalizations that are named, by folder and file. */
export const networks = readdirSync(fixtures).flatMap((folder) =>
  readdirSync(fixtures + folder)
    .filter((file) => file.endsWith(".json"))
    .flatMap((file) => {
      const network: DescribedNetwork = JSON.parse(readFileSync(`${fixtures}${folder}/${file}`, "utf8"));
      return network.files && network.normalizations?.length > 0 ? [{ folder, file, network }] : [];
    }),
);

/** Normalizations with weights that a file does not tell, by the network's fixture and the format. */
export const untold: Readonly<Record<string, readonly string[]>> = {
  // a weight alone, of a layer whose name says nothing, may be PReLU's slopes
  "pytorch/features.json state dict": ["layer"],
  "pytorch/features.json state dict, legacy": ["layer"],
  "pytorch/features.json safetensors": ["layer"],
  // written out in operations that nothing names
  "tensorflow/keras2.json TensorFlow frozen graph": ["ln", "gn"],
};
