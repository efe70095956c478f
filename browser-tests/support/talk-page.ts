import { PersonsPage } from "./persons-page.js";

/** A page of one person on which people talk. */
export class TalkPage extends PersonsPage {
  /** Types a message and presses Enter; resolves when the server has taken it. */
  async say(text: string): Promise<void> {
    await this.page.fill("#text", text);
    await this.page.press("#text", "Enter");
    await this.page.waitForFunction(() => (document.querySelector("#text") as HTMLTextAreaElement).value === "");
  }

  /** Waits for a message in the log. */
  async hears(text: string): Promise<void> {
    await this.page.locator(".message .text", { hasText: text }).first().waitFor();
  }

  /** The texts in the log, from the top. */
  async texts(): Promise<string[]> {
    return await this.page.locator(".message .text").allTextContents();
  }

  /** How far the log is from its end, in pixels. */
  async distanceFromEnd(): Promise<number> {
    const log = this.page.getByLabel("Messages", { exact: true });
    return await log.evaluate((log) => log.scrollHeight - log.scrollTop - log.clientHeight);
  }
}
