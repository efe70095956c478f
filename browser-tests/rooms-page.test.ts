import type { BrowserContextOptions } from "playwright-core";
import { beforeEach, describe, expect, test } from "vitest";
import { contrast } from "./support/contrast.js";
import { PersonsPage } from "./support/persons-page.js";
import { LOST_CONNECTION, NARROW, Stage } from "./support/stage.js";

const stage = new Stage();
beforeEach(() => stage.start("rooms"));

/** Opens the page under a name; resolves when it is in the lobby. */
async function open(name: string, options?: BrowserContextOptions): Promise<PersonsPage> {
  const person = stage.admit(await PersonsPage.visit(stage.browser, `${stage.server.url}/?name=${name}`, options));
  await connected(person);
  await inRoom(person, "Lobby");
  return person;
}

async function connected({ page }: PersonsPage): Promise<void> {
  await page.locator('#connection[data-state="connected"]').waitFor();
}

async function inRoom({ page }: PersonsPage, name: string): Promise<void> {
  await page.locator("#rooms li[data-chosen]", { hasText: name }).waitFor();
  await page.locator("#room-name", { hasText: name }).waitFor();
}

async function create({ page }: PersonsPage, name: string, places = ""): Promise<void> {
  await page.getByLabel("Name of a new room").fill(name);
  await page.getByLabel("Places").fill(places);
  await page.getByRole("button", { name: "Create" }).click();
}

async function enter({ page }: PersonsPage, name: string): Promise<void> {
  await page.locator("#rooms .enter", { hasText: name }).click();
}

async function say({ page }: PersonsPage, text: string): Promise<void> {
  await page.fill("#text", text);
  await page.press("#text", "Enter");
}

async function hears({ page }: PersonsPage, text: string): Promise<void> {
  await page.locator("#messages li", { hasText: text }).waitFor();
}

/** What is said to be wrong, beside the list of rooms or beside the writing. */
async function alert({ page }: PersonsPage, where: "#list" | "#room"): Promise<string> {
  const alert = page.locator(`${where} [role=alert]:visible`);
  await alert.waitFor();
  return await alert.innerText();
}

describe("a room", () => {
  test("that one visitor creates appears at the other, who enters and talks", async () => {
    const [ann, bob] = [await open("Ann"), await open("Bob")];
    await create(ann, "Tea time", "4");
    await inRoom(ann, "Tea time");
    await enter(bob, "Tea time");
    await inRoom(bob, "Tea time");
    await say(bob, "Two sugars, please");
    await hears(ann, "Bob: Two sugars, please");
    await ann.page.getByRole("button", { name: "Roll a die" }).click();
    await hears(bob, "Ann rolled");
    // Sizes are asked for every three seconds.
    const about = ann.page.locator("#room-about");
    await expect.poll(() => about.innerText(), { timeout: 10_000 }).toBe("2 here, room for 4");
    expect(await bob.page.locator("#rooms li", { hasText: "Tea time" }).innerText()).toContain("by Ann");
  });

  test("is deleted by its creator alone, and whoever was in it is back in the lobby", async () => {
    const [ann, bob] = [await open("Ann"), await open("Bob")];
    await create(ann, "Tea time");
    await enter(bob, "Tea time");
    await inRoom(bob, "Tea time");
    expect(await bob.page.getByRole("button", { name: "Delete" }).count()).toBe(0);
    await ann.page.getByRole("button", { name: "Delete Tea time" }).click();
    for (const person of [ann, bob]) {
      await inRoom(person, "Lobby");
      await hears(person, "Tea time was deleted");
      await expect.poll(() => person.page.locator("#rooms li").count()).toBe(1);
    }
    await say(bob, "Where did everybody go?");
    await hears(ann, "Where did everybody go?");
  });

  test("takes as many as it says", async () => {
    const [ann, bob] = [await open("Ann"), await open("Bob")];
    await create(ann, "Phone box", "1");
    await inRoom(ann, "Phone box");
    await enter(bob, "Phone box");
    expect(await alert(bob, "#list")).toBe("This room is full.");
    expect(await bob.page.locator("#room [role=alert]").isVisible()).toBe(false);
    await inRoom(bob, "Lobby");
    await enter(ann, "Lobby");
    await inRoom(ann, "Lobby");
    await enter(bob, "Phone box");
    await inRoom(bob, "Phone box");
  });

  test("that the server does not allow is refused in words", async () => {
    const ann = await open("Ann");
    await create(ann, "My own lobby");
    expect(await alert(ann, "#list")).toBe("You may not do this: there is one lobby.");
    expect(await ann.page.locator("#room [role=alert]").isVisible()).toBe(false);
    await say(ann, "x".repeat(501));
    await expect.poll(() => alert(ann, "#room")).toBe("A message has between 1 and 500 characters.");
  });

  test("in which somebody says more at once than the server allows has it all, a moment later", async () => {
    const ann = await open("Ann");
    await ann.page.evaluate(() => {
      for (let n = 0; n < 8; n++) {
        document.querySelector<HTMLInputElement>("#text")!.value = `message ${n}`;
        document.querySelector<HTMLFormElement>("#composer")!.requestSubmit();
      }
    });
    for (let n = 0; n < 8; n++) await hears(ann, `message ${n}`);
  });

  test("is gone when the server starts anew, and the lobby is not", async () => {
    const ann = await open("Ann");
    await create(ann, "Tea time");
    await inRoom(ann, "Tea time");
    await stage.server.kill();
    await ann.page.locator('#connection:not([data-state="connected"])').waitFor();
    await stage.server.restart();
    await connected(ann);
    await inRoom(ann, "Lobby");
    await hears(ann, "is gone");
    ann.forgive(LOST_CONNECTION);
  });
});

describe("how it looks", () => {
  test("at 360 px nothing makes the page scroll sideways", async () => {
    const ann = await open("Ann", NARROW);
    await create(ann, "Donaudampfschifffahrtsgesellschaftskapitänskajüte im Hafen", "12");
    await inRoom(ann, "Donau");
    await say(ann, "Donaudampfschifffahrtsgesellschaftskapitän".repeat(4));
    await hears(ann, "Donau");
    expect(await ann.scrollsSideways()).toBe(false);
    const send = (await ann.page.locator("#send").boundingBox())!;
    expect(send.x + send.width).toBeLessThanOrEqual(360);
    expect(send.y + send.height).toBeLessThanOrEqual(640);
  });

  test.each(["light", "dark"] as const)("in the %s, everything can be read", async (colorScheme) => {
    const ann = await open("Ann", { colorScheme });
    await create(ann, "Tea time", "4");
    await inRoom(ann, "Tea time");
    await say(ann, "Hello");
    await hears(ann, "Hello");
    await create(ann, "lobby");
    await alert(ann, "#list");
    for (const selector of [
      "#connection",
      "#who",
      "#rooms .name",
      "#rooms li[data-chosen] .size",
      "#rooms li[data-chosen] .about",
      "#room-about",
      "#messages li",
      "#list-alert",
      "#send",
      "#roll",
      "#text",
    ]) {
      expect(await contrast(ann.page, selector), selector).toBeGreaterThanOrEqual(4.5);
    }
  });
});
