/** The reader of pickles: every protocol and opcode, and that nothing in a pickle is run. */
import { describe, expect, it } from "vitest";
import {
  entriesOf,
  isBytes,
  PickleGlobal,
  PickleRecord,
  type PickleValue,
  unpickle,
} from "../../../src/checkpoints/encodings/pickle.js";
import { bytesInMemory } from "../../../src/checkpoints/source.js";

/** Of a text with a character for each byte. */
const bytesOf = (text: string) =>
  bytesInMemory(
    "file",
    Uint8Array.from(text, (character) => character.charCodeAt(0)),
    0,
  );
const pickle = (text: string) => unpickle("pickle", bytesOf(text));
const value = async (text: string) => (await pickle(text)).value;
const refused = (text: string) =>
  pickle(text).then(
    () => "read",
    (error: Error) => error.message,
  );

/** Values as JSON has them, records as what was called with what. */
async function shown(value: PickleValue): Promise<unknown> {
  if (value instanceof PickleGlobal) return value.path;
  if (value instanceof PickleRecord) {
    const [state, items, entries] = [value.state, value.items, value.entries];
    return {
      called: await shown(value.called),
      args: await shown(value.args),
      ...(state === null ? {} : { state: await shown(state) }),
      ...(items ? { items: await shown(items) } : {}),
      ...(entries ? { entries: await shown(entries) } : {}),
    };
  }
  if (Array.isArray(value)) return Promise.all(value.map(shown));
  if (value instanceof Set) return { set: await Promise.all([...value].map(shown)) };
  if (value instanceof Map) {
    return Promise.all(Array.from(value, async ([key, one]) => [await shown(key), await shown(one)]));
  }
  return isBytes(value) ? value.read() : value;
}
const read = async (text: string) => shown(await value(text));

