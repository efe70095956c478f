import { afterEach, beforeEach, expect, test } from "vitest";
import { Bot } from "./support/bot.js";
import { ChatPage } from "./support/chat-page.js";
import { LOST_CONNECTION, Stage } from "./support/stage.js";

const ANSWER = "I only know `!help`";

let bot: Bot;
afterEach(() => bot.kill());
const stage = new Stage();
beforeEach(() => stage.start("chat"));

async function open(name: string): Promise<ChatPage> {
  return stage.admit(await ChatPage.open(stage.browser, stage.server.url, name));
}

test("a bot in Rust answers whoever asks on the page, and nobody else", async () => {
  const ann = await open("Ann");
  bot = Bot.start(stage.server.url, "Helper");
  await ann.page.getByText("Helper joined").waitFor();
  await ann.say("Hello");
  await ann.say("!help");
  await ann.hears(ANSWER);
  expect(await ann.lines()).toEqual([
    { text: "Hello", from: "Ann", own: true },
    { text: "!help", from: "Ann", own: true },
    { text: expect.stringContaining(ANSWER), from: "Helper", own: false },
  ]);
});

test("a bot whose server starts again answers what was asked before it came back, once", async () => {
  const ann = await open("Ann");
  bot = Bot.start(stage.server.url, "Helper");
  await ann.page.getByText("Helper joined").waitFor();
  bot.freeze();
  await stage.server.kill();
  await ann.connection("reconnecting");
  await stage.server.restart();
  await ann.connection("connected");
  await ann.say("!help");
  bot.thaw();
  await ann.hears(ANSWER);
  await ann.say("!help");
  const answers = async () => (await ann.texts()).filter((text) => text.includes(ANSWER));
  await expect.poll(answers).toHaveLength(2);
  ann.forgive(LOST_CONNECTION);
});
