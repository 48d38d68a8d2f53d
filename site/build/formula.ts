/**
 * Formulas of docs/norms, written as text, set in MathML.
 *
 *     y = (x − mean) / √(variance + epsilon) · gamma + beta        over the batch
 *
 * A block has lines; a line has cells, two blanks or more apart; a cell is a formula with words where words say it best, so words beside each
 * other are a phrase. ` / ` divides what was multiplied before it, `a/b` what stands beside it; Σ sums up to the next blank.
 * Elements are those of MathML Core, which Chromium, Firefox and Safari render.
 */
import { escapeHtml } from "@evenkeel/report/page";

type Token = { text: string; kind: Kind; apart: boolean };
type Kind = "number" | "word" | "text" | "over" | "under" | "sign" | "end";

/** Nodes of a formula, as flat as it is set: pieces of a phrase, product, sum or relation stand beside each other. */
type Piece =
  | { text: string; math?: undefined }
  /** `plain` is its source; `fenced`, without the parentheses around it, which a fraction line replaces; `bare` a name or number alone. */
  | { math: string; plain: string; fenced?: string; bare?: true; operator?: true; separator?: true };

const TOKEN =
  /(\d+(?:\.\d+)?(?:e[-−]?\d+)?)|([A-Za-z]{2,}'s|[A-Za-z][A-Za-z0-9]*(?:-[A-Za-z0-9]+)*|[α-ωµ∞])|("[^"]*"|`[^`]*`)|([²³⁴ᵀᵖ]+)|([₀-₉]+)|(\.\.\.|[-+−·/=<>≤≥()[\]{}|‖,;:^_√Σ'])/uy;
const KINDS: Kind[] = ["number", "word", "text", "over", "under", "sign"];

const GREEK: Record<string, string> = {
  alpha: "α",
  beta: "β",
  gamma: "γ",
  delta: "δ",
  epsilon: "ε",
  lambda: "λ",
  mu: "μ",
  // the micro sign, which is no letter
  µ: "μ",
  nu: "ν",
  sigma: "σ",
  tau: "τ",
  theta: "θ",
};
const RAISED: Record<string, string> = { "²": "2", "³": "3", "⁴": "4", ᵀ: "T", ᵖ: "p" };
const FENCES: Record<string, string> = { "(": ")", "[": "]", "{": "}", "|": "|", "‖": "‖" };
/** Words that join formulas, and are never names. */
const JOINING = new Set(["or", "and", "where", "elsewhere", "with", "for"]);

const SUM = new Set(["+", "−"]);
const RELATION = new Set(["=", "<", ">", "≤", "≥"]);
const PUNCTUATION = new Set([",", ";", ":"]);

const mo = (sign: string, attributes = ""): string => `<mo${attributes}>${escapeHtml(sign)}</mo>`;
const mi = (name: string, attributes = ""): string => `<mi${attributes}>${escapeHtml(name)}</mi>`;
const upright = ' mathvariant="normal"';
const mn = (digits: string): string => `<mn>${digits}</mn>`;
const mrow = (...items: string[]): string =>
  items.length === 1 ? items[0] : `<mrow>${items.join("")}</mrow>`;

/** @throws SyntaxError where a character means nothing in a formula */
function tokensOf(source: string): Token[] {
  const tokens: Token[] = [];
  let apart = false;
  for (let i = 0; i < source.length; ) {
    if (source[i] === " ") {
      apart = true;
      i++;
      continue;
    }
    TOKEN.lastIndex = i;
    const found = TOKEN.exec(source);
    if (!found)
      throw new SyntaxError(`formula: what is ${JSON.stringify(source[i])} in ${JSON.stringify(source)}?`);
    const kind = KINDS[found.slice(1).findIndex((group) => group !== undefined)];
    tokens.push({ text: found[0], kind, apart });
    apart = false;
    i = TOKEN.lastIndex;
  }
  return [...tokens, { text: "", kind: "end", apart: false }];
}

