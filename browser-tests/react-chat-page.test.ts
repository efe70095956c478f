import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import type { BrowserContextOptions } from "playwright-core";
import { afterEach, describe, expect, onTestFinished, test } from "vitest";
import type { Example } from "../dialogue-client/typescript/tests/support/example-server.js";
import { Proxy } from "../dialogue-client/typescript/tests/support/proxy.js";
import { contrast } from "./support/contrast.js";
import { sqlite } from "./support/database.js";
import { PlainSocket } from "./support/plain-socket.js";
import { ReactChatPage } from "./support/react-chat-page.js";
import { LOST_CONNECTION, NARROW, Stage } from "./support/stage.js";
import { ViteServer } from "./support/vite-server.js";

const ROOT = join(import.meta.dirname, "..");
/** What the browser says of a connection that a test breaks, behind Vite. */
const CUT_OFF = new RegExp(`${LOST_CONNECTION.source}|Bad Gateway|Internal Server Error`);
const LONG_WORD = "Donaudampfschifffahrtsgesellschaftskapitän".repeat(4);

let proxy: Proxy | undefined;
let vite: ViteServer | undefined;

// Before the stage, so that it is done after the pages are closed.
afterEach(async () => {
  await vite?.stop();
  proxy?.stop();
  vite = proxy = undefined;
});
const stage = new Stage();

/** Starts an example, and the page before it, with a proxy in between that can cut them off. */
async function start(example: Example, environment?: NodeJS.ProcessEnv): Promise<void> {
  await stage.start(example, environment);
  proxy = await Proxy.start(stage.server.url);
  vite = await ViteServer.start(proxy.url);
}

async function open(name: string, options?: BrowserContextOptions): Promise<ReactChatPage> {
  return stage.admit(await ReactChatPage.open(stage.browser, vite!.url, name, options));
}

async function enter(name: string, options?: BrowserContextOptions): Promise<ReactChatPage> {
  const person = await open(name, options);
  await person.joined();
  return person;
}

/** Says things without a page. */
async function sayAll(name: string, texts: readonly string[]): Promise<void> {
  const { socket } = await PlainSocket.connect(stage.server.url, "websocket", { userId: name });
  await socket.ask("dialogue:join", { roomId: "general" });
  for (const text of texts) {
    const trigger = { roomId: "general", event: "message", data: { text } };
    expect(await socket.ask("dialogue:trigger", trigger)).toMatchObject({ ok: true });
  }
  socket.close();
}

function numbers(from: number, to: number): string[] {
  return Array.from({ length: to - from }, (_, index) => `line ${from + index}`);
}

test("its types are those of the chat server", async () => {
  await stage.start("chat");
  const codegen = join(ROOT, "dialogue-client/codegen/dist/main.js");
  const types = join(ROOT, "examples/react-chat/src/dialogue.gen.ts");
  await promisify(execFile)(process.execPath, [codegen, stage.server.url, "-o", types, "--check"]);
});

