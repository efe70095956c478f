import type { BrowserContextOptions, WebSocketRoute } from "playwright-core";
import { beforeEach, describe, expect, test } from "vitest";
import { ChatPage } from "./support/chat-page.js";
import { contrast } from "./support/contrast.js";
import { PlainSocket } from "./support/plain-socket.js";
import { LOST_CONNECTION, NARROW, Stage } from "./support/stage.js";

const LONG_WORD = "Donaudampfschifffahrtsgesellschaftskapitän".repeat(4);

const stage = new Stage();
beforeEach(() => stage.start("chat"));

async function open(name: string, options?: BrowserContextOptions): Promise<ChatPage> {
  return stage.admit(await ChatPage.open(stage.browser, stage.server.url, name, options));
}

async function blank(options?: BrowserContextOptions): Promise<ChatPage> {
  return stage.admit(await ChatPage.blank(stage.browser, options));
}

describe("the name", () => {
  test("is asked for, and remembered", async () => {
    const chat = await blank();
    await chat.page.goto(stage.server.url);
    await chat.page.getByLabel("Your name").fill("Ann");
    await chat.page.getByRole("button", { name: "Join" }).click();
    await chat.connection("connected");
    await chat.page.reload();
    await chat.connection("connected");
    expect(await chat.page.locator("#own-name").innerText()).toBe("Ann");
  });

  test("can be given in the address", async () => {
    const ann = await open("Ann");
    expect(await ann.page.locator("#own-name").innerText()).toBe("Ann");
    expect(await ann.page.locator("#welcome").isVisible()).toBe(false);
  });

  test("can be changed", async () => {
    const ann = await open("Ann");
    await ann.page.getByRole("button", { name: "change your name" }).click();
    expect(await ann.page.getByLabel("Your name").inputValue()).toBe("Ann");
    await ann.page.getByLabel("Your name").fill("Anna");
    await ann.page.getByLabel("Your name").press("Enter");
    await ann.connection("connected");
    await ann.say("It is still me");
    expect(await ann.lines()).toEqual([{ text: "It is still me", from: "Anna", own: true }]);
  });

  test("that the server refuses is asked for again, with the reason", async () => {
    const chat = await blank();
    await chat.page.goto(`${stage.server.url}/?name=system`);
    const alert = chat.page.locator("#welcome-alert[role=alert]");
    await alert.waitFor();
    expect(await alert.innerText()).toMatch(/^This name cannot be used/);
    expect(await chat.page.getByLabel("Your name").inputValue()).toBe("system");
  });
});

describe("messages", () => {
  test("of one person reach the other, and each sees which are their own", async () => {
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
  });

  test("of one sender in a row stand under one name and time", async () => {
    const [ann, bob] = [await open("Ann"), await open("Bob")];
    await ann.say("One");
    await ann.say("Two");
    await bob.hears("Two");
    await bob.say("Three");
    await bob.hears("Three");
    expect(await bob.page.locator(".message .sender").allInnerTexts()).toEqual(["Ann", "You"]);
    expect(await bob.page.locator(".message time[datetime]").count()).toBe(2);
  });

  test("are text, whatever is in them", async () => {
    const markup = "<b>bold</b> & <script>alert(1)</script>";
    const [ann, bob] = [await open("Ann"), await open("Bob")];
    await ann.say(markup);
    await bob.hears("bold");
    expect(await bob.texts()).toEqual([markup]);
    expect(await bob.page.locator("#messages :is(b, script)").count()).toBe(0);
  });

  test("are still there after a reload, in their order", async () => {
    const ann = await open("Ann");
    for (const text of ["One", "Two", "Three"]) await ann.say(text);
    await ann.page.reload();
    await ann.connection("connected");
    expect(await ann.lines()).toEqual(["One", "Two", "Three"].map((text) => ({ text, from: "Ann", own: true })));
  });

  test("have new lines by Shift+Enter, and go by Enter or the button", async () => {
    const ann = await open("Ann");
    await ann.page.locator("#text").pressSequentially("above");
    await ann.page.press("#text", "Shift+Enter");
    await ann.page.locator("#text").pressSequentially("below");
    await ann.page.press("#text", "Enter");
    await ann.hears("below");
    await ann.page.fill("#text", "by the button");
    await ann.page.getByRole("button", { name: "Send" }).click();
    await ann.hears("by the button");
    expect(await ann.texts()).toEqual(["above\nbelow", "by the button"]);
  });

  test("do not move the log while older ones are read", async () => {
    const [ann, bob] = [await open("Ann"), await open("Bob")];
    for (let line = 0; line < 30; line++) await ann.say(`line ${line}`);
    const log = bob.page.locator("#log");
    await bob.hears("line 29");
    expect(await bob.distanceFromEnd()).toBeLessThan(2);
    await log.evaluate((log) => log.scrollTo({ top: 40 }));
    await bob.page.waitForFunction(() => document.querySelector("#log")!.scrollTop === 40);
    await ann.say("one more");
    await bob.page.locator("#jump:not([hidden])").waitFor();
    expect(await log.evaluate((log) => log.scrollTop)).toBe(40);
    await bob.page.getByRole("button", { name: "New messages" }).click();
    expect(await bob.distanceFromEnd()).toBeLessThan(2);
    expect(await bob.page.locator("#jump").isVisible()).toBe(false);
  });

  test("stay in view while the writing below them grows", async () => {
    const ann = await open("Ann");
    for (let line = 0; line < 30; line++) await ann.say(`line ${line}`);
    // Chromium takes 5 ms to fill in each line.
    await ann.page.fill("#text", "aaaaaaaaaa\n".repeat(200));
    await ann.page.press("#text", "Enter");
    await ann.alert();
    await expect.poll(() => ann.distanceFromEnd()).toBeLessThan(2);
  });

  test("are invited where there are none", async () => {
    const ann = await open("Ann");
    const empty = ann.page.getByText("No messages yet");
    await empty.waitFor();
    await ann.say("Hello");
    expect(await empty.isVisible()).toBe(false);
  });
});

