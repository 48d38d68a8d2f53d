/** What a page saves: its name and contents, caught where the download begins. */
import type { Page } from "puppeteer-core";

/** @param label of the button that saves it */
export async function saved(page: Page, label: string): Promise<{ name: string; bytes: Buffer }> {
  const { name, base64 } = await page.evaluate(async (wanted) => {
    const button = [...document.querySelectorAll("button")].find((each) => each.textContent === wanted);
    const [create, click] = [URL.createObjectURL, HTMLAnchorElement.prototype.click];
    let [name, blob] = ["", new Blob()];
    URL.createObjectURL = (object) => {
      blob = object as Blob;
      return create(object);
    };
    HTMLAnchorElement.prototype.click = function () {
      name = this.download;
    };
    button?.click();
    [URL.createObjectURL, HTMLAnchorElement.prototype.click] = [create, click];
    const reader = new FileReader();
    await new Promise((resolve) => {
      reader.onload = resolve;
      reader.readAsDataURL(blob);
    });
    return { name, base64: String(reader.result).replace(/^[^,]*,?/, "") };
  }, label);
  return { name, bytes: Buffer.from(base64, "base64") };
}
