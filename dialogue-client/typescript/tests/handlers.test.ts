import { expect, test, vi } from "vitest";
import { Handlers } from "../src/handlers.js";

test("handlers are called in the order of their registration", () => {
  const handlers = new Handlers<[string]>();
  const calls: string[] = [];
  handlers.add((value) => calls.push(`first ${value}`));
  handlers.add((value) => calls.push(`second ${value}`));
  handlers.call("a");
  expect(calls).toEqual(["first a", "second a"]);
});

test("a handler that removes itself while it is called is called once, and the others go on", () => {
  const handlers = new Handlers<[]>();
  const once = vi.fn(() => off());
  const always = vi.fn();
  const off = handlers.add(once);
  handlers.add(always);
  handlers.call();
  handlers.call();
  expect(once).toHaveBeenCalledTimes(1);
  expect(always).toHaveBeenCalledTimes(2);
});

test("a handler that another one removes is not called any more", () => {
  const handlers = new Handlers<[]>();
  const removed = vi.fn();
  handlers.add(() => off());
  const off = handlers.add(removed);
  handlers.call();
  expect(removed).not.toHaveBeenCalled();
});

test("a handler that is added during a call hears the next one", () => {
  const handlers = new Handlers<[]>();
  const added = vi.fn();
  const off = handlers.add(() => {
    off();
    handlers.add(added);
  });
  handlers.call();
  expect(added).not.toHaveBeenCalled();
  handlers.call();
  expect(added).toHaveBeenCalledTimes(1);
});

test("two registrations of one function are two", () => {
  const handlers = new Handlers<[]>();
  const handler = vi.fn();
  const off = handlers.add(handler);
  handlers.add(handler);
  off();
  off();
  handlers.call();
  expect(handler).toHaveBeenCalledTimes(1);
});

test("what a handler throws is reported, and the others still run", () => {
  const report = vi.spyOn(console, "error").mockReturnValue();
  const handlers = new Handlers<[]>();
  const error = new Error("broken handler");
  const other = vi.fn();
  handlers.add(() => {
    throw error;
  });
  handlers.add(other);
  handlers.call();
  expect(other).toHaveBeenCalledTimes(1);
  expect(report).toHaveBeenCalledExactlyOnceWith(error);
});

test("what an asynchronous handler rejects with is reported", async () => {
  const report = vi.spyOn(console, "error").mockReturnValue();
  const handlers = new Handlers<[]>();
  const error = new Error("broken handler");
  handlers.add(async () => {
    throw error;
  });
  handlers.call();
  await vi.waitFor(() => expect(report).toHaveBeenCalledExactlyOnceWith(error));
});

test("in a browser it is reported as an uncaught error", () => {
  const report = vi.fn();
  vi.stubGlobal("reportError", report);
  const handlers = new Handlers<[]>();
  const error = new Error("broken handler");
  handlers.add(() => {
    throw error;
  });
  handlers.call();
  vi.unstubAllGlobals();
  expect(report).toHaveBeenCalledExactlyOnceWith(error);
});