describe("what is refused", () => {
  test("an empty message, by the server, is shown in words", async () => {
    const ann = await open("Ann");
    await ann.page.getByRole("button", { name: "Send" }).click();
    expect(await ann.alert()).toEqual({
      code: "VALIDATION_FAILED",
      text: "Your message is empty. Write something first.",
    });
    await ann.page.locator("#text").pressSequentially("So");
    expect(await ann.page.locator("#alert").isVisible()).toBe(false);
  });

  test("a message that is too long says by how much, and stays", async () => {
    const ann = await open("Ann");
    await ann.page.fill("#text", "x".repeat(2001));
    await ann.page.press("#text", "Enter");
    const { code, text } = await ann.alert();
    expect(code).toBe("VALIDATION_FAILED");
    expect(text).toMatch(/at most 2.?000 characters, and yours has 2.?001/);
    expect(await ann.page.inputValue("#text")).toHaveLength(2001);
  });
});

describe("the others", () => {
  test("are shown while they type, until they send", async () => {
    const [ann, bob, cat] = [await open("Ann"), await open("Bob"), await open("Cat")];
    const typing = ann.page.locator("#typing");
    await bob.page.locator("#text").pressSequentially("Hm");
    await expect.poll(() => typing.innerText()).toBe("Bob is typing…");
    await cat.page.locator("#text").pressSequentially("Well");
    await expect.poll(() => typing.innerText()).toBe("Bob and Cat are typing…");
    await bob.page.press("#text", "Enter");
    await expect.poll(() => typing.innerText()).toBe("Cat is typing…");
    await cat.page.fill("#text", "");
    await expect.poll(() => typing.innerText()).toBe("");
    await expect.poll(() => bob.page.locator("#typing").innerText()).toBe("");
  });

  test("are no longer shown once they pause", async () => {
    const [ann, bob] = [await open("Ann"), await open("Bob")];
    await bob.page.locator("#text").pressSequentially("Hm");
    await expect.poll(() => ann.page.locator("#typing").innerText()).toBe("Bob is typing…");
    await expect.poll(() => ann.page.locator("#typing").innerText(), { timeout: 5_000 }).toBe("");
  });

  test("are announced and counted as they come and go", async () => {
    const ann = await open("Ann");
    const count = ann.page.locator("#count");
    await expect.poll(() => count.innerText()).toBe("1 here");
    const bob = await open("Bob");
    await ann.page.locator('[data-notice="joined"][data-user="Bob"]', { hasText: "Bob joined" }).waitFor();
    await expect.poll(() => count.innerText()).toBe("2 here");
    await bob.page.close();
    await ann.page.locator('[data-notice="left"][data-user="Bob"]', { hasText: "Bob left" }).waitFor();
    await expect.poll(() => count.innerText()).toBe("1 here");
    expect(await ann.page.locator('[data-user="Ann"]').count()).toBe(0);
  });
});

