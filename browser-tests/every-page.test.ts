import { beforeEach, describe, expect, test } from "vitest";
import { violations } from "./support/axe.js";
import type { PersonsPage } from "./support/persons-page.js";
import { picture, SITES, Sites } from "./support/site.js";
import { LOST_CONNECTION, NARROW } from "./support/stage.js";

/** What the browser says of answers and connections that the tests break. */
const EXPECTED = new RegExp(`${LOST_CONNECTION.source}|ERR_SOCKET|401|Bad Gateway|Internal Server Error|SyntaxError`);
const LOOKS = [
  { look: "light", options: { colorScheme: "light" } },
  { look: "dark", options: { colorScheme: "dark" } },
  { look: "phone", options: NARROW },
] as const;

const sites = new Sites();

describe.each(SITES)("page of %s", (site) => {
  beforeEach(() => sites.start(site));

  test("without JavaScript says what it needs", async () => {
    const person = await sites.blank({ javaScriptEnabled: false });
    await sites.visit(person);
    const words = person.page.locator("noscript main");
    await words.waitFor();
    expect(await words.innerText()).toContain("needs JavaScript");
    await picture(person, `${site}-noscript`);
  });

  test.each([
    ["cannot be loaded", undefined],
    ["is broken", "export {"],
  ])("whose script %s says so", async (_, body) => {
    const person = await sites.blank();
    const script = { contentType: "text/javascript", body: body ?? "" };
    await person.page.route(sites.script, (route) => (body ? route.fulfill(script) : route.abort()));
    await sites.visit(person);
    await person.page.getByRole("alert").getByText("could not be loaded").waitFor();
    expect(await violations(person.page)).toEqual([]);
    await picture(person, `${site}-broken`);
    person.forgive(EXPECTED);
  });

  test("whose server cannot be reached says so, keeps trying, and comes in later", async () => {
    const person = await sites.blank();
    const admit = await cutOff(person);
    await sites.present(person, "ada");
    await person.page.getByText("Connecting…").waitFor();
    await person.page.clock.fastForward(6_000);
    await person.page.getByText("The server cannot be reached. This page keeps trying.").waitFor();
    await admit();
    await sites.entered(person);
    expect(await person.page.getByText("cannot be reached").count()).toBe(0);
    person.forgive(EXPECTED);
  });

  test("sends what was written without a connection once there is one, in order", async () => {
    const ada = await sites.enter("ada");
    sites.proxy.refuse();
    await ada.page.getByText("The connection was lost. What you send now goes out later.").waitFor();
    const send = ada.page.getByRole("button", { name: "Send", exact: true });
    expect(await send.isEnabled()).toBe(true);
    await ada.page.fill("#text", "One");
    await send.click();
    await sites.write(ada, "Two");
    const waiting = ada.page.getByRole("listitem").filter({ hasText: "Waits for the connection" });
    await expect.poll(() => waiting.count()).toBe(2);
    expect(await ada.page.inputValue("#text")).toBe("");

    sites.proxy.admit();
    await waiting.first().waitFor({ state: "detached" });
    const bob = await sites.enter("bob");
    await expect.poll(() => lines(bob)).toEqual(["One", "Two"]);
    await expect.poll(() => lines(ada)).toEqual(["One", "Two"]);
    for (const person of [ada, bob]) person.forgive(EXPECTED);
  });

  test("gives back what was written without a connection and is refused", async () => {
    const ada = await sites.enter("ada");
    sites.proxy.refuse();
    await ada.page.getByText("The connection was lost.").waitFor();
    await sites.write(ada, "x".repeat(2001));
    await ada.page.getByText("Waits for the connection").waitFor();
    sites.proxy.admit();
    await ada.page.getByRole("button", { name: "Edit" }).click();
    expect(await ada.page.inputValue("#text")).toHaveLength(2001);
    expect(await lines(ada)).toEqual([]);
    ada.forgive(EXPECTED);
  });

  test("offers to send again what has waited too long", async () => {
    const ada = await sites.blank();
    await ada.page.clock.install();
    await sites.present(ada, "ada");
    await sites.entered(ada);
    sites.proxy.refuse();
    await ada.page.getByText("The connection was lost.").waitFor();
    await sites.write(ada, "Late");
    await ada.page.getByText("Waits for the connection").waitFor();
    await ada.page.clock.fastForward(101_000);
    const again = ada.page.getByRole("button", { name: "Send again" });
    await again.waitFor();
    await picture(ada, `${site}-unsent`);
    expect(await violations(ada.page)).toEqual([]);
    sites.proxy.admit();
    await sites.entered(ada);
    await again.click();
    await again.waitFor({ state: "detached" });
    await expect.poll(() => lines(ada)).toEqual(["Late"]);
    ada.forgive(EXPECTED);
  });

  test.each(LOOKS)("is accessible in every state ($look)", { timeout: 120_000 }, async ({ look, options }) => {
    const check = async (person: PersonsPage, state: string) => {
      await picture(person, `${site}-${look}-${state}`);
      expect.soft(await violations(person.page), state).toEqual([]);
      expect.soft(await smallFields(person), state).toEqual([]);
      expect.soft(await person.scrollsSideways(), state).toBe(false);
      person.forgive(EXPECTED);
    };

    const stranger = await sites.blank(options);
    await sites.visit(stranger);
    await stranger.page.getByRole("heading").first().waitFor();
    await check(stranger, "start");
    await sites.present(stranger, "system");
    await stranger.page.getByRole("alert").first().waitFor();
    await check(stranger, "refused");

    const late = await sites.blank(options);
    await cutOff(late);
    await sites.present(late, "ada");
    await late.page.getByText("Connecting…").waitFor();
    await late.page.clock.fastForward(6_000);
    await late.page.getByText("cannot be reached").waitFor();
    await check(late, "unreachable");
    await late.page.context().close();

    const [ada, bob] = [await sites.enter("ada", options), await sites.enter("bob")];
    await check(ada, "empty");
    await sites.write(bob, "Did the new build make it to staging?");
    await ada.page.getByRole("listitem").filter({ hasText: "staging" }).waitFor();
    await sites.write(ada, "It did, and nobody noticed the restart.");
    await bob.page.getByRole("listitem").filter({ hasText: "nobody noticed" }).waitFor();
    await check(ada, "messages");
    if (site === "rooms") await createRooms(ada);
    if (site === "authenticated") await bob.page.getByRole("button", { name: "VIP room" }).click();
    if (site === "authenticated") await bob.page.getByRole("alert").waitFor();
    await check(ada, "more");
    await check(bob, "others");
    await sites.write(ada, "x".repeat(2001));
    await ada.page.locator("form").locator("xpath=..").getByRole("alert").first().waitFor();
    await check(ada, "error");
    await ada.page.fill("#text", "");
    sites.proxy.refuse();
    await ada.page.getByText("The connection was lost").waitFor();
    await sites.write(ada, "Written meanwhile");
    await ada.page.getByText("Waits for the connection").waitFor();
    await check(ada, "waiting");
    bob.forgive(EXPECTED);
  });
});

