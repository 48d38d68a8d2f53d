/** Checkpoints to try it on: of the library's tests, written by the frameworks themselves. */

import keras from "../../../test/fixtures/checkpoints/keras2/normalizations.keras?url";
import onnx from "../../../test/fixtures/checkpoints/onnx/torchscript-13.onnx?url";
import pytorch from "../../../test/fixtures/checkpoints/pytorch/images.state.pt?url";
import sick from "../../../test/fixtures/checkpoints/pytorch/layer.module.legacy.pt?url";
import { type Fields, oneOf } from "../ui/address.ts";
import { baseOf } from "./reading.ts";

export interface Sample {
  /** In the address: `#sample=keras`. */
  name: string;
  label: string;
  /** Its name in the tests, below `test/fixtures/checkpoints`. */
  file: string;
  url: string;
}

export const samples: readonly Sample[] = [
  {
    name: "keras",
    label: "Keras",
    file: "keras2/normalizations.keras",
    url: keras,
  },
  {
    name: "pytorch",
    label: "PyTorch",
    file: "pytorch/images.state.pt",
    url: pytorch,
  },
  {
    name: "onnx",
    label: "ONNX",
    file: "onnx/torchscript-13.onnx",
    url: onnx,
  },
  {
    name: "sick",
    label: "A sick layer",
    file: "pytorch/layer.module.legacy.pt",
    url: sick,
  },
];

/** What is shown of a file with a graph. */
export type View = "norms" | "graph";

/** `#sample=onnx&view=graph`; "" is none. */
export const address: Fields<{ sample: string; view: View }> = {
  sample: oneOf(["", ...samples.map(({ name }) => name)], ""),
  view: oneOf<View>(["norms", "graph"], "norms"),
};

/** @throws Error where it does not come */
export async function fetched({ file, url }: Sample): Promise<File> {
  const response = await fetch(url).catch(() => undefined);
  if (!response?.ok)
    throw new Error(`${baseOf(file)}: it cannot be loaded; try again where there is a network`);
  return new File([await response.blob()], baseOf(file));
}