describe("a lost connection", () => {
  test("to a server that starts again comes back, and the chat goes on", async () => {
    const [ann, bob] = [await open("Ann"), await open("Bob")];
    await ann.say("Before");
    await bob.hears("Before");
    await stage.server.kill();
    await ann.connection("reconnecting");
    await bob.connection("reconnecting");
    await ann.page.fill("#text", "Written meanwhile");
    await ann.page.press("#text", "Enter");
    await ann.page.getByText("Waits for the connection").waitFor();

    await stage.server.restart();
    await ann.connection("connected");
    await bob.connection("connected");
    await bob.hears("Written meanwhile");
    await bob.say("Welcome back");
    await ann.hears("Welcome back");
    for (const page of [ann, bob]) {
      expect(await page.texts()).toEqual(["Before", "Written meanwhile", "Welcome back"]);
      expect(await page.page.locator("#offline").isVisible()).toBe(false);
      page.forgive(LOST_CONNECTION);
    }
  });

  test.each([
    ["a few messages", 3],
    ["more messages than a join brings", 60],
  ])("that missed %s fills the gap, each once and in order", async (_, missed) => {
    const ann = await blank();
    const wires: WebSocketRoute[] = [];
    await ann.page.routeWebSocket(/socket\.io/, (wire) => {
      wire.connectToServer();
      wires.push(wire);
    });
    await ann.enter(stage.server.url, "Ann");
    await ann.say("Before");

    await ann.page.route("**/socket.io/**", (route) => route.abort());
    await Promise.all(wires.map((wire) => wire.close()));
    await ann.connection("reconnecting");
    const { socket: bob } = await PlainSocket.connect(stage.server.url, "websocket", { userId: "Bob" });
    await bob.ask("dialogue:join", { roomId: "general" });
    const texts = Array.from({ length: missed }, (_, index) => `Missed ${index}`);
    for (const text of texts) {
      const trigger = { roomId: "general", event: "message", data: { text } };
      expect(await bob.ask("dialogue:trigger", trigger)).toMatchObject({ ok: true });
    }
    bob.close();

    await ann.page.unroute("**/socket.io/**");
    await ann.connection("connected");
    await ann.say("After");
    expect(await ann.texts()).toEqual(["Before", ...texts, "After"]);
    ann.forgive(LOST_CONNECTION);
  });

  test("to a server that is not up yet is made once it is", async () => {
    const ann = await open("Ann");
    await stage.server.kill();
    await ann.connection("reconnecting");
    await ann.page.getByRole("button", { name: "change your name" }).click();
    await ann.page.getByRole("button", { name: "Join" }).click();
    await ann.connection("connecting");
    await stage.server.restart();
    await ann.connection("connected");
    await ann.say("Here at last");
    expect(await ann.texts()).toEqual(["Here at last"]);
    ann.forgive(LOST_CONNECTION);
  });
});

describe("how it looks", () => {
  test("at 360 px nothing makes the page scroll sideways", async () => {
    const prompt = await blank(NARROW);
    await prompt.page.goto(stage.server.url);
    await prompt.page.getByLabel("Your name").waitFor();
    expect(await prompt.scrollsSideways()).toBe(false);

    const [ann, bob] = [await open("Ann", NARROW), await open(LONG_WORD.slice(0, 40), NARROW)];
    await bob.say(LONG_WORD);
    await ann.hears(LONG_WORD);
    await bob.page.locator("#text").pressSequentially("Hm");
    await ann.page.locator("#typing span").waitFor();
    await ann.page.getByRole("button", { name: "Send" }).click();
    await ann.alert();
    expect(await ann.scrollsSideways()).toBe(false);
    expect(await bob.scrollsSideways()).toBe(false);
    const send = (await ann.page.locator("#send").boundingBox())!;
    expect(send.x + send.width).toBeLessThanOrEqual(360);
    expect(send.y + send.height).toBeLessThanOrEqual(640);
  });

  test.each(["light", "dark"] as const)("in the %s scheme its text can be read", async (colorScheme) => {
    const [ann, bob] = [await open("Ann", { colorScheme }), await open("Bob")];
    await bob.say("Hello");
    await ann.hears("Hello");
    await ann.say("Hi");
    await bob.page.locator("#text").pressSequentially("Hm");
    await ann.page.locator("#typing span").waitFor();
    await ann.page.getByRole("button", { name: "Send" }).click();
    await ann.alert();
    const brightness = await ann.page.locator("#chat").evaluate((chat) => {
      return Number(/\d+/.exec(getComputedStyle(chat).backgroundColor)![0]);
    });
    expect(brightness > 128).toBe(colorScheme === "light");
    for (const selector of [
      "#room-name",
      "#count",
      "#connection",
      "#own-name",
      ".message:not(.own) .text",
      ".message.own .text",
      ".message time",
      ".message .sender",
      ".message .avatar",
      ".notice",
      "#typing span",
      "#alert span",
      "#text",
    ]) {
      expect(await contrast(ann.page, selector), selector).toBeGreaterThanOrEqual(4.5);
    }
  });

  test.runIf(process.env.SCREENSHOT)("is worth a picture", async () => {
    const ada = await open("Ada", { deviceScaleFactor: 2 });
    const [grace, linus] = [await open("Grace"), await open("Linus")];
    await grace.say("Morning! Did the new build make it to staging?");
    await linus.say("It did, and nobody noticed the restart.");
    await ada.say("I had three tabs open and did not lose a line.");
    await grace.say("Then let's ship it after lunch?");
    await ada.say("Yes, please!");
    await linus.page.locator("#text").pressSequentially("On it");
    await ada.page.locator("#typing span").waitFor();
    await expect.poll(() => ada.page.locator("#count").innerText()).toBe("3 here");
    await ada.page.screenshot({ path: process.env.SCREENSHOT! });
  });
});
