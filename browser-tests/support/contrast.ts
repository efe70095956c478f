import type { Page } from "playwright-core";

/** The contrast between the text of an element and what is painted behind it, as WCAG defines it: 1 to 21. */
export async function contrast(page: Page, selector: string): Promise<number> {
  return await page.locator(selector).first().evaluate((element) => {
    const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true })!;
    const paint = (colour: string): [number, number, number, number] => {
      canvas.clearRect(0, 0, 1, 1);
      canvas.fillStyle = colour;
      canvas.fillRect(0, 0, 1, 1);
      return [...canvas.getImageData(0, 0, 1, 1).data] as [number, number, number, number];
    };
    const luminance = (colour: string) => {
      const [red, green, blue] = paint(colour)
        .slice(0, 3)
        .map((channel) => channel / 255)
        .map((channel) => (channel <= 0.04045 ? channel / 12.92 : ((channel + 0.055) / 1.055) ** 2.4));
      return 0.2126 * red! + 0.7152 * green! + 0.0722 * blue!;
    };
    let behind: Element | null = element;
    while (behind && paint(getComputedStyle(behind).backgroundColor)[3] < 255) behind = behind.parentElement;
    const levels = [getComputedStyle(element).color, behind ? getComputedStyle(behind).backgroundColor : "white"];
    const [lighter, darker] = levels.map(luminance).sort((a, b) => b - a);
    return (lighter! + 0.05) / (darker! + 0.05);
  });
}
