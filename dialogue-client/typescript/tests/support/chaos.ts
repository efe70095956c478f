import type { ExampleServer } from "./example-server.js";
import { asItIs, type Proxy } from "./proxy.js";

/** Numbers from 0 to 1 that are the same for the same seed (mulberry32). */
export function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

export const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/**
 * Cuts, delays and stalls connections for a while, loses events and answers, and
 * kills the server now and then; all is well again when it resolves.
 */
export async function disturb(
  server: ExampleServer,
  proxies: readonly Proxy[],
  { seconds, random, restarts }: { seconds: number; random: () => number; restarts: boolean },
): Promise<void> {
  const end = performance.now() + seconds * 1_000;
  while (performance.now() < end) {
    await wait(random() * 200);
    const proxy = proxies[Math.floor(random() * proxies.length)]!;
    const choice = random();
    if (choice < 0.3) {
      proxy.cut();
    } else if (choice < 0.5) {
      proxy.delayMs = random() * 60;
    } else if (choice < 0.7) {
      proxy.stall();
      await wait(random() * 300);
      if (random() < 0.5) proxy.cut();
      proxy.flow();
    } else if (choice < 0.8) {
      let drops = Math.ceil(random() * 3);
      proxy.edit = (text) => (/^4(2\["dialogue:event|3)/.test(text) && drops-- > 0 ? [] : [text]);
    } else if (choice < 0.95 || !restarts) {
      proxy.refuse();
      await wait(random() * 300);
      proxy.admit();
    } else {
      await server.kill();
      await server.restart();
    }
  }
  for (const proxy of proxies) {
    proxy.delayMs = 0;
    proxy.edit = asItIs;
  }
}
