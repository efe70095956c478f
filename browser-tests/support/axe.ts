import axe, { type AxeResults } from "axe-core";
import type { Page } from "playwright-core";

/** What axe finds wrong with a page as it is: each rule, and the elements that break it. */
export async function violations(page: Page): Promise<string[]> {
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate<AxeResults>("axe.run()");
  return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(", ")}`);
}
