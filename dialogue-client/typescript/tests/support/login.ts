import { createHmac } from "node:crypto";
import { SECRET } from "./example-server.js";

/**
 * Credentials that the `authenticated` example takes: a token that says who the
 * user is, and ends at a time in seconds since the Unix epoch.
 */
export function login(userId: string, until = inSeconds(3_600), role: "guest" | "vip" = "guest"): { token: string } {
  const claims = { sub: userId, role, exp: until, iss: "dialogue-authenticated", aud: "club" };
  const signed = `${encode({ alg: "HS256", typ: "JWT" })}.${encode(claims)}`;
  return { token: `${signed}.${createHmac("sha256", SECRET).update(signed).digest("base64url")}` };
}

/** A time that many seconds from now, or up to one more: in whole seconds since the Unix epoch. */
export function inSeconds(seconds: number): number {
  return Math.ceil(Date.now() / 1_000) + seconds;
}

/** Resolves when it is that time, in seconds since the Unix epoch. */
export function reached(time: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, time * 1_000 - Date.now() + 10));
}

function encode(part: object): string {
  return Buffer.from(JSON.stringify(part)).toString("base64url");
}
