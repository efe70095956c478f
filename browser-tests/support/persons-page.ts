import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core";

/** The system's Chromium. */
export const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";

/** How it is started. */
export const FLAGS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** Starts it, so that it shows all pages at once. */
export function launch(): Promise<Browser> {
  return chromium.launch({ executablePath: CHROMIUM, args: FLAGS });
}

/** A page in a browser context of its own: one person. */
export class PersonsPage {
  /** What the page wrote to the console as an error, and what it threw. */
  readonly problems: string[] = [];

  protected constructor(readonly page: Page) {
    page.setDefaultTimeout(10_000);
    page.on("pageerror", (error) => this.problems.push(String(error)));
    page.on("console", (entry) => {
      if (entry.type() === "error" || entry.type() === "warning") this.problems.push(entry.text());
    });
  }

  /** Opens a page that nothing is loaded into yet. */
  static async blank(browser: Browser, options: BrowserContextOptions = {}): Promise<PersonsPage> {
    return new PersonsPage(await blankPage(browser, options));
  }

  /** Opens a page. */
  static async visit(browser: Browser, url: string, options: BrowserContextOptions = {}): Promise<PersonsPage> {
    const person = new PersonsPage(await blankPage(browser, options));
    await person.page.goto(url);
    return person;
  }

  /** Takes what the browser itself says of an answer that was expected off the problems. */
  forgive(what: RegExp): void {
    this.problems.splice(0, this.problems.length, ...this.problems.filter((problem) => !what.test(problem)));
  }

  /** Whether something on the page is wider than the window. */
  async scrollsSideways(): Promise<boolean> {
    return await this.page.evaluate(() => document.documentElement.scrollWidth > window.innerWidth);
  }
}

/** A page that nothing is loaded into yet. */
export async function blankPage(browser: Browser, options: BrowserContextOptions = {}): Promise<Page> {
  const context = await browser.newContext({ viewport: { width: 900, height: 640 }, ...options });
  return await context.newPage();
}
