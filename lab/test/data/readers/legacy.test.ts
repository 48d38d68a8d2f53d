import { expect, test } from "vitest";
import { legacyEncoding } from "../../../src/data/readers/legacy.js";

const bytesOf = (text: string): Uint8Array => Uint8Array.from(text, (sign) => sign.charCodeAt(0));

/** Each text in its own encoding, a character a byte; and what it says. */
test.each([
  [
    "shift_jis",
    "\x93s\x8es,\x92l\n\x83g\x83E\x83L\x83\x87\x83E,1\n\x83i\x83S\x83\x84,2\n\x83I\x83I\x83T\x83J,3\n\x83\x8d\x81[\x83},4\n\x83\x5c\x83E\x83\x8b,5\n",
    "都市,値\nトウキョウ,1\nナゴヤ,2\nオオサカ,3\nローマ,4\nソウル,5\n",
  ],
  [
    "windows-1251",
    "\xe3\xee\xf0\xee\xe4,\xf6\xe5\xed\xe0\n\xcc\xee\xf1\xea\xe2\xe0,1\n\xca\xe8\xe5\xe2,2\n\xcc\xe8\xed\xf1\xea,3\n\xca\xe0\xe7\xe0\xed\xfc,4\n",
    "город,цена\nМосква,1\nКиев,2\nМинск,3\nКазань,4\n",
  ],
  [
    "shift_jis",
    "\x93s\x8es,\x92l\n\x93\x8c\x8b\x9e,1\n\x91\xe5\x8d\xe3,2\n\x82\xb3\x82\xc1\x82\xdb\x82\xeb\x8es,3\n",
    "都市,値\n東京,1\n大阪,2\nさっぽろ市,3\n",
  ],
  [
    "euc-kr",
    "\xb5\xb5\xbd\xc3,\xb0\xaa\n\xbc\xad\xbf\xef,1\n\xba\xce\xbb\xea,2\n\xb4\xeb\xb1\xb8\xb1\xa4\xbf\xaa\xbd\xc3,3\n",
    "도시,값\n서울,1\n부산,2\n대구광역시,3\n",
  ],
  [
    "gb18030",
    "\xb3\xc7\xca\xd0,\xbc\xdb\xb8\xf1\n\xb1\xb1\xbe\xa9,1\n\xc9\xcf\xba\xa3,2\n\xb9\xe3\xd6\xdd,3\n\xc9\xee\xdb\xda,4\n",
    "城市,价格\n北京,1\n上海,2\n广州,3\n深圳,4\n",
  ],
] as const)("%s", (encoding, bytes, text) => {
  expect(legacyEncoding(bytesOf(bytes))).toBe(encoding);
  expect(new TextDecoder(encoding).decode(bytesOf(bytes))).toBe(text);
});

test.each([
  ["letters with accents", "K\xf6ln,M\xe1laga,\xc5rhus,na\xefve,fa\xe7ade,\xc9t\xe9,".repeat(9)],
  ["quotes and dashes", "\x93don\x92t\x94 \x96 it\x92s 5 \x80\n".repeat(9)],
  ["few bytes", "\xe3\xee\xf0\xee\xe4,1\n"],
  ["Greek", "\xd0\xfc\xeb\xe7,\xc1\xe8\xde\xed\xe1,\xd0\xdc\xf4\xf1\xe1\n".repeat(9)],
  ["noise", Array.from({ length: 400 }, (_, i) => String.fromCharCode(128 + ((i * 89) % 127))).join("")],
])("Western, or not known: %s", (_, bytes) => {
  expect(legacyEncoding(bytesOf(bytes))).toBe("windows-1252");
});
