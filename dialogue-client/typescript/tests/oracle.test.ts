/**
 * What is promised of stored events, whatever happens to connections and servers:
 * each one that was acknowledged is stored once, and arrives once and in order at
 * a client that stays in the room, as far as the server still keeps it.
 *
 * `DIALOGUE_ORACLE_SECONDS` says for how long each test goes on, `DIALOGUE_SEED`
 * what happens.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test, vi } from "vitest";
import { type Auth, createDialogueClient, type DialogueClient, type Room } from "../src/index.js";
import { disturb, randomFrom, wait } from "./support/chaos.js";
import { type Example, ExampleServer } from "./support/example-server.js";
import { inSeconds, login } from "./support/login.js";
import { Proxy } from "./support/proxy.js";

const SECONDS = Number(process.env.DIALOGUE_ORACLE_SECONDS ?? 7);
const SEED = Number(process.env.DIALOGUE_SEED ?? Math.floor(Math.random() * 1e9));

interface Setting {
  readonly example: Example;
  readonly environment?: NodeJS.ProcessEnv;
  readonly roomId: string;
  readonly auth: (userId: string) => Auth;
  readonly restarts: boolean;
}

interface Stored {
  readonly epoch: unknown;
  readonly seq: number;
  readonly text: string;
}

/** What a reader hears from one reset to the next, and where that begins. */
interface Stretch {
  readonly after: number;
  readonly heard: Stored[];
}

async function run({ example, environment, roomId, auth, restarts }: Setting) {
  const random = randomFrom(SEED);
  const server = await ExampleServer.start(example, environment);
  const proxies = [await Proxy.start(server.url), await Proxy.start(server.url)] as const;
  const clients: DialogueClient[] = [];
  const enter = async (userId: string, url: string): Promise<Room> => {
    const client = createDialogueClient({
      url,
      auth: auth(userId),
      transports: ["websocket"],
      timeoutMs: 2_000,
      triggerTimeoutMs: 60_000,
      reconnectionDelayMs: 20,
      reconnectionDelayMaxMs: 100,
    });
    client.onError(() => {});
    clients.push(client);
    await client.connect();
    return client.join(roomId);
  };

  const reader = await enter("reader", proxies[0].url);
  const stretches: Stretch[] = [];
  const begin = () => stretches.push({ after: reader.history[0]?.seq ?? 0, heard: [] });
  begin();
  reader.onReset(begin);
  reader.on<{ text: string }>("message", ({ epoch, seq, data: { text } }) => {
    stretches.at(-1)!.heard.push({ epoch, seq: seq!, text });
  });

  const writer = await enter("writer", proxies[1].url);
  const acknowledged: Stored[] = [];
  const say = async (text: string) => {
    const { epoch, seq } = await writer.trigger("message", { text });
    acknowledged.push({ epoch, seq: seq!, text });
  };
  await say("first");

  let calm = false;
  const disturbed = disturb(server, proxies, { seconds: SECONDS, random, restarts }).then(() => (calm = true));
  const said: Promise<void>[] = [];
  while (!calm) {
    said.push(say(`text ${said.length}`));
    await wait(10 + random() * 30);
  }
  await disturbed;
  await Promise.all(said);
  await vi.waitFor(() => expect([reader.state, writer.state]).toEqual(["joined", "joined"]), { timeout: 10_000 });
  await say("last");
  await vi.waitFor(() => expect(stretches.at(-1)!.heard.at(-1)?.text).toBe("last"), { timeout: 10_000 });

  for (const client of clients) client.disconnect();
  for (const proxy of proxies) proxy.stop();
  await server.kill();
  console.log(`seed ${SEED}: ${acknowledged.length} acknowledged, ${stretches.length - 1} resets`);
  return { stretches, acknowledged };
}

function check(stretches: readonly Stretch[], acknowledged: readonly Stored[]): void {
  const where = ({ epoch, seq }: Stored) => `${epoch} ${seq}`;
  const heard = new Map(stretches.flatMap((stretch) => stretch.heard.map((message) => [where(message), message.text])));
  expect(heard.size, "nothing is heard twice").toBe(stretches.reduce((sum, stretch) => sum + stretch.heard.length, 0));
  for (const { after, heard } of stretches) {
    expect(heard.map(({ seq }) => seq), "in order, without a gap").toEqual(heard.map((_, index) => after + 1 + index));
    expect(new Set(heard.map(({ epoch }) => epoch)).size, "of one log").toBeLessThanOrEqual(1);
    expect(new Set(heard.map(({ text }) => text)).size, "nothing is stored twice").toBe(heard.length);
  }
  const last = stretches.at(-1)!;
  const { epoch } = last.heard[0]!;
  for (const message of acknowledged) {
    if (message.epoch === epoch && message.seq > last.after) expect(heard.get(where(message))).toBe(message.text);
  }
}

/** How many events a room remembers for those who come back, whatever it keeps. */
const REMEMBERED = 256;

const limit = (SECONDS + 90) * 1_000;
const named = (userId: string) => ({ userId });

test(
  "a log that outlives the server loses nothing, doubles nothing, and is never reset",
  async () => {
    const folder = await mkdtemp(join(tmpdir(), "dialogue-"));
    const environment = { DATABASE_URL: `sqlite:${folder}/chat.db` };
    const setting = { example: "persistence", environment, roomId: "general", auth: named, restarts: true } as const;
    const { stretches, acknowledged } = await run(setting);
    check(stretches, acknowledged);
    expect(stretches).toHaveLength(1);
    expect(acknowledged.length).toBeGreaterThan(SECONDS);
    await rm(folder, { recursive: true });
  },
  limit,
);

test(
  "a log that ends with the server loses and doubles nothing between resets",
  async () => {
    const { stretches, acknowledged } = await run({ example: "chat", roomId: "general", auth: named, restarts: true });
    check(stretches, acknowledged);
  },
  limit,
);

test(
  "credentials that end every second or two lose and double nothing",
  async () => {
    const auth = (userId: string) => () => login(userId, inSeconds(1));
    const { stretches, acknowledged } = await run({ example: "authenticated", roomId: "lounge", auth, restarts: false });
    check(stretches, acknowledged);
    const ends = stretches.map(({ after, heard }) => after + heard.length);
    const missed = stretches.slice(1).map(({ after }, index) => after - ends[index]!);
    expect(missed.filter((count) => count <= REMEMBERED), "a reset where all that was missed is there").toEqual([]);
  },
  limit,
);