describe("values, as each protocol writes them", () => {
  it.each<[string, string, unknown]>([
    [
      "integers in text",
      "(lp0\nI1\naI-2\naL3L\naL-1208925819614629174706176L\naI01\naI00\na.",
      [1, -2, 3, -(2n ** 80n), true, false],
    ],
    [
      "integers",
      "\x80\x02](K\xffM\xff\xffJ\xff\xff\xff\xff\x8a\x00\x8a\x02\xff\x00\x8a\x01\x80\x8b\x01\x00\x00\x00\x05\x88\x89Ne.",
      [255, 65535, -1, 0, 255, -128, 5, true, false, null],
    ],
    ["a long integer", "\x80\x02\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x00\x01.", 2n ** 64n],
    [
      "floats in text",
      "(lp0\nF0.5\naFinf\naF-inf\naFnan\na.",
      [0.5, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN],
    ],
    ["a float", "\x80\x02G\x3f\xe8\x00\x00\x00\x00\x00\x00.", 0.75],
    [
      "strings of Python 2",
      "(lS'a\\'\\n\\x41'\naS\"b\"\naU\x02\xc3\xa4aU\x02\xff\xfeaT\x01\x00\x00\x00ca.",
      ["a'\nA", "b", "ä", Uint8Array.of(255, 254), "c"],
    ],
    ["strings in text", "V\\u00e4\xe4\\U0001f642\n.", "ää🙂"],
    [
      "strings",
      "\x80\x04](X\x02\x00\x00\x00\xc3\xa4\x8c\x01a\x8d\x01\x00\x00\x00\x00\x00\x00\x00be.",
      ["ä", "a", "b"],
    ],
    [
      "bytes",
      "\x80\x05](C\x01aB\x01\x00\x00\x00b\x8e\x01\x00\x00\x00\x00\x00\x00\x00c\x96\x01\x00\x00\x00\x00\x00\x00\x00de.",
      [Uint8Array.of(97), Uint8Array.of(98), Uint8Array.of(99), Uint8Array.of(100)],
    ],
    [
      "bytes before protocol 3",
      "\x80\x02c_codecs\nencode\nX\x02\x00\x00\x00\xc3\xbfX\x06\x00\x00\x00latin1\x86R.",
      Uint8Array.of(255),
    ],
    [
      "tuples and lists",
      "\x80\x02](K\x01\x85K\x01K\x02\x86K\x01K\x02K\x03\x87(K\x01t)(K\x01le.",
      [[1], [1, 2], [1, 2, 3], [1], [], [1]],
    ],
    [
      "dicts",
      "\x80\x02](}K\x01K\x02s}(K\x01K\x02K\x03K\x04u(K\x05K\x06de.",
      [
        [[1, 2]],
        [
          [1, 2],
          [3, 4],
        ],
        [[5, 6]],
      ],
    ],
    [
      "sets",
      "\x80\x04](\x8f(K\x01K\x01\x90(K\x02\x91cbuiltins\nset\n](K\x03e\x85Re.",
      [{ set: [1] }, { set: [2] }, { set: [3] }],
    ],
    [
      "a frame, marks and copies",
      "\x80\x04\x95\x05\x00\x00\x00\x00\x00\x00\x00(K\x01K\x021K\x042K\x050\x86.",
      [4, 4],
    ],
    [
      "what was stored",
      "\x80\x04]q\x05(K\x07\x94r\x00\x01\x00\x00p300\nh\x01j\x00\x01\x00\x00g300\ne.",
      [7, 7, 7, 7],
    ],
    [
      "an ordered dict of Python 2",
      "ccollections\nOrderedDict\n((l(lS'a'\naI1\naatR.",
      { called: "collections.OrderedDict", args: [[["a", 1]]], entries: [["a", 1]] },
    ],
    [
      "registered extensions",
      "\x80\x02](\x82\x01\x83\x01\x01\x84\x01\x00\x00\x01e.",
      ["copyreg.extension 1", "copyreg.extension 257", "copyreg.extension 16777217"],
    ],
    ["buffers outside of it", "\x80\x05\x97\x98.", { called: ".out-of-band buffer", args: [] }],
    [
      "persistent ids",
      "(lPmodel\naK\x05Qa.",
      [
        { called: ".persistent id", args: ["model"] },
        { called: ".persistent id", args: [5] },
      ],
    ],
  ])("%s", async (_, text, expected) => {
    expect(await read(text)).toEqual(expected);
  });

  it("keeps a dict that holds itself, and what is shared", async () => {
    const dict = entriesOf(await value("\x80\x02}q\x00(K\x01h\x00K\x02]q\x01K\x03h\x01u."));
    expect(dict?.get(1)).toBe(dict);
    expect(dict?.get(2)).toBe(dict?.get(3));
  });

  it("passes over byte strings, and says where it ends", async () => {
    const long = `\x80\x03B${String.fromCharCode(0, 0, 3, 0)}${"x".repeat(3 * 2 ** 16)}.\x80\x02K\x01.`;
    const first = await pickle(long);
    expect(first.end).toBe(3 * 2 ** 16 + 8);
    expect((await unpickle("pickle", bytesOf(long), first.end)).value).toBe(1);
    expect(isBytes(first.value) && [first.value.offset, first.value.byteLength]).toEqual([7, 3 * 2 ** 16]);
  });
});

describe("nothing is run, whatever is named", () => {
  it.each<[string, string, unknown]>([
    [
      "os.system by REDUCE",
      "cos\nsystem\n(S'echo hacked > /tmp/hacked'\ntR.",
      { called: "os.system", args: ["echo hacked > /tmp/hacked"] },
    ],
    [
      "eval by STACK_GLOBAL",
      "\x80\x04\x8c\x08builtins\x8c\x04eval\x93\x8c\x031+1\x85R.",
      { called: "builtins.eval", args: ["1+1"] },
    ],
    ["exec by INST", "(S'x = 1'\ni__builtin__\nexec\n.", { called: "__builtin__.exec", args: ["x = 1"] }],
    ["os.popen by OBJ", "(cos\npopen\nS'ls'\no.", { called: "os.popen", args: ["ls"] }],
    [
      "subprocess.Popen by NEWOBJ",
      "\x80\x02csubprocess\nPopen\nX\x02\x00\x00\x00ls\x85\x81.",
      { called: "subprocess.Popen", args: ["ls"] },
    ],
    [
      "by NEWOBJ_EX",
      "\x80\x04csubprocess\nPopen\n)}\x8c\x04args\x8c\x02lss\x92.",
      { called: "subprocess.Popen", args: [[["args", "ls"]]] },
    ],
    [
      "__setstate__ by BUILD",
      "\x80\x02cn\nM\n)\x81}X\x0c\x00\x00\x00__setstate__cos\nsystem\nsb.",
      { called: "n.M", args: [], state: [["__setstate__", "os.system"]] },
    ],
    [
      "what getattr gives",
      "\x80\x02cbuiltins\ngetattr\ncos\nX\x06\x00\x00\x00system\x86RX\x02\x00\x00\x00ls\x85R.".replace(
        "cos\n",
        "cos\npath\n",
      ),
      { called: { called: "builtins.getattr", args: ["os.path", "system"] }, args: ["ls"] },
    ],
    [
      "names of JavaScript",
      "\x80\x02cconstructor\n__proto__\nX\x08\x00\x00\x00return 1\x85R}X\x09\x00\x00\x00__proto__K\x01sb.",
      { called: "constructor.__proto__", args: ["return 1"], state: [["__proto__", 1]] },
    ],
    [
      "a subclass of list and dict",
      "\x80\x02cn\nL\n)\x81(K\x01K\x02eK\x03K\x04s.",
      { called: "n.L", args: [], items: [1, 2], entries: [[3, 4]] },
    ],
  ])("%s", async (_, text, expected) => {
    expect(await read(text)).toEqual(expected);
  });
});

