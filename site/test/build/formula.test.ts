/** Formulas of docs/norms in MathML: structure of what is tricky, and that no symbol of any block is lost. */
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { formulaHtml, formulasOf } from "../../build/formula.ts";

const folder = fileURLToPath(new URL("../../../docs/norms/", import.meta.url));

/** MathML of the only formula of a cell, its rows in braces, without attributes of operators. */
function set(cell: string): string {
  const html = formulaHtml(cell, "Formula");
  const [, math] = /<math[^>]*>(.*)<\/math>/s.exec(html) ?? [];
  return math
    .replace(/<mo [^>]*>/g, "<mo>")
    .replace(/<(\/?)mrow>/g, "{$1}")
    .replace(/\{\}/g, "{")
    .replace(/\{\/\}/g, "}")
    .replace(/<mo>(.*?)<\/mo>/g, "$1")
    .replace(/<m[in][^>]*>(.*?)<\/m[in]>/g, "$1");
}

describe("one formula", () => {
  it.each([
    ["a fraction takes what was multiplied before it", "y = g · v / w", "y=<mfrac>{g·v}w</mfrac>"],
    ["or a difference alone, without its parentheses", "c · (x − m) / w · k", "c·<mfrac>{x−m}w</mfrac>·k"],
    ["and what is next below", "x / √(v + epsilon) · k", "<mfrac>x<msqrt>{v+ε}</msqrt></mfrac>·k"],
    [
      "parentheses stay where a power hangs on them",
      "x / (k + 1)^beta",
      "<mfrac>x<msup>{({k+1})}β</msup></mfrac>",
    ],
    ["without blanks it takes its neighbours alone", "x · m/(m − 1)", "x·<mfrac>m{m−1}</mfrac>"],
    ["of what is measured of sums", "n = Σ (x − m)² / n", "n=<mfrac>{∑<msup>{({x−m})}2</msup>}n</mfrac>"],
    ["a sum ends at a blank", "Σ x·k + 1", "{∑x·k}+1"],
    ["and has an index", "Σ_k a_k · b_k", "{<munder>∑k</munder><msub>ak</msub>}·<msub>bk</msub>"],
    ["a matrix of that name is none", "S = Σ / trace(Σ)", "S=<mfrac>Σ{trace\u2061{(Σ)}}</mfrac>"],
    ["subscripts in parentheses", "µ_(t−1)", "<msub>μ{t−1}</msub>"],
    ["below and above at once", "σ²_(t−1)", "<msubsup>σ{t−1}2</msubsup>"],
    ["in either order", "y_t²", "<msubsup>yt2</msubsup>"],
    ["on calls", "s(k)_j", "<msub>{s\u2061{(k)}}j</msub>"],
    ["primes", "c' = w'²", "{c′}=<msup>{w′}2</msup>"],
    ["hats", "xHat_t", '<msub><mover accent="true">xˆ</mover>t</msub>'],
    ["powers in parentheses", "|x|ᵖ + z^(1/p)", "<msup>{|x|}p</msup>+<msup>z<mfrac>1p</mfrac></msup>"],
    ["norms", "‖Mᵀ·u‖", "{‖{<msup>MT</msup>·u}‖}"],
    ["bars within calls", "f(|x − m|)", "{f\u2061{({|{x−m}|})}}"],
    ["powers of ten", "1/m − 1e-4", "<mfrac>1m</mfrac>−<msup>10{−4}</msup>"],
    ["names with a digit", "x1² + P₀", "<msup><msub>x1</msub>2</msup>+<msub>P0</msub>"],
    ["indexed values", "gamma[c] = w'[b, ..., o]", "{γ{[c]}}={{w′}{[{b,…,o}]}}"],
    ["names of several letters stay", "runningMean + dMax", "runningMean+dMax"],
    ["gradients", "dx_t", "<msub>{dx}t</msub>"],
    ["signs before a value", "f(−a, b)", "{f\u2061{({−a,b})}}"],
    ["square brackets group", "k · [x·(1 − m)] / √d", "<mfrac>{k·{[{x·{({1−m})}}]}}<msqrt>d</msqrt></mfrac>"],
  ])("%s: %s", (_, source, expected) => expect([`{${expected}}`, expected]).toContain(set(source)));

  it("has words in it", () => {
    expect(set("y = v / √(sigma² + mean of v² over a window)")).toBe(
      "{y=<mfrac>v<msqrt>{<msup>σ2</msup>+<mtext>mean\u00a0of\u00a0</mtext><msup>v2</msup><mtext>\u00a0over\u00a0a\u00a0window</mtext>}</msqrt></mfrac>}",
    );
  });

  it("has its source as alternative, escaped", () => {
    expect(formulaHtml("‖x‖ < least", "F")).toContain('alttext="‖x‖ &lt; least"');
    expect(formulaHtml("y = (x − mean) / std", "F")).toContain('alttext="y = (x − mean) / std"');
  });

  it.each([
    ["y = (x + 1", "expected ), got"],
    ["y = x ·", "expected a name, a number or a parenthesis"],
    ["y = x)", "expected the end"],
    ["y = x # 2", 'what is "#"'],
    ["y = |x", "expected |, got"],
    ["y = x / ", "expected a name"],
  ])("refuses %s", (source, message) => {
    expect(() => formulaHtml(source, "F")).toThrow(SyntaxError);
    expect(() => formulaHtml(source, "F")).toThrow(message);
  });
});

