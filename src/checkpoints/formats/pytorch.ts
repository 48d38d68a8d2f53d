/**
 * PyTorch's files (torch/serialization.py): ZIP archives, legacy files, TorchScript's archives, and plain pickles with tensors or NumPy's
 * arrays in them; fastai's `learn.save` and `learn.export` are such files. Their containers are in pytorch-containers.ts, what is in them
 * in pytorch-objects.ts. Hugging Face's `pytorch_model.bin.index.json` opens all the files that it names, and its `config.json` beside a
 * file is read into `metadata.config`.
 *
 * Refused: the tar archives of 2016, torch.distributed.checkpoint's parts, and pickles without any array.
 */
import type { Format } from "../checkpoint.js";
import { firstEntryOf, isZip } from "../encodings/zip.js";
import { CheckpointError } from "../errors.js";
import { sharded, withConfig } from "./hugging-face.js";
import { contentsOf, PLAIN } from "./pytorch-containers.js";
import { found } from "./pytorch-objects.js";

/** Entries of an archive, below its folder. */
const ARCHIVED =
  /^([^/]+\/)?(data\.pkl|constants\.pkl|model\.json|version|byteorder|\.(format_version|storage_alignment)|(\.data|data|constants|tensors|code)\/.+)$/;

export const pytorch: Format = {
  name: "PyTorch",
  matches(head) {
    if (isZip(head)) return ARCHIVED.test(firstEntryOf(head) ?? "");
    return isPickle(head) || isTar(head);
  },
  async read(files) {
    const head = await files.bytes.read(0, Math.min(512, files.bytes.byteLength));
    if (isTar(head)) {
      throw new CheckpointError(files.name, "PyTorch (tar)", "the tar archives of 2016 are not read", {
        remedy: "load it with PyTorch and save it again with torch.save",
      });
    }
    if (files.name.endsWith(".distcp")) {
      throw new CheckpointError(
        files.name,
        "PyTorch (distributed)",
        "parts of tensors by torch.distributed.checkpoint are not read",
        { remedy: "join them by python -m torch.distributed.checkpoint.format_utils dcp_to_torch" },
      );
    }
    const contents = await contentsOf(files.bytes);
    const { tensors, others, modules, metadata } = await found(contents);
    if (contents.format === PLAIN && tensors.size + others.size === 0) {
      throw new CheckpointError(
        files.name,
        PLAIN,
        "expected tensors or arrays, there are none in the pickle",
        {
          remedy: "save the model's state_dict() with torch.save, or its arrays with numpy.savez",
        },
      );
    }
    const { format, packages } = contents;
    const known = format !== PLAIN || packages.has("torch");
    return {
      format,
      framework: packages.has("fastai") ? "fastai" : known ? "pytorch" : undefined,
      file: files.name,
      byteLength: files.bytes.byteLength,
      metadata: await withConfig(files, metadata),
      tensors,
      others,
      modules,
    };
  },
};

export const pytorchIndex = sharded({
  name: "PyTorch (sharded)",
  ending: ".bin",
  contentsOf: async (bytes) => found(await contentsOf(bytes)),
  frameworkOf: () => "pytorch",
});

/** A pickle of protocol 2 or later begins with its protocol; an earlier one with a container or a class, as text. */
function isPickle(head: Uint8Array): boolean {
  if (head[0] === 0x80) return head[1] >= 2 && head[1] <= 5 && OPCODES.includes(String.fromCharCode(head[2]));
  const text = String.fromCharCode(...head.subarray(0, 128));
  return /^(\((dp?\d*\n|lp?\d*\n|[ciS])|c[\w.]+\n[\w.]+\n[(qp)]|[\]}]q.|L\d+L\n\.)/s.test(text);
}

/** With which a pickle may go on. */
const OPCODES = "(.IJKLMNSTUVXFG]}ctld)\x88\x89\x8a\x8b\x8c\x8f\x95BC\x8e\x96";

/** One of PyTorch's, by the first file in it. */
function isTar(head: Uint8Array): boolean {
  const text = String.fromCharCode(...head.subarray(0, 512));
  return text.slice(257, 262) === "ustar" && /^(\.\/)?(sys_info|pickle|tensors|storages)\0/.test(text);
}
