import type { BrowserContextOptions } from "playwright-core";
import { beforeEach, describe, expect, test } from "vitest";
import { contrast } from "./support/contrast.js";
import { PersonsPage } from "./support/persons-page.js";
import { NARROW, Stage } from "./support/stage.js";

/** What the browser itself says of a refused login. */
const REFUSED = /401/;

const stage = new Stage();

/** Starts a server whose tokens are good for so long. */
function start(seconds: number): Promise<void> {
  return stage.start("authenticated", { TOKEN_SECONDS: String(seconds) });
}

async function visit(options?: BrowserContextOptions): Promise<PersonsPage> {
  return stage.admit(await PersonsPage.visit(stage.browser, stage.server.url, options));
}

async function logIn({ page }: PersonsPage, name: string, password: string): Promise<void> {
  await page.getByLabel("Name").fill(name);
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Log in" }).click();
}

/** Logs in; resolves when the lounge is entered. */
async function open(name: string, password: string, options?: BrowserContextOptions): Promise<PersonsPage> {
  const person = await visit(options);
  await logIn(person, name, password);
  await inRoom(person, "Lounge");
  return person;
}

async function inRoom({ page }: PersonsPage, name: string): Promise<void> {
  await page.locator("nav button[aria-current]", { hasText: name }).waitFor();
}

async function alert({ page }: PersonsPage, id = "alert"): Promise<string> {
  const alert = page.locator(`#${id}:not([hidden])[role=alert]`);
  await alert.waitFor();
  return await alert.innerText();
}

async function say({ page }: PersonsPage, text: string): Promise<void> {
  await page.fill("#text", text);
  await page.press("#text", "Enter");
}

async function hears({ page }: PersonsPage, text: string): Promise<void> {
  await page.locator("#messages li", { hasText: text }).waitFor();
}

describe("the door", () => {
  beforeEach(() => start(60));

  test("opens with a password, and the token says who it is", async () => {
    const [ada, bob] = [await open("ada", "lovelace"), await open("bob", "builder")];
    await ada.page.locator("#who", { hasText: "ada, a VIP" }).waitFor();
    await bob.page.locator("#who", { hasText: "bob, a guest" }).waitFor();
    await say(ada, "Good evening");
    await hears(bob, "ada: Good evening");
  });

  test("stays shut without one", async () => {
    const eve = await visit();
    await logIn(eve, "ada", "guess");
    expect(await alert(eve, "login-alert")).toBe("You cannot come in: wrong name or password.");
    expect(await eve.page.locator("#club").isVisible()).toBe(false);
    eve.forgive(REFUSED);
  });

  test("of the VIP room is for VIPs", async () => {
    const [ada, bob] = [await open("ada", "lovelace"), await open("bob", "builder")];
    await ada.page.getByRole("button", { name: "VIP room" }).click();
    await inRoom(ada, "VIP room");
    await bob.page.getByRole("button", { name: "VIP room" }).click();
    expect(await alert(bob, "room-alert")).toBe("You may not enter this room: VIP access required.");
    await inRoom(bob, "Lounge");
    await say(ada, "Just us");
    await hears(ada, "Just us");
    expect(await bob.page.locator("#messages").innerText()).not.toContain("Just us");
  });

  test("is shut behind whoever logs out", async () => {
    const ada = await open("ada", "lovelace");
    await ada.page.getByRole("button", { name: "Log out" }).click();
    await ada.page.getByRole("button", { name: "Log in" }).waitFor();
    expect(await ada.page.locator("#login-alert").isVisible()).toBe(false);
  });
});

describe("a token", () => {
  beforeEach(() => start(3));

  test("that is not renewed ends, and with it the visit", async () => {
    const bob = await visit();
    await logIn(bob, "bob", "builder");
    await bob.page.getByLabel("renew").uncheck();
    expect(await alert(bob, "login-alert")).toBe("Your session has ended. Log in again.");
    expect(await bob.page.locator("#club").isVisible()).toBe(false);
  });

  test("that is renewed goes on, on the same connection", async () => {
    const ada = await open("ada", "lovelace");
    let closed = 0;
    ada.page.on("websocket", (socket) => socket.on("close", () => closed++));
    await ada.page.waitForTimeout(5_000);
    await say(ada, "Still here");
    await hears(ada, "Still here");
    expect(closed).toBe(0);
    expect(await ada.page.locator("#status").innerText()).toBe("Connected");
  });
});

describe("how it looks", () => {
  beforeEach(() => start(60));

  test("at 360 px nothing makes the page scroll sideways", async () => {
    const door = await visit(NARROW);
    expect(await door.scrollsSideways()).toBe(false);
    const bob = await open("bob", "builder", NARROW);
    await bob.page.getByRole("button", { name: "VIP room" }).click();
    await alert(bob, "room-alert");
    await say(bob, "Donaudampfschifffahrtsgesellschaftskapitän".repeat(4));
    await hears(bob, "Donau");
    expect(await bob.scrollsSideways()).toBe(false);
    const send = (await bob.page.locator("#send").boundingBox())!;
    expect(send.x + send.width).toBeLessThanOrEqual(360);
    expect(send.y + send.height).toBeLessThanOrEqual(640);
  });

  test.each(["light", "dark"] as const)("in the %s, everything can be read", async (colorScheme) => {
    const door = await visit({ colorScheme });
    await logIn(door, "ada", "guess");
    await alert(door, "login-alert");
    for (const selector of ["#login h1", "#login p", "#login label", "#login-alert", "#login button"]) {
      expect(await contrast(door.page, selector), selector).toBeGreaterThanOrEqual(4.5);
    }
    door.forgive(REFUSED);
    const bob = await open("bob", "builder", { colorScheme });
    await bob.page.getByRole("button", { name: "VIP room" }).click();
    await alert(bob, "room-alert");
    for (const selector of ["#who", "#status", "#left", "nav button[aria-current]", "#messages li", "#room-alert", "#send"]) {
      expect(await contrast(bob.page, selector), selector).toBeGreaterThanOrEqual(4.5);
    }
  });
});