describe("a block", () => {
  const linesOf = (source: string) => formulaHtml(source, "Formula").replace(/<math.*?<\/math>/gs, "M");

  it("has conditions beside its lines", () => {
    expect(linesOf("training:     y = x        for x in batch g\n              z = y\n")).toBe(
      '<div class="formula scroll" role="region" tabindex="0" aria-label="Formula">' +
        '<div class="when">training:</div><div class="line under"><span>M</span> <span class="remark">for M in batch M</span></div>\n' +
        '<div class="line under"><span>M</span></div></div>',
    );
  });
  it("takes a condition from before a colon", () => {
    expect(linesOf("inverse: x = z")).toContain(
      '<div class="when">inverse:</div><div class="line under"><span>M</span>',
    );
  });
  it("joins what is padded for its equals signs", () => {
    expect(linesOf("y    = x\nmean = z")).not.toContain("</span> <span>");
  });
  it("keeps names of options as code", () => {
    expect(linesOf("y = x    over `size` channels, 5 times")).toContain(
      "over <code>size</code> channels, 5 times",
    );
  });
  it("knows the article from the variable", () => {
    expect(linesOf("y = x    nodes of a graph")).toContain("nodes of a graph");
    expect(linesOf("y = x    a: SiLU, or sigmoid")).toContain("M: SiLU, or sigmoid");
  });
});

describe("every block of docs/norms", () => {
  const blocks = readdirSync(folder)
    .filter((name) => name.endsWith(".md"))
    .flatMap((name) =>
      formulasOf(readFileSync(folder + name, "utf8")).map((block, i) => ({
        name: `${name} ${i + 1}`,
        block,
      })),
    );

  /** Of MathML, what stands for a symbol of the source; brackets and divisions may go, since fractions and roots have lines. */
  const symbols = (text: string): string =>
    text
      .replace(/["`]/g, "")
      .replace(/\bxHat(?![A-Za-z])/g, "xˆ")
      .replace(/(\d)e[-−](\d)/g, (_, digit, power) =>
        digit === "1" ? `10−${power}` : `${digit}·10−${power}`,
      )
      .replace(/\b(alpha|beta|gamma|epsilon|mu|nu|sigma|tau)(?![A-Za-z])/g, (name) => GREEK[name])
      .replace(/[²³ᵀᵖ]/g, (sign) => ({ "²": "2", "³": "3", ᵀ: "T", ᵖ: "p" })[sign] as string)
      .replace(/[₀-₉]/g, (sign) => String(sign.charCodeAt(0) - 0x2080))
      .replace(/µ/g, "μ")
      .replace(/'(?!s)/g, "′")
      .replace(/\.\.\./g, "…")
      .replace(/Σ/g, "∑")
      .replace(/[\s\u2061()/√^_]/g, "");
  const GREEK: Record<string, string> = {
    alpha: "α",
    beta: "β",
    gamma: "γ",
    epsilon: "ε",
    mu: "μ",
    nu: "ν",
    sigma: "σ",
    tau: "τ",
  };
  const sorted = (text: string) => [...text].sort().join("");
  const textOf = (html: string) =>
    html
      .replace(/<[^>]*>/g, "")
      .replaceAll("&lt;", "<")
      .replaceAll("&gt;", ">")
      .replaceAll("&quot;", '"')
      .replaceAll("&#39;", "'")
      .replaceAll("&amp;", "&");

  it("is there", () => expect(blocks.length).toBeGreaterThanOrEqual(52));

  // scripts of a letter stand in another order than in the source, so symbols are counted
  it.each(blocks)("$name keeps its symbols", ({ block }) => {
    expect(sorted(symbols(textOf(formulaHtml(block, "Formula"))))).toBe(sorted(symbols(block)));
  });

  const CORE = "math mrow mi mn mo mtext mfrac msqrt msub msup msubsup munder mover div span code".split(" ");
  it("uses elements of MathML Core, closed in their order", () => {
    for (const { name, block } of blocks) {
      const open: string[] = [];
      for (const [, end, element] of formulaHtml(block, "Formula").matchAll(/<(\/?)(\w+)[^>]*>/g)) {
        if (!end) open.push(element);
        else expect(open.pop(), name).toBe(element);
        expect(CORE, name).toContain(element);
      }
      expect(open, name).toEqual([]);
    }
  });
});