describe("under StrictMode", () => {
  test("two people talk, and each page joins the room once, whatever many components use it", async () => {
    await start("chat");
    const [ann, bob] = [await enter("Ann"), await enter("Bob")];
    await ann.say("Hello Bob");
    await bob.hears("Hello Bob");
    await bob.say("Hello Ann");
    await ann.hears("Hello Ann");
    expect(await ann.texts()).toEqual(["Hello Bob", "Hello Ann"]);
    expect(await bob.texts()).toEqual(["Hello Bob", "Hello Ann"]);
    expect(ann.joins).toEqual(["general"]);
    expect(bob.joins).toEqual(["general"]);
  });

  test("others are announced and counted as they come and go", async () => {
    await start("chat");
    const ann = await enter("Ann");
    const count = ann.page.locator(".count");
    await expect.poll(() => count.innerText()).toBe("1 here");
    const bob = await enter("Bob");
    await ann.page.getByText("Bob joined").waitFor();
    await expect.poll(() => count.innerText()).toBe("2 here");
    await bob.page.close();
    await ann.page.getByText("Bob left").waitFor();
    await expect.poll(() => count.innerText()).toBe("1 here");
  });

  test("others are shown while they type", async () => {
    await start("chat");
    const [ann, bob] = [await enter("Ann"), await enter("Bob")];
    const typists = ann.page.locator(".typists");
    await bob.page.locator("#text").pressSequentially("Hm");
    await expect.poll(() => typists.innerText()).toContain("Bob is typing…");
    await bob.page.press("#text", "Enter");
    await ann.hears("Hm");
    await expect.poll(() => typists.innerText()).toBe("");
    expect(await bob.page.locator(".typists").innerText()).toBe("");
  });

  test("a server that is not up yet is reached once it is", async () => {
    await start("chat");
    proxy!.refuse();
    const ann = await open("Ann");
    await ann.page.locator('.connection[data-state="connecting"]').waitFor();
    proxy!.admit();
    await ann.joined();
    ann.forgive(CUT_OFF);
  });

  test("a page that was cut off misses nothing, and shows nothing twice", async () => {
    await start("chat");
    const [ann, bob] = [await enter("Ann"), await enter("Bob")];
    await ann.say("Before");
    proxy!.refuse();
    await ann.page.locator('.connection[data-state="connecting"]').waitFor();
    await ann.page.fill("#text", "Written meanwhile");
    await ann.page.press("#text", "Enter");
    await sayAll("Cat", numbers(0, 60));

    proxy!.admit();
    await ann.joined();
    await bob.joined();
    await bob.hears("Written meanwhile");
    await bob.say("After");
    await ann.hears("After");
    for (const page of [ann, bob]) {
      expect(await page.texts()).toEqual(["Before", ...numbers(0, 60), "Written meanwhile", "After"]);
      page.forgive(CUT_OFF);
    }
  });

  test("five hundred messages are read back by scrolling, and what is being read stays where it is", async () => {
    const database = await sqlite();
    onTestFinished(() => database.discard());
    // It keeps more than the chat does.
    await start("persistence", { DATABASE_URL: database.url });
    await sayAll("Bob", numbers(0, 180));
    await sayAll("Cat", numbers(180, 360));
    await sayAll("Dan", numbers(360, 500));
    const ann = await enter("Ann");
    const log = ann.page.locator(".log");
    await ann.hears("line 499");
    expect(await ann.distanceFromEnd()).toBeLessThan(2);

    let shown = await ann.texts();
    while (shown[0] !== "line 0") {
      const [first] = shown;
      const jump = await log.evaluate(async (log, first) => {
        const mark = [...log.querySelectorAll(".text")].find(({ textContent }) => textContent === first)!;
        log.scrollTop = 0;
        const top = mark.getBoundingClientRect().top;
        const isFirst = () => log.querySelector(".text") === mark;
        await new Promise<void>((resolve) => {
          const observer = new MutationObserver(() => {
            if (isFirst()) return;
            observer.disconnect();
            resolve();
          });
          observer.observe(log, { childList: true, subtree: true });
          if (!isFirst()) resolve();
        });
        return Math.abs(mark.getBoundingClientRect().top - top);
      }, first);
      expect(jump).toBeLessThan(60);
      shown = await ann.texts();
    }
    expect(shown).toEqual(numbers(0, 500));
    await ann.page.locator(".older").waitFor({ state: "detached" });
    await sayAll("Dan", ["while one reads"]);
    await ann.hears("while one reads");
    expect(await log.evaluate((log) => log.scrollTop)).toBeLessThan(5_000);
    expect(await ann.texts()).toEqual([...numbers(0, 500), "while one reads"]);
  });
});

