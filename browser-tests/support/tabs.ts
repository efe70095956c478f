import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import playwright, { type BrowserContext, type Page } from "playwright-core";
import { announced } from "../../dialogue-client/typescript/tests/support/announced.js";
import { ended } from "../../dialogue-client/typescript/tests/support/ended.js";
import { CHROMIUM, FLAGS } from "./persons-page.js";

/**
 * One window of a browser, in which a tab that is shown hides the others:
 * Playwright makes its own pages believe that they are all shown.
 */
export class Tabs {
  private constructor(
    private readonly context: BrowserContext,
    readonly close: () => Promise<void>,
  ) {}

  static async open(): Promise<Tabs> {
    const profile = await mkdtemp(join(tmpdir(), "chromium-"));
    // A window that is still being opened can keep whoever connects waiting for ever.
    const own = ["--no-startup-window", "--remote-debugging-port=0", `--user-data-dir=${profile}`];
    const chromium = spawn(CHROMIUM, [...FLAGS, ...own], { stdio: ["ignore", "ignore", "pipe"] });
    const stop = async () => {
      await ended(chromium, "SIGTERM");
      await rm(profile, { recursive: true, force: true, maxRetries: 5 });
    };
    try {
      const url = await announced(chromium.stderr, /^DevTools listening on (\S+)$/, "Chromium ended before it listened");
      const browser = await playwright.chromium.connectOverCDP(url, { noDefaults: true });
      return new Tabs(browser.contexts()[0]!, stop);
    } catch (error) {
      await stop();
      throw error;
    }
  }

  /** Opens a tab, and shows it. */
  async add(): Promise<Page> {
    const tab = await this.context.newPage();
    await tab.bringToFront();
    return tab;
  }

  /** Stops everything that a hidden tab does, as browsers do after a while; resolves with what lets it go on. */
  async freeze(tab: Page): Promise<() => Promise<void>> {
    const session = await this.context.newCDPSession(tab);
    await session.send("Page.setWebLifecycleState", { state: "frozen" });
    return async () => {
      await session.send("Page.setWebLifecycleState", { state: "active" });
    };
  }
}