/** Lets a page load, but open no connection; resolves with what admits it. Its clock can be moved. */
async function cutOff({ page }: PersonsPage): Promise<() => Promise<void>> {
  let isCut = true;
  await page.clock.install();
  await page.routeWebSocket(/\/socket\.io\//, (socket) => void (isCut ? socket.close() : socket.connectToServer()));
  await page.route(/\/socket\.io\//, (route) => (isCut ? route.abort() : route.continue()));
  return async () => {
    isCut = false;
  };
}

/** What was said, from the top, without what waits. */
async function lines({ page }: PersonsPage): Promise<string[]> {
  const texts = await page.locator("li.message:not(.waiting) .text, #messages > li:not(.message, .notice, .quiet)").allTextContents();
  return texts.map((text) => text.replace(/^\w+: /, ""));
}

/** The fields that iOS zooms into: those whose text is smaller than 16 px. */
async function smallFields({ page }: PersonsPage): Promise<string[]> {
  return await page.locator("input:not([type=checkbox]), textarea").evaluateAll((fields) =>
    fields.filter((field) => parseFloat(getComputedStyle(field).fontSize) < 16).map(({ id }) => id),
  );
}

/** Makes a list of rooms, and tries what the server does not allow. */
async function createRooms({ page }: PersonsPage): Promise<void> {
  const create = async (name: string) => {
    await page.getByLabel("Name of a new room").fill(name);
    await page.getByRole("button", { name: "Create" }).click();
  };
  await create("Tea time");
  await page.locator("#room-name", { hasText: "Tea time" }).waitFor();
  await create("My own lobby");
  await page.locator("#list").getByRole("alert").waitFor();
}
