import { describe, expect, test } from "vitest";
import { fillPattern, hasParameters } from "../src/pattern.js";

test.each([
  ["general", false],
  ["team:lobby", false],
  ["doc:{documentId}", true],
  ["{region}:lobby", true],
  ["doc:x{documentId}", false],
  ["doc:{}", false],
])("`%s` has parameters: %j", (pattern, expected) => {
  expect(hasParameters(pattern)).toBe(expected);
});

describe("filling a pattern", () => {
  test("puts each value in its segment", () => {
    expect(fillPattern("team:{team}:doc:{documentId}", { team: "blue", documentId: 42 })).toBe("team:blue:doc:42");
  });

  test("encodes values as `encodeURIComponent` does, so that none adds a segment", () => {
    expect(fillPattern("doc:{id}", { id: "a:b/ü {x}!" })).toBe("doc:a%3Ab%2F%C3%BC%20%7Bx%7D!");
  });

  test("leaves braces that are no whole segment alone", () => {
    expect(fillPattern("x{id}:{id}", { id: "1" })).toBe("x{id}:1");
  });

  test("takes 0 for a value", () => {
    expect(fillPattern("page:{page}", { page: 0 })).toBe("page:0");
  });

  test.each([
    ["missing", {}, "needs a text for `id`"],
    ["empty", { id: "" }, "needs a text for `id`"],
    ["half a surrogate pair", { id: "\ud800" }, "needs a text for `id`"],
  ])("refuses a value that is %s", (_, parameters, message) => {
    expect(() => fillPattern("doc:{id}", parameters)).toThrow(
      expect.objectContaining({ code: "INVALID_REQUEST", message: expect.stringContaining(message) }),
    );
  });
});
