import { join } from "node:path";
import type { BrowserContextOptions } from "playwright-core";
import { afterEach } from "vitest";
import { Proxy } from "../../dialogue-client/typescript/tests/support/proxy.js";
import { type Database, sqlite } from "./database.js";
import { PersonsPage } from "./persons-page.js";
import { Stage } from "./stage.js";
import { ViteServer } from "./vite-server.js";

/** The examples that have a page. */
export const SITES = ["chat", "persistence", "rooms", "authenticated", "react-chat"] as const;
export type Site = (typeof SITES)[number];

/** The page of any example, behind a proxy that can cut it off from its server. */
export class Sites {
  readonly #stage: Stage;
  #site: Site = "chat";
  #proxy: Proxy | undefined;
  #vite: ViteServer | undefined;
  #database: Database | undefined;

  /** Made at the top of a file, as a stage is. */
  constructor() {
    // Before the stage, so that it is done after the pages are closed.
    afterEach(async () => {
      await this.#vite?.stop();
      this.#proxy?.stop();
      await this.#database?.discard();
      this.#vite = this.#proxy = this.#database = undefined;
    });
    this.#stage = new Stage();
  }

  async start(site: Site): Promise<void> {
    this.#site = site;
    this.#database = await sqlite();
    await this.#stage.start(site === "react-chat" ? "chat" : site, { DATABASE_URL: this.#database.url });
    this.#proxy = await Proxy.start(this.#stage.server.url);
    if (site === "react-chat") this.#vite = await ViteServer.start(this.#proxy.url);
  }

  /** Cuts the pages off, or lets them through again. */
  get proxy(): Proxy {
    return this.#proxy!;
  }

  get #url(): string {
    return this.#vite?.url ?? this.proxy.url;
  }

  /** A page that nothing is loaded into yet. */
  async blank(options?: BrowserContextOptions): Promise<PersonsPage> {
    return this.#stage.admit(await PersonsPage.blank(this.#stage.browser, options));
  }

  /** Loads the page as somebody sees it who has not said who they are. */
  async visit({ page }: PersonsPage): Promise<void> {
    await page.goto(this.#url);
  }

  /** Loads the page, and says who it is: `ada` or `bob`, or one whom the server does not let in. */
  async present({ page }: PersonsPage, name: "ada" | "bob" | "system"): Promise<void> {
    const passwords = { ada: "lovelace", bob: "builder", system: "guess" };
    if (this.#site !== "authenticated") return void (await page.goto(`${this.#url}/?name=${name}`));
    await page.goto(this.#url);
    await page.getByLabel("Name").fill(name);
    await page.getByLabel("Password").fill(passwords[name]);
    await page.getByRole("button", { name: "Log in" }).click();
  }

  /** A page whose person is in the room. */
  async enter(name: "ada" | "bob", options?: BrowserContextOptions): Promise<PersonsPage> {
    const person = await this.blank(options);
    await this.present(person, name);
    await this.entered(person);
    return person;
  }

  /** Waits until the person is in the room, and connected. */
  async entered({ page }: PersonsPage): Promise<void> {
    await page.getByText("Connected", { exact: true }).waitFor();
    await page.getByRole("button", { name: "Send", exact: true, disabled: false }).waitFor();
  }

  /** Types a message, and presses Enter. */
  async write({ page }: PersonsPage, text: string): Promise<void> {
    await page.fill("#text", text);
    await page.press("#text", "Enter");
  }

  /** The script of the page that brings the client. */
  get script(): string {
    return this.#site === "react-chat" ? "**/src/main.tsx" : "**/dialogue/client.js";
  }
}

/** Takes a picture where the variable `PICTURES` names a folder for them. */
export async function picture({ page }: PersonsPage, name: string): Promise<void> {
  if (process.env.PICTURES) await page.screenshot({ path: join(process.env.PICTURES, `${name}.png`) });
}
