import type { BrowserContextOptions } from "playwright-core";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { ChatPage } from "./support/chat-page.js";
import { contrast } from "./support/contrast.js";
import { type Database, postgres, sqlite } from "./support/database.js";
import { PlainSocket } from "./support/plain-socket.js";
import { LOST_CONNECTION, NARROW, Stage } from "./support/stage.js";

const POSTGRES = process.env.DIALOGUE_TEST_POSTGRES;
const DATABASES = [
  { kind: "SQLite", create: sqlite },
  ...(POSTGRES ? [{ kind: "PostgreSQL", create: () => postgres(POSTGRES) }] : []),
];
const LONG_WORD = "Donaudampfschifffahrtsgesellschaftskapitän".repeat(4);

let database: Database;
afterEach(() => database.discard());
const stage = new Stage();

async function start(create: () => Promise<Database>): Promise<void> {
  database = await create();
  await stage.start("persistence", { DATABASE_URL: database.url });
}

async function open(name: string, options?: BrowserContextOptions): Promise<ChatPage> {
  return stage.admit(await ChatPage.open(stage.browser, stage.server.url, name, options));
}

async function blank(options?: BrowserContextOptions): Promise<ChatPage> {
  return stage.admit(await ChatPage.blank(stage.browser, options));
}

/** Numbered messages; resolves with their texts once they are stored. */
async function store(count: number, word = "Line"): Promise<string[]> {
  const texts = Array.from({ length: count }, (_, index) => `${word} ${index}`);
  const senders = ["Bob", "Cat", "Dan", "Eve"];
  // A connection triggers 200 events at once.
  for (let from = 0; from < count; from += 150) {
    const username = senders[(from / 150) % senders.length]!;
    const { socket } = await PlainSocket.connect(stage.server.url, "websocket", { userId: username });
    await socket.ask("dialogue:join", { roomId: "general" });
    const triggers = texts.slice(from, from + 150).map((text) => {
      return socket.ask("dialogue:trigger", { roomId: "general", event: "message", data: { text } });
    });
    for (const answer of await Promise.all(triggers)) expect(answer).toMatchObject({ ok: true });
    socket.close();
  }
  return texts;
}

/** Scrolls to the top; resolves with what was there, how far up, and of how many. */
async function scrollToTop({ page }: ChatPage): Promise<{ text: string; top: number; of: number }> {
  return await page.locator("#log").evaluate((log) => {
    log.scrollTo({ top: 0 });
    const first = log.querySelector(".message .text")!;
    return {
      text: first.textContent,
      top: first.getBoundingClientRect().top,
      of: log.querySelectorAll(".message").length,
    };
  });
}

/** Scrolls to the top until older messages are there; says how far what was read has moved. */
async function loadOlder(chat: ChatPage): Promise<number> {
  const read = await scrollToTop(chat);
  await chat.page.waitForFunction((of) => document.querySelectorAll(".message").length > of, read.of);
  const text = chat.page.locator(".message .text").getByText(read.text, { exact: true });
  return Math.abs((await text.evaluate((text) => text.getBoundingClientRect().top)) - read.top);
}

/** Waits until the top says something. */
async function top({ page }: ChatPage, state: "beginning" | "failed" | "loading"): Promise<string> {
  await page.locator(`#top[data-state="${state}"]`).waitFor({ timeout: 15_000 });
  return await page.locator("#top [role=status]").innerText();
}

