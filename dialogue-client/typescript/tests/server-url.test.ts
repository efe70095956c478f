import { afterEach, describe, expect, test, vi } from "vitest";
import { serverOrigin } from "../src/server-url.js";

afterEach(() => vi.unstubAllGlobals());

describe("the server's origin", () => {
  test.each([
    ["http://localhost:3000", "http://localhost:3000"],
    ["https://example.com/", "https://example.com"],
    ["ws://localhost:3000", "http://localhost:3000"],
    ["wss://example.com:8443", "https://example.com:8443"],
    ["ws://[::1]:3000", "http://[::1]:3000"],
  ])("of %s is %s", (url, origin) => {
    expect(serverOrigin(url)).toBe(origin);
  });

  test("is the page's own in a browser", () => {
    vi.stubGlobal("location", { origin: "https://chat.example.com" });
    expect(serverOrigin(undefined)).toBe("https://chat.example.com");
  });

  test("has to be given elsewhere", () => {
    expect(() => serverOrigin(undefined)).toThrow("`url` must be http(s):// or ws(s):// and a host, not `undefined`");
  });

  test.each(["ftp://example.com", "localhost:3000"])("cannot be %s", (url) => {
    expect(() => serverOrigin(url)).toThrow("must be http(s):// or ws(s):// and a host");
  });

  test.each(["http://example.com/chat", "http://example.com/?a=1"])("has no path or query: %s", (url) => {
    expect(() => serverOrigin(url)).toThrow("use `path` for a prefix");
  });
});
