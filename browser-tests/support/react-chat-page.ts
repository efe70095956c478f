import type { Browser, BrowserContextOptions } from "playwright-core";
import { blankPage } from "./persons-page.js";
import { TalkPage } from "./talk-page.js";

/** The page of `examples/react-chat`, of one person. */
export class ReactChatPage extends TalkPage {
  /** The rooms of every `dialogue:join` that went over the page's wires. */
  readonly joins: string[] = [];

  /** Opens the chat under a name; resolves when the page is there. */
  static async open(
    browser: Browser,
    url: string,
    name: string,
    options?: BrowserContextOptions,
  ): Promise<ReactChatPage> {
    const chat = new ReactChatPage(await blankPage(browser, options));
    const note = (sent: string | Buffer | null) => {
      for (const [, roomId] of String(sent).matchAll(/"dialogue:join",\{"roomId":"([^"]+)"/g)) chat.joins.push(roomId!);
    };
    chat.page.on("websocket", (socket) => socket.on("framesent", ({ payload }) => note(payload)));
    chat.page.on("request", (request) => request.url().includes("/socket.io/") && note(request.postData()));
    await chat.page.goto(`${url}/?name=${encodeURIComponent(name)}`);
    return chat;
  }

  /** Waits until the room is joined. */
  async joined(): Promise<void> {
    await this.page.locator('.connection[data-state="connected"][data-room="joined"]').waitFor();
  }
}