describe.each(DATABASES)("with its history in $kind, the page", ({ create }) => {
  beforeEach(() => start(create));

  test("is scrolled back to the beginning: each message once, and what is read stays in place", async () => {
    const texts = await store(530);
    const ann = await open("Ann");
    expect(await ann.texts()).toEqual(texts.slice(-50));
    expect(await ann.distanceFromEnd()).toBeLessThan(2);
    while ((await ann.texts()).length < texts.length) {
      expect(await loadOlder(ann)).toBeLessThan(2);
      // Somebody talks meanwhile, so that pages that count from the newest move.
      texts.push(...(await store(1, `Said at ${texts.length}, part`)));
      await ann.hears(texts.at(-1)!);
    }
    expect(await ann.texts()).toEqual(texts);
    await scrollToTop(ann);
    expect(await top(ann, "beginning")).toBe("This is the beginning of the conversation.");
    const days = await ann.page.locator(".day:visible").allInnerTexts();
    expect(days.length).toBe(new Set(days).size);
    await ann.page.getByRole("button", { name: "New messages" }).click();
    expect(await ann.distanceFromEnd()).toBeLessThan(2);
  });

  test("finds everything again after a crash of the server, and what came meanwhile once", async () => {
    const before = await store(70);
    const ann = await open("Ann");
    await ann.say("Before the crash");
    await stage.server.kill();
    await ann.connection("reconnecting");
    expect(await ann.page.locator("#offline").innerText()).toContain("The connection was lost.");
    await ann.page.route("**/socket.io/**", (route) => route.abort());
    await stage.server.restart();
    const meanwhile = await store(120, "Meanwhile");
    await ann.page.unroute("**/socket.io/**");
    await ann.connection("connected");
    await ann.say("After it");
    const shown = [...before.slice(-50), "Before the crash", ...meanwhile, "After it"];
    await expect.poll(() => ann.texts()).toEqual(shown);
    await loadOlder(ann);
    expect(await ann.texts()).toEqual([...before, ...shown.slice(50)]);
    ann.forgive(LOST_CONNECTION);
  });

  test("says when the database cannot be reached, and goes on once it can", async () => {
    const texts = await store(3);
    await stage.server.kill();
    await stage.server.restart();
    await database.lock();
    const ann = await blank();
    await ann.page.goto(`${stage.server.url}/?name=Ann`);
    await ann.connection("outside");
    const words = ann.page.locator("#offline");
    expect(await words.innerText()).toContain("Messages cannot be kept or read at the moment.");
    await database.unlock();
    const ready = async () => (await fetch(`${stage.server.url}/dialogue/ready`)).status;
    await expect.poll(ready, { timeout: 10_000 }).toBe(200);
    await words.getByRole("button", { name: "Try again" }).click();
    await ann.connection("connected");
    expect(await words.isVisible()).toBe(false);
    expect(await ann.texts()).toEqual(texts);
  });
});

