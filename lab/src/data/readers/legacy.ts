/** Which encoding text has that is not in Unicode, by its bytes from 0x80 on. */

/** Fewer bytes tell nothing. */
const FEWEST = 20;
/** Neighbours among the bytes from 0x80 on by which words of other scripts are known: in Western ones such bytes stand alone. */
const LONG = 3;
/** Of these bytes: those that are to be as an encoding has them. */
const MOST = 0.95;
const SOME = 0.2;
/** In Russian one letter in twelve; hardly ever in Greek, which has its letters in the same places. */
const LEAST_A = 0.02;
const CYRILLIC_A = [0xc0, 0xe0];
/** The first byte of each in Shift_JIS, before one that may be of ASCII: a sign that is rare in Western text. */
const KATAKANA = 0x83;

/** The encoding of the text that starts with these bytes, as `TextDecoder` has it: Western unless they plainly are of another. */
export function legacyEncoding(
  bytes: Uint8Array,
): "windows-1252" | "windows-1251" | "shift_jis" | "euc-kr" | "gb18030" {
  const counts = new Uint32Array(256);
  let inLong = 0;
  for (let at = 0; at < bytes.length; at++) {
    const start = at;
    for (; bytes[at] >= 0x80; at++) counts[bytes[at]]++;
    if (at - start >= LONG) inLong += at - start;
  }
  const all = counts.reduce((sum, one) => sum + one, 0);
  const share = (from: number, to: number) =>
    counts.subarray(from, to + 1).reduce((sum, one) => sum + one, 0) / all;
  const katakana = share(KATAKANA, KATAKANA) >= SOME;
  if (all < FEWEST || (2 * inLong < all && !katakana)) return "windows-1252";
  if (share(0xc0, 0xff) >= MOST) {
    const a = CYRILLIC_A.reduce((sum, one) => sum + share(one, one), 0);
    return a >= LEAST_A ? "windows-1251" : "windows-1252";
  }
  if (share(0x81, 0x9f) >= SOME && isAll("shift_jis", bytes, /[\p{sc=Han}\p{scx=Hira}\p{scx=Kana}]/gu)) {
    return "shift_jis";
  }
  if (share(0xa1, 0xfe) < MOST) return "windows-1252";
  if (isAll("euc-kr", bytes, /\p{sc=Hang}/gu)) return "euc-kr";
  return isAll("gb18030", bytes, /\p{sc=Han}/gu) ? "gb18030" : "windows-1252";
}

/** Whether the bytes can be read in an encoding, and most of what is not ASCII, punctuation apart, is of its script. */
function isAll(encoding: string, bytes: Uint8Array, script: RegExp): boolean {
  try {
    const text = new TextDecoder(encoding, { fatal: true }).decode(bytes, { stream: true });
    const letters = text.match(/[^\P{L}\0-\x7f]/gu)?.length ?? 0;
    return letters > 0 && (text.match(script)?.length ?? 0) >= MOST * letters;
  } catch {
    return false;
  }
}