test.each(["light", "dark"] as const)("in the %s scheme, who has an older page is asked to load it again", async (colorScheme) => {
  await start("chat");
  const ann = await enter("Ann", { ...NARROW, colorScheme });
  // A request's URL can be changed on its way, a WebSocket's cannot.
  await ann.page.routeWebSocket(/\/socket\.io\//, (socket) => socket.close());
  await ann.page.route(/[?&]contract=/, (route) => {
    return route.continue({ url: route.request().url().replace(/contract=\w+/, "contract=older") });
  });
  await ann.page.reload();
  const note = ann.page.getByText("A new version is there.");
  await note.waitFor();
  await ann.joined();
  expect(await contrast(ann.page, ".outdated")).toBeGreaterThanOrEqual(4.5);
  expect(await contrast(ann.page, ".outdated button")).toBeGreaterThanOrEqual(4.5);
  expect(await ann.scrollsSideways()).toBe(false);
  await picture(ann, `outdated-${colorScheme}`);

  await ann.page.unrouteAll();
  await ann.page.getByRole("button", { name: "Reload" }).click();
  await note.waitFor({ state: "detached" });
  await ann.joined();
  expect(await note.count()).toBe(0);
});

describe("what is refused", () => {
  test("a room is said to be out of reach, and why", async () => {
    await start("rooms");
    const ann = await open("Ann");
    const denied = ann.page.locator(".denied [role=alert]");
    await denied.waitFor();
    expect(await denied.innerText()).toMatch(/^You cannot join this room/);
    expect(await ann.page.locator(".connection").innerText()).toBe("Not in the room");
    await picture(ann, "denied");
    expect(await ann.page.getByRole("button", { name: "Send" }).isDisabled()).toBe(true);
    await ann.page.getByRole("button", { name: "Try again" }).click();
    await denied.waitFor();
    expect(ann.joins).toEqual(["general", "general"]);
  });

  test("a name is asked for again, with the reason", async () => {
    await start("chat");
    const person = await open("system");
    await person.page.getByRole("alert").waitFor();
    expect(await person.page.getByRole("alert").innerText()).toMatch(/^This name cannot be used/);
    await picture(person, "refused");
    await person.page.getByLabel("Your name").fill("Ann");
    await person.page.getByRole("button", { name: "Join" }).click();
    await person.joined();
  });

  test("a message is explained, and stays to be mended", async () => {
    await start("chat");
    const ann = await enter("Ann");
    await ann.page.fill("#text", "x".repeat(2001));
    await ann.page.press("#text", "Enter");
    await ann.page.getByRole("alert").waitFor();
    expect(await ann.page.getByRole("alert").innerText()).toMatch(/between 1 and 2.?000 characters/);
    expect(await ann.page.inputValue("#text")).toHaveLength(2001);
  });

  test("who is disconnected by the server comes back by hand", async () => {
    await start("chat");
    const ann = await enter("Ann");
    proxy!.disconnect();
    await ann.page.getByRole("alert").waitFor();
    expect(await ann.page.locator(".connection").innerText()).toBe("Offline");
    await picture(ann, "offline");
    await ann.page.getByRole("button", { name: "Try again" }).click();
    await ann.joined();
    expect(await ann.page.getByRole("alert").count()).toBe(0);
  });
});

describe("how it looks", () => {
  test("at 360 px nothing makes the page scroll sideways", async () => {
    await start("chat");
    const [ann, bob] = [await enter("Ann", NARROW), await enter(LONG_WORD.slice(0, 40), NARROW)];
    await bob.say(LONG_WORD);
    await ann.hears(LONG_WORD);
    await bob.page.locator("#text").pressSequentially("Hm");
    await ann.page.locator(".typists .names").waitFor();
    await ann.page.getByRole("button", { name: "Send" }).click();
    await ann.page.getByRole("alert").waitFor();
    expect(await ann.scrollsSideways()).toBe(false);
    expect(await bob.scrollsSideways()).toBe(false);
    expect(await ann.page.locator(".log").evaluate((log) => log.scrollWidth - log.clientWidth)).toBe(0);
    const send = (await ann.page.getByRole("button", { name: "Send" }).boundingBox())!;
    expect(send.x + send.width).toBeLessThanOrEqual(360);
    expect(send.y + send.height).toBeLessThanOrEqual(640);
    await picture(ann, "narrow");
  });

  test.each(["light", "dark"] as const)("in the %s scheme its text can be read", async (colorScheme) => {
    await start("chat");
    const [ann, bob] = [await enter("Ann", { colorScheme }), await enter("Bob")];
    await picture(ann, `${colorScheme}-empty`);
    await bob.say("Did the new build make it to staging?");
    await ann.hears("staging");
    await ann.say("It did, and nobody noticed the restart.");
    await bob.page.locator("#text").pressSequentially("Hm");
    await ann.page.locator(".typists .names").waitFor();
    await ann.page.getByRole("button", { name: "Send" }).click();
    await ann.page.getByRole("alert").waitFor();
    await expect.poll(() => ann.page.locator(".count").innerText()).toBe("2 here");
    await picture(ann, colorScheme);
    for (const selector of [
      "header h1",
      ".count",
      ".connection",
      ".person",
      ".message:not(.own) .text",
      ".message.own .text",
      ".message time",
      ".message .sender",
      ".message .avatar",
      ".typists .names",
      ".alert span",
      "#text",
    ]) {
      expect(await contrast(ann.page, selector), selector).toBeGreaterThanOrEqual(4.5);
    }
  });
});

/** Takes a picture where the variable `PICTURES` names a folder for them. */
async function picture({ page }: ReactChatPage, name: string): Promise<void> {
  if (process.env.PICTURES) await page.screenshot({ path: join(process.env.PICTURES, `react-chat-${name}.png`) });
}
