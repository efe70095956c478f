import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { blankPage } from "./persons-page.js";
import { TalkPage } from "./talk-page.js";

/** A line of the log, as a reader sees it. */
export interface Line {
  readonly text: string;
  readonly from: string | undefined;
  readonly own: boolean;
}

/** The chat page of one person. */
export class ChatPage extends TalkPage {
  /** Opens a page that nothing is loaded into yet. */
  static async blank(browser: Browser, options: BrowserContextOptions = {}): Promise<ChatPage> {
    return new ChatPage(await blankPage(browser, options));
  }

  /** The page of a browser's tab that nothing is loaded into yet. */
  static inTab(tab: Page): ChatPage {
    return new ChatPage(tab);
  }

  /** Opens the chat under a name; resolves when it is in the room. */
  static async open(browser: Browser, url: string, name: string, options?: BrowserContextOptions): Promise<ChatPage> {
    const chat = await ChatPage.blank(browser, options);
    await chat.enter(url, name);
    return chat;
  }

  /** Loads the chat under a name; resolves when it is in the room. */
  async enter(url: string, name: string): Promise<void> {
    await this.page.goto(`${url}/?name=${encodeURIComponent(name)}`);
    await this.connection("connected");
  }

  /** Waits for a state of the connection, as the page shows it. */
  async connection(state: "connecting" | "connected" | "reconnecting" | "disconnected" | "outside"): Promise<void> {
    await this.page.locator(`#connection[data-state="${state}"]`).waitFor();
  }

  /** The messages in the log, from the top. */
  async lines(): Promise<Line[]> {
    return await this.page.locator(".message").evaluateAll((lines) =>
      lines.map((line) => ({
        text: line.querySelector(".text")!.textContent,
        from: (line as HTMLElement).dataset.from,
        own: line.classList.contains("own"),
      })),
    );
  }

  /** Waits for the alert; resolves with its code and words. */
  async alert(): Promise<{ code: string | null; text: string }> {
    const alert = this.page.locator("#alert:not([hidden])[role=alert]");
    await alert.waitFor();
    return { code: await alert.getAttribute("data-code"), text: await alert.locator("span").innerText() };
  }
}
