import { describe, expect, it } from "vitest";
import {
  bigIntegersIn,
  byNumber,
  bytesField,
  fieldsOf,
  floatField,
  floatIn,
  integerField,
  integerIn,
  integersIn,
  message as messageOf,
  packedFloats,
  packedIntegers,
  textField,
  textIn,
} from "../../../src/checkpoints/encodings/protobuf.js";
import { bytesInMemory, bytesOf } from "../../../src/checkpoints/source.js";
import { double, field, fixed32, float, message, varint } from "../support/protobuf.js";

const fieldsIn = (bytes: Uint8Array) => fieldsOf("test", bytesInMemory("x.pb", bytes, 0));

async function refusal(bytes: Uint8Array): Promise<string> {
  return fieldsIn(bytes).then(
    () => "read",
    (error: Error) => error.message,
  );
}

describe("fields of a message", () => {
  it("come in their order, each as its type demands", async () => {
    const fields = await fieldsIn(
      message(
        field(1, 300),
        field(2, "γ"),
        field(1, -5),
        float(3, 1.5),
        double(4, -2.25),
        fixed32(5, 0xfffffffe),
        field(536870911, 7),
      ),
    );
    expect(fields.map(({ number, wire }) => [number, wire])).toEqual([
      [1, 0],
      [2, 2],
      [1, 0],
      [3, 5],
      [4, 1],
      [5, 5],
      [536870911, 0],
    ]);
    expect([integerIn(fields[0]), integerIn(fields[2]), integerIn(fields[6])]).toEqual([300, -5, 7]);
    expect(await textIn(fields[1])).toBe("γ");
    expect([floatIn(fields[3]), fields[4].bits, fields[5].bits]).toEqual([
      1.5,
      // -2.25
      0xc002000000000000n,
      0xfffffffen,
    ]);
    expect(byNumber(fields).get(1)).toEqual([fields[0], fields[2]]);
  });

  it("have their offset in the file, inside of messages too", async () => {
    const [outer] = await fieldsIn(message(field(1, message(field(2, "ab"), field(3, 1)))));
    const inner = await fieldsOf("test", outer.bytes);
    expect(inner.map(({ offset }) => offset)).toEqual([2, 6]);
    expect(inner[0].bytes.offset).toBe(4);
  });

  it("of repeated integers are packed, or one each, 64 bits of them kept", async () => {
    const large = 2n ** 62n + 1n;
    const packed = message(varint(1), varint(-1), varint(large));
    const fields = await fieldsIn(message(field(1, 5), field(1, packed), field(1, -large)));
    expect(await bigIntegersIn(fields)).toEqual([5n, 1n, -1n, large, -large]);
    expect((await integersIn(fields)).slice(0, 3)).toEqual([5, 1, -1]);
    expect(await integersIn()).toEqual([]);
  });

  it("that are long are passed over, those after them found", async () => {
    const long = 10_000_000;
    const head = message(varint(1 * 8 + 2), varint(long));
    const tail = field(2, "after");
    let bytesRead = 0;
    const bytes = bytesOf("x.pb", {
      byteLength: head.length + long + tail.length,
      slice(start, end) {
        bytesRead += end - start;
        return Uint8Array.from({ length: end - start }, (_, i) => {
          const at = start + i;
          return at < head.length ? head[at] : at < head.length + long ? 0xff : tail[at - head.length - long];
        }).buffer;
      },
    });
    const [first, second] = await fieldsOf("test", bytes);
    expect(first.bytes.byteLength).toBe(long);
    expect(await textIn(second)).toBe("after");
    expect(bytesRead).toBeLessThan(200_000);
  });

  it("longer than a window are read to the end", async () => {
    const many = message(...Array.from({ length: 30_000 }, (_, i) => field(1, i)));
    expect(await integersIn(await fieldsIn(many))).toEqual(Array.from({ length: 30_000 }, (_, i) => i));
  });

  it("are refused where they are none", async () => {
    const damaged = "the file seems damaged: fetch or write it again";
    expect(await refusal(Uint8Array.of(0x08))).toBe(
      `x.pb (test at byte 1): expected 1 more bytes of a message, it ends; ${damaged}`,
    );
    expect(await refusal(Uint8Array.of(0x08, ...new Array(10).fill(0xff)))).toBe(
      `x.pb (test at byte 11): expected a varint of at most 10 bytes; ${damaged}`,
    );
    expect(await refusal(Uint8Array.of(0x0a, 5, 1))).toBe(
      `x.pb (test at byte 2): expected 5 bytes of field 1, the message ends; ${damaged}`,
    );
    expect(await refusal(Uint8Array.of(0x0b))).toBe(
      `x.pb (test at byte 1): expected a wire type of 0, 1, 2 or 5, got 3; ${damaged}`,
    );
    expect(await refusal(Uint8Array.of(0x00, 0))).toBe(
      `x.pb (test at byte 1): expected the number of a field, got 0; ${damaged}`,
    );
    expect(await refusal(Uint8Array.of(0x0d, 1, 2))).toMatch(/expected 4 more bytes/);
  });
});

describe("what is written", () => {
  it("is the encoding's own example", () => {
    expect([...integerField(1, 150)]).toEqual([0x08, 0x96, 0x01]);
    expect([...textField(2, "testing")]).toEqual([0x12, 7, ...new TextEncoder().encode("testing")]);
    expect([...bytesField(3, integerField(1, 150))]).toEqual([0x1a, 3, 0x08, 0x96, 0x01]);
    expect([...packedIntegers(6, [3, 270, 86942])]).toEqual([0x32, 6, 3, 0x8e, 2, 0x9e, 0xa7, 5]);
  });

  it("is read again: least and largest numbers, large field numbers, texts beyond ASCII", async () => {
    const least = -(2n ** 63n);
    const bytes = messageOf([
      integerField(1, -1),
      integerField(2, least),
      floatField(2 ** 29 - 1, -0),
      floatField(4, Number.NaN),
      textField(5, "γ·x̂ + β 🚢"),
      packedIntegers(6, [0, -2, 2n ** 62n]),
      packedFloats(7, [1.5, Number.POSITIVE_INFINITY]),
      bytesField(8, new Uint8Array()),
    ]);
    const fields = await fieldsIn(bytes);
    expect(fields.map(({ number }) => number)).toEqual([1, 2, 2 ** 29 - 1, 4, 5, 6, 7, 8]);
    expect(integerIn(fields[0])).toBe(-1);
    expect(await bigIntegersIn([fields[1]])).toEqual([least]);
    expect([floatIn(fields[2]), floatIn(fields[3])]).toEqual([-0, Number.NaN]);
    expect(await textIn(fields[4])).toBe("γ·x̂ + β 🚢");
    expect(await bigIntegersIn([fields[5]])).toEqual([0n, -2n, 2n ** 62n]);
    const floats = (await fields[6].bytes.read()).buffer as ArrayBuffer;
    expect([...new Float32Array(floats)]).toEqual([1.5, Number.POSITIVE_INFINITY]);
    expect(fields[7].bytes.byteLength).toBe(0);
  });
});
