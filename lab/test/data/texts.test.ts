import { expect, test } from "vitest";
import { vocabularyOf, wordsOf } from "../../src/data/texts.js";
import { columnOf, rows } from "../support/tables.js";

test.each<[string, string[]]>([
  ["Wow... LOVED this place!", ["wow", "loved", "this", "place"]],
  ["Don't, l’homme 'quoted'", ["don't", "l'homme", "quoted"]],
  ["e-mail ﬁne 3.5 ½x", ["e", "mail", "fine", "3", "5", "1", "2x"]],
  ["ÉTÉ été\u0301 straße", ["été", "été\u0301".normalize("NFKC"), "straße"]],
  ["good 👍🙂", ["good", "👍", "🙂"]],
  ["这家餐厅的菜很好吃 OK", ["这", "家", "餐厅", "的", "菜", "很好", "吃", "ok"]],
  ["อาหารอร่อยมาก", ["อาหาร", "อร่อย", "มาก"]],
  ["...", []],
])("words of %s", (text, words) => {
  expect([...wordsOf(text)]).toEqual(words);
});

test("most texts are read to their end, but never more than 128 words", () => {
  const texts = (longest: number, usual: number) =>
    columnOf(
      "t",
      rows(200, (i) =>
        Array<string>(i < 3 ? longest : usual)
          .fill("word")
          .join(" "),
      ),
    );
  const all = rows(200, (row) => row);
  expect(vocabularyOf(texts(1000, 9), all)).toEqual({ words: ["word"], length: 9, cut: 3 });
  expect(vocabularyOf(texts(1000, 300), all)).toEqual({ words: ["word"], length: 128, cut: 200 });
});

test("at most 10,000 words are known, the most frequent ones", () => {
  const words = rows(10_050, (i) => `w${i}`).join(" ");
  const { words: known } = vocabularyOf(columnOf("t", [words, words, "w10049 w10048", null]), [0, 1, 2, 3]);
  expect(known).toHaveLength(10_000);
  expect(known.slice(0, 2)).toEqual(["w10048", "w10049"]);
});