describe("damaged and hostile", () => {
  it.each([
    [
      "\x80\x06.",
      "file (pickle at byte 2): expected a protocol up to 5, got 6; the file seems damaged: fetch or write it again",
    ],
    [
      "\x80\x02\xf0.",
      "file (pickle at byte 3): expected an opcode of a pickle, got byte 240; the file seems damaged: fetch or write it again",
    ],
    [
      "\x80\x02]",
      "file (pickle at byte 3): expected the pickle's end, the file ends before; the file seems damaged: fetch or write it again",
    ],
    [
      "\x80\x02X\xff\xff\xff\x0fa.",
      "file (pickle at byte 7): expected 268435455 more bytes, there are 2; the file seems damaged: fetch or write it again",
    ],
    [
      "\x80\x02B\xff\xff\xff\x7fa.",
      "file (pickle at byte 7): expected 2147483647 more bytes, there are 2; the file seems damaged: fetch or write it again",
    ],
    [
      "\x80\x02h\x05.",
      "file (pickle at byte 4): expected a value that was stored as 5, there is none; the file seems damaged: fetch or write it again",
    ],
    [
      "\x80\x02e.",
      "file (pickle at byte 3): expected a mark on the stack, there is none; the file seems damaged: fetch or write it again",
    ],
    [
      "\x80\x02R.",
      "file (pickle at byte 3): expected 2 values on the stack, there are 0; the file seems damaged: fetch or write it again",
    ],
    [
      "\x80\x02K\x01K\x02a.",
      "file (pickle at byte 7): expected a list or set to add to, got 1; the file seems damaged: fetch or write it again",
    ],
    [
      "I1x\n.",
      'file (pickle at byte 4): expected an integer of at most 1024 digits, got "1x"; the file seems damaged: fetch or write it again',
    ],
    [
      "S'a\n.",
      "file (pickle at byte 4): expected a string in quotes; the file seems damaged: fetch or write it again",
    ],
    [
      "cos\nsystem",
      "file (pickle at byte 4): expected the end of a line, the file ends; the file seems damaged: fetch or write it again",
    ],
  ])("%j", async (text, expected) => {
    expect(await refused(text)).toBe(expected);
  });

  it("reads a hundred thousand levels, of lists and of marks", async () => {
    const deep = 100_000;
    expect(await refused(`\x80\x02${"]".repeat(deep)}${"a".repeat(deep - 1)}.`)).toBe("read");
    expect(await refused(`\x80\x02${"(".repeat(deep)}${"t".repeat(deep)}.`)).toBe("read");
  });

  it("bounds objects, opcodes, names and what calls copy", async () => {
    const cut = async (text: string) => (await refused(text)).replace(/^.*?: |; .*$/g, "");
    const repeated = (opcode: string, count: number) =>
      unpickle("pickle", bytesInMemory("file", new Uint8Array(count).fill(opcode.charCodeAt(0))));
    await expect(repeated("}", 2 ** 21 + 1)).rejects.toThrow("expected at most 2097152 objects, got more");
    await expect(repeated("N", 2 ** 24 + 2)).rejects.toThrow("expected at most 16777216 opcodes, got more");
    expect(await cut(`c${"n".repeat(600)}\nN\n.`)).toContain("expected a name of at most 512 characters");
    const copies = `\x80\x02](${"K\x01".repeat(5000)}eq\x00cbuiltins\nset\nq\x01${"h\x01h\x00\x85R0".repeat(5000)}.`;
    expect(await cut(copies)).toBe("expected calls that copy less than the pickle holds");
  });
});