describe("the page", () => {
  beforeEach(() => start(sqlite));

  test("asks for a name, and remembers it", async () => {
    const ann = await blank();
    await ann.page.goto(stage.server.url);
    await ann.page.getByLabel("Your name").fill("Ann");
    await ann.page.getByRole("button", { name: "Join" }).click();
    await ann.connection("connected");
    await ann.page.reload();
    await ann.connection("connected");
    expect(await ann.page.locator("#own-name").innerText()).toBe("Ann");
  });

  test("invites to write where nothing was said", async () => {
    const ann = await open("Ann");
    const empty = ann.page.getByText("No messages yet");
    await empty.waitFor();
    await ann.say("Hello");
    expect(await empty.isVisible()).toBe(false);
    expect(await top(ann, "beginning")).toBe("This is the beginning of the conversation.");
  });

  test("of one person shows what the other says, and reads it out", async () => {
    const [ann, bob] = [await open("Ann"), await open("Bob")];
    await ann.say("Hello Bob");
    await bob.hears("Hello Bob");
    await bob.say("Hello Ann");
    await ann.hears("Hello Ann");
    expect(await ann.lines()).toEqual([
      { text: "Hello Bob", from: "Ann", own: true },
      { text: "Hello Ann", from: "Bob", own: false },
    ]);
    expect((await bob.lines()).map(({ own }) => own)).toEqual([false, true]);
    expect(await ann.page.locator("[aria-live=polite]").innerText()).toBe("Bob: Hello Ann");
    expect(await ann.page.locator(".message .sender").allInnerTexts()).toEqual(["You", "Bob"]);
  });

  test("is scrolled by keyboard", async () => {
    const texts = await store(180);
    const ann = await open("Ann");
    await ann.page.getByRole("region", { name: "Messages" }).focus();
    for (const count of [100, 150, 180]) {
      await ann.page.keyboard.press("Home");
      await expect.poll(async () => (await ann.texts()).length).toBe(count);
    }
    expect(await ann.texts()).toEqual(texts);
  });

  test("fills a window that is higher than what it begins with", async () => {
    const texts = await store(90);
    const ann = await open("Ann", { viewport: { width: 1_000, height: 4_000 } });
    await expect.poll(() => ann.texts()).toEqual(texts);
    expect(await ann.distanceFromEnd()).toBeLessThan(2);
  });

  test("waits where it asks for more than it may, and gets it", async () => {
    const texts = await store(120);
    const ann = await open("Ann");
    const { socket } = await PlainSocket.connect(stage.server.url, "websocket", { userId: "Ann" });
    await socket.ask("dialogue:join", { roomId: "general" });
    const asked = Array.from({ length: 60 }, () => {
      return socket.ask("dialogue:getHistory", { roomId: "general", eventName: "message", end: 1 });
    });
    expect(await Promise.all(asked)).toContainEqual(expect.objectContaining({ code: "RATE_LIMITED" }));
    socket.close();
    await loadOlder(ann);
    await loadOlder(ann);
    expect(await ann.texts()).toEqual(texts);
  });

  test("says that a message is too long, and keeps it", async () => {
    const ann = await open("Ann");
    await ann.page.fill("#text", "x".repeat(2001));
    await ann.page.press("#text", "Enter");
    const { code, text } = await ann.alert();
    expect(code).toBe("VALIDATION_FAILED");
    expect(text).toMatch(/at most 2.?000 characters, and yours has 2.?001/);
    expect(await ann.page.inputValue("#text")).toHaveLength(2001);
  });

  test("says that older messages did not come, and tries again when told to", async () => {
    const texts = await store(80);
    const ann = await open("Ann");
    stage.server.freeze();
    await scrollToTop(ann);
    expect(await top(ann, "loading")).toBe("Loading messages…");
    expect(await top(ann, "failed")).toBe("The server did not answer in time.");
    stage.server.thaw();
    await ann.page.locator("#top").getByRole("button", { name: "Try again" }).click();
    await top(ann, "beginning");
    expect(await ann.texts()).toEqual(texts);
  });

  test("that was not let in comes in once the server was started again", async () => {
    await database.lock();
    const ann = await blank();
    await ann.page.goto(`${stage.server.url}/?name=Ann`);
    await ann.connection("outside");
    await stage.server.kill();
    await ann.connection("reconnecting");
    await database.unlock();
    await stage.server.restart();
    await ann.connection("connected");
    await ann.say("Here at last");
    expect(await ann.texts()).toEqual(["Here at last"]);
    ann.forgive(LOST_CONNECTION);
  });

  test("at 360 px does not scroll sideways", async () => {
    const prompt = await blank(NARROW);
    await prompt.page.goto(stage.server.url);
    await prompt.page.getByLabel("Your name").waitFor();
    expect(await prompt.scrollsSideways()).toBe(false);

    const [ann, bob] = [await open("Ann", NARROW), await open(LONG_WORD.slice(0, 40), NARROW)];
    await bob.say(LONG_WORD);
    await ann.hears(LONG_WORD);
    await ann.page.getByRole("button", { name: "Send" }).click();
    await ann.alert();
    expect(await ann.scrollsSideways()).toBe(false);
    expect(await bob.scrollsSideways()).toBe(false);
    const send = (await ann.page.locator("#send").boundingBox())!;
    expect(send.x + send.width).toBeLessThanOrEqual(360);
    expect(send.y + send.height).toBeLessThanOrEqual(640);
  });

  test.each(["light", "dark"] as const)("can be read in the %s", async (colorScheme) => {
    const ann = await open("Ann", { colorScheme });
    expect(await contrast(ann.page, "#empty strong")).toBeGreaterThanOrEqual(4.5);
    expect(await contrast(ann.page, "#empty p")).toBeGreaterThanOrEqual(4.5);
    await store(1);
    await ann.say("Hi");
    await ann.page.getByRole("button", { name: "Send" }).click();
    await ann.alert();
    for (const selector of [
      "#room-name",
      "#connection",
      "#own-name",
      "#top [role=status]",
      ".day",
      ".message:not(.own) .text",
      ".message.own .text",
      ".message time",
      ".message .sender",
      "#alert span",
      "#text",
      "#send",
    ]) {
      expect(await contrast(ann.page, selector), selector).toBeGreaterThanOrEqual(4.5);
    }
    await stage.server.kill();
    await ann.connection("reconnecting");
    expect(await contrast(ann.page, "#offline span")).toBeGreaterThanOrEqual(4.5);
    expect(await contrast(ann.page, "#send")).toBeGreaterThanOrEqual(4.5);
    ann.forgive(LOST_CONNECTION);
  });
});