/** The numbers, names and letters of a formula; `1e-4` is a power of ten, `x1` has an index, `xHat` a hat. */
function numberOf(text: string): string {
  const [digits, power] = text.split(/e/);
  if (power === undefined) return mn(digits);
  const raised = `<msup>${mn("10")}${mrow(...(/^\d/.test(power) ? [mn(power)] : [mo("−"), mn(power.slice(1))]))}</msup>`;
  return digits === "1" ? raised : mrow(mn(digits), mo("·"), raised);
}
function nameOf(word: string): string {
  if (word === "xHat") return `<mover accent="true">${mi("x")}${mo("ˆ", ' stretchy="false"')}</mover>`;
  if (/^d[a-z]$/.test(word)) return mrow(mi("d"), mi(word[1]));
  const indexed = /^([A-Za-z])(\d+)$/.exec(word);
  if (indexed) return `<msub>${mi(indexed[1])}${mn(indexed[2])}</msub>`;
  return mi(GREEK[word] ?? word);
}

class Formula {
  #at = 0;
  /** Bars that are open, within which a bar closes. */
  #bars: string[] = [];
  readonly #source: string;
  readonly #tokens: Token[];

  constructor(source: string) {
    this.#source = source;
    this.#tokens = tokensOf(source);
  }

  /** The whole cell. @throws SyntaxError */
  pieces(): Piece[] {
    const pieces = this.#listed(true);
    if (this.#next.kind !== "end") this.#fail("the end");
    return pieces;
  }

  get #next(): Token {
    return this.#tokens[this.#at];
  }
  #sign(signs: Iterable<string>): boolean {
    return this.#next.kind === "sign" && new Set(signs).has(this.#next.text);
  }
  #take(): Token {
    return this.#tokens[this.#at++];
  }
  #plain(from: number): string {
    const tokens = this.#tokens.slice(from, this.#at);
    return tokens.map(({ text, apart }, i) => (apart && i > 0 ? ` ${text}` : text)).join("");
  }
  #fail(expected: string): never {
    throw new SyntaxError(
      `formula: expected ${expected}, got ${JSON.stringify(this.#next.text)} in ${JSON.stringify(this.#source)}`,
    );
  }

  /** `a, b; c: d`. @param open whether it may begin or end with punctuation, as a cell does */
  #listed(open = false): Piece[] {
    const pieces: Piece[] = [];
    for (;;) {
      const item = open && this.#next.kind === "end" ? [] : this.#related();
      const joins = item.length === 1 && item[0].math !== undefined && JOINING.has(item[0].plain);
      pieces.push(...(joins ? item.map(asText) : item));
      if (!this.#sign(PUNCTUATION)) return pieces;
      const { text } = this.#take();
      const besideText =
        pieces.at(-1)?.math === undefined || this.#next.kind === "end" || this.#wordsFollow();
      pieces.push(
        besideText
          ? { text }
          : { math: mo(text, ' separator="true" rspace="0.3em"'), plain: text, separator: true },
      );
    }
  }
  /** Whether what follows begins with two words, or with one that joins. */
  #wordsFollow(): boolean {
    const [first, second] = this.#tokens.slice(this.#at, this.#at + 2);
    if (first.kind !== "word") return false;
    return JOINING.has(first.text) || (second.apart && (second.kind === "word" || second.kind === "number"));
  }
  #related(): Piece[] {
    const pieces = this.#summed();
    while (this.#sign(RELATION)) pieces.push(this.#operator(), ...this.#summed());
    return pieces;
  }
  #summed(): Piece[] {
    const pieces = this.#sign(SUM) ? [this.#operator(' form="prefix"')] : [];
    pieces.push(...this.#multiplied());
    while (this.#sign(SUM)) pieces.push(this.#operator(), ...this.#multiplied());
    return pieces;
  }
  #operator(attributes = ""): Piece {
    const { text } = this.#take();
    return { math: mo(text, attributes), plain: text, operator: true };
  }

  /** Factors; a fraction takes all that were multiplied before it, or the last alone where that is in parentheses, which go. */
  #multiplied(): Piece[] {
    const from = this.#at;
    let pieces = this.#phrase();
    while (this.#sign("·/")) {
      if (this.#next.text === "·") {
        pieces.push(this.#operator(), ...this.#phrase());
        continue;
      }
      this.#take();
      const last = pieces.at(-1);
      const alone = last?.math !== undefined && last.fenced !== undefined;
      const [before, above] = alone ? [pieces.slice(0, -1), [last]] : [[], pieces];
      const below = this.#phrase();
      const math = `<mfrac>${inMath(above, true)}${inMath(below, true)}</mfrac>`;
      pieces = [...before, { math, plain: this.#plain(from) }];
    }
    return pieces;
  }

  /** What stands side by side: one factor, or words and what they speak of. */
  #phrase(): Piece[] {
    const units: Piece[] = [this.#unit()];
    while (this.#begins()) units.push(this.#unit());
    if (units.length === 1) return units;
    return units.map((unit, i) => {
      const article = unit.math !== undefined && unit.plain === "a" && i + 1 < units.length;
      return article || isWord(unit) ? asText(unit) : unit;
    });
  }
  #begins(): boolean {
    const { kind, text } = this.#next;
    if (kind === "sign")
      return "([{√Σ".includes(text) || text === "..." || ("|‖".includes(text) && !this.#bars.includes(text));
    return kind === "number" || kind === "word" || kind === "text";
  }

  /** A factor: `√x`, `Σ x·y`, `a/b`, or an atom with what hangs on it. */
  #unit(): Piece {
    const from = this.#at;
    const above = this.#prefixed();
    if (!this.#sign("/") || this.#next.apart) return above;
    this.#take();
    const below = this.#prefixed();
    const math = `<mfrac>${inMath([above], true)}${inMath([below], true)}</mfrac>`;
    return { math, plain: this.#plain(from) };
  }
  #prefixed(): Piece {
    const from = this.#at;
    if (this.#sign("√")) {
      this.#take();
      const math = `<msqrt>${inMath([this.#prefixed()], true)}</msqrt>`;
      return { math, plain: this.#plain(from) };
    }
    if (this.#sign("Σ")) {
      this.#take();
      const index = this.#sign("_") ? this.#below() : undefined;
      const sign = mo("∑");
      // the sign itself is spoken of, or a matrix of that name
      if (this.#next.text === "over") return { math: sign, plain: "Σ" };
      if (!this.#begins()) return { math: mi("Σ", upright), plain: "Σ" };
      const items = [index ? `<munder>${sign}${index}</munder>` : sign, inMath([this.#prefixed()])];
      while (this.#sign("·") && !this.#next.apart)
        items.push(mo(this.#take().text), inMath([this.#prefixed()]));
      return { math: mrow(...items), plain: this.#plain(from) };
    }
    return this.#hung();
  }

  /** An atom with its arguments, index, prime, subscript and superscript, which stand without a blank. */
  #hung(): Piece {
    const from = this.#at;
    const named = this.#next.kind === "word" ? this.#next.text : undefined;
    let piece = this.#atom();
    while (!this.#next.apart) {
      const math = inMath([piece]);
      let more: string;
      if (this.#sign("(") && named) more = mrow(math, mo("\u2061"), inMath([this.#fence()]));
      else if (this.#sign("[") && named) more = mrow(math, inMath([this.#fence()]));
      else if (this.#sign("'")) {
        this.#take();
        // the sign stands high by itself
        more = mrow(math, mo("′", ' lspace="0" rspace="0"'));
      } else {
        const scripts = this.#scripts();
        if (scripts === undefined) return piece;
        const { under, over } = scripts;
        if (under && over) more = `<msubsup>${math}${under}${over}</msubsup>`;
        else more = under ? `<msub>${math}${under}</msub>` : `<msup>${math}${over}</msup>`;
      }
      piece = { math: more, plain: this.#plain(from) };
    }
    return piece;
  }
  #scripts(): { under?: string; over?: string } | undefined {
    const under: string[] = [];
    const over: string[] = [];
    while (!this.#next.apart) {
      if (this.#next.kind === "under") {
        under.push(mn([...this.#take().text].map((digit) => digit.charCodeAt(0) - 0x2080).join("")));
      } else if (this.#next.kind === "over") {
        const raised = [...this.#take().text].map((sign) => RAISED[sign]);
        over.push(
          ...raised.map((sign) => (/\d/.test(sign) ? mn(sign) : mi(sign, sign === "T" ? upright : ""))),
        );
      } else if (this.#sign("_")) under.push(this.#below());
      else if (this.#sign("^")) {
        this.#take();
        over.push(inMath([this.#script()], true));
      } else break;
    }
    if (under.length + over.length === 0) return undefined;
    return {
      ...(under.length > 0 && { under: mrow(...under) }),
      ...(over.length > 0 && { over: mrow(...over) }),
    };
  }
  #below(): string {
    this.#take();
    return inMath([this.#script()], true);
  }
  #script(): Piece {
    return this.#sign("(") ? this.#fence() : this.#atom();
  }

  #atom(): Piece {
    const { kind, text } = this.#next;
    if (kind === "sign" && text in FENCES) return this.#fence();
    this.#take();
    if (kind === "number") return { math: numberOf(text), plain: text, bare: true };
    if (kind === "word") return { math: nameOf(text), plain: text, bare: true };
    if (kind === "text") return { text };
    if (text === "...") return { math: mi("…", upright), plain: text };
    this.#at--;
    return this.#fail("a name, a number or a parenthesis");
  }
  #fence(): Piece {
    const from = this.#at;
    const open = this.#take().text;
    const close = FENCES[open];
    if (open === close) this.#bars.push(open);
    const within = inMath(this.#listed());
    if (!this.#sign(close)) this.#fail(close);
    this.#take();
    if (open === close) this.#bars.pop();
    // Chromium spaces what may stretch as if it did
    const high = /<m(frac|sqrt|under)/.test(within) ? "" : ' stretchy="false"';
    const math = mrow(mo(open, ` form="prefix"${high}`), within, mo(close, ` form="postfix"${high}`));
    return { math, plain: this.#plain(from), ...(open === "(" && { fenced: within }) };
  }
}

const asText = (piece: Piece): Piece => (piece.math === undefined ? piece : { text: piece.plain });
/** A name of more than a letter, which a phrase has as a word. */
const isWord = (piece: Piece): boolean =>
  piece.math !== undefined &&
  piece.bare === true &&
  /^[A-Za-z][\w'-]/.test(piece.plain) &&
  piece.math === mi(piece.plain);

/** Pieces within one formula, words and all. @param open without the parentheses of one that has some */
function inMath(pieces: readonly Piece[], open = false): string {
  if (open && pieces.length === 1 && pieces[0].math !== undefined && pieces[0].fenced !== undefined)
    return pieces[0].fenced;
  const items = spaced(pieces).map((piece) =>
    piece.math === undefined
      ? `<mtext>${escapeHtml(piece.text.replaceAll("`", "")).replaceAll(" ", "\u00a0")}</mtext>`
      : piece.math,
  );
  return mrow(...items);
}

/** Words of a phrase as one text, with blanks between it and its neighbours, but operators, which have some. */
function spaced(pieces: readonly Piece[]): Piece[] {
  const joined: Piece[] = [];
  for (const [i, piece] of pieces.entries()) {
    if (piece.math !== undefined) {
      joined.push(piece);
      continue;
    }
    const blankBeside = (other: Piece | undefined) =>
      other === undefined || (other.math !== undefined && other.operator) ? "" : " ";
    const before = PUNCTUATION.has(piece.text) ? "" : blankBeside(pieces[i - 1]);
    const after = pieces[i + 1]?.math === undefined ? "" : blankBeside(pieces[i + 1]);
    const last = joined.at(-1);
    if (last && last.math === undefined) joined.pop();
    joined.push({
      text: `${last?.math === undefined ? (last?.text ?? "") : ""}${before}${piece.text}${after}`,
    });
  }
  return joined;
}

const isText = (piece: Piece): boolean => piece.math === undefined;
const equates = (pieces: readonly Piece[]): boolean => pieces.some((piece) => piece.math === mo("="));
/** Names and numbers that no operator holds together, of a remark: words of it, as is what separates them. */
function inWords(pieces: readonly Piece[]): Piece[] {
  const words = pieces.map((piece, i) => {
    const held = [pieces[i - 1], pieces[i + 1]].some((other) => other?.math !== undefined && other.operator);
    const number = piece.math !== undefined && piece.bare === true && /^\d+$/.test(piece.plain);
    return !held && (isWord(piece) || number) ? asText(piece) : piece;
  });
  return words.map((piece, i) =>
    piece.math !== undefined &&
    piece.separator &&
    [words[i - 1], words[i + 1]].some((other) => other && isText(other))
      ? asText(piece)
      : piece,
  );
}

/** HTML of a cell: words of it are text, which flows; what stands between them is a formula with its source as alternative. */
function inText(pieces: readonly Piece[], style = ""): string {
  const html: string[] = [];
  let run: Extract<Piece, { math: string }>[] = [];
  const close = () => {
    if (run.length === 0) return;
    const plain = run
      .map((piece) => piece.plain)
      .join(" ")
      .replace(/ ([,;:])/g, "$1");
    html.push(`<math${style} alttext="${escapeHtml(plain)}">${mrow(...run.map(({ math }) => math))}</math>`);
    run = [];
  };
  for (const piece of spaced(pieces)) {
    if (piece.math !== undefined) run.push(piece);
    else {
      close();
      html.push(escapeHtml(piece.text).replace(/`([^`]*)`/g, "<code>$1</code>"));
    }
  }
  close();
  return html.join("");
}

/** The cells of a line; `y  = x` is one, padded so that lines agree. */
const cellsOf = (line: string): string[] =>
  line
    .trim()
    .replace(/ {2,}=/g, " =")
    .split(/ {2,}/);

/** A cell: a formula, or a remark on one. @throws SyntaxError */
function cellHtml(source: string): string {
  const pieces = new Formula(source).pieces();
  const remark = !equates(pieces) && (pieces.some(isText) || pieces.every(isWord));
  if (remark) return `<span class="remark">${inText(inWords(pieces))}</span>`;
  return `<span>${inText(pieces, ' displaystyle="true"')}</span>`;
}

/** What stands before a formula and says when it holds: a cell of its own, or up to a colon. */
function labelled(cells: string[]): { label?: string; cells: string[] } {
  const [first, ...rest] = cells;
  const colon = /^([a-z ]+:) (.+)$/.exec(first);
  if (colon && !/=/.test(colon[1]) && rest.length === 0) return { label: colon[1], cells: [colon[2]] };
  return rest.length > 0 && !first.includes("=") ? { label: first, cells: rest } : { cells };
}

/**
 * A block of formulas as HTML: a line for each, its parts beside or, where there is no room, below each other.
 * @param source text of the block, lines of cells
 * @param label of the region that holds it, which scrolls where a formula is wider
 * @throws SyntaxError at what is no formula, with the cell
 */
export function formulaHtml(source: string, label: string): string {
  const lines = source.replace(/\s+$/, "").split("\n");
  const rows = lines.map((line) => {
    if (line.trim() === "") return '<div class="gap"></div>';
    const { label: when, cells } = labelled(cellsOf(line));
    const parts = cells.map(cellHtml);
    const condition =
      when === undefined ? "" : `<div class="when">${inText(inWords(new Formula(when).pieces()))}</div>`;
    const kind = when !== undefined || line.startsWith(" ") ? "line under" : "line";
    return `${condition}<div class="${kind}">${parts.join(" ")}</div>`;
  });
  return `<div class="formula scroll" role="region" tabindex="0" aria-label="${escapeHtml(label)}">${rows.join("\n")}</div>`;
}

/** The blocks of formulas in a page of docs/norms. */
export const formulasOf = (markdown: string): string[] =>
  [...markdown.matchAll(/^```text\n([\s\S]*?)^```$/gm)].map(([, block]) => block);
