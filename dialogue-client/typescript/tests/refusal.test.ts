import { describe, expect, test } from "vitest";
import { DialogueError } from "../src/index.js";
import { decodeConnectError, decodeRefusal } from "../src/refusal.js";

describe("a refusal", () => {
  test("keeps everything that the server says", () => {
    const issue = { path: "author.name", code: "length", message: "too long", params: { max: 20 } };
    const error = decodeRefusal({
      ok: false,
      code: "VALIDATION_FAILED",
      message: "`message` is not valid",
      roomId: "general",
      event: "message",
      issues: [issue],
      retryAfterMs: 250,
    });
    expect(error).toBeInstanceOf(DialogueError);
    expect({ ...error, message: error.message }).toEqual({
      name: "DialogueError",
      code: "VALIDATION_FAILED",
      message: "`message` is not valid",
      roomId: "general",
      event: "message",
      issues: [issue],
      retryAfterMs: 250,
    });
  });

  test("is about what was asked for, where the server does not say", () => {
    const error = decodeRefusal({ code: "NOT_IN_ROOM", message: "no" }, { roomId: "general", event: "message" });
    expect(error).toMatchObject({ roomId: "general", event: "message" });
  });

  test("has no fields for what nobody said", () => {
    expect(Object.keys(decodeRefusal({ code: "INTERNAL", message: "no" })).sort()).toEqual(["code", "name"]);
  });

  test("with a code of a later version passes through", () => {
    expect(decodeRefusal({ code: "ROOM_ON_FIRE", message: "run" }).code).toBe("ROOM_ON_FIRE");
  });

  test.each([[undefined], [null], ["no"], [7], [[]], [{}], [{ code: 7 }]])("that is %j becomes an `INTERNAL` error", (refusal) => {
    const error = decodeRefusal(refusal);
    expect(error.code).toBe("INTERNAL");
    expect(error.cause).toBe(refusal);
  });
});

describe("a connect error", () => {
  test("carries the refusal as JSON in its message", () => {
    const error = decodeConnectError(new Error('{"code":"UNAUTHENTICATED","message":"no token"}'));
    expect(error).toMatchObject({ code: "UNAUTHENTICATED", message: "no token" });
  });

  test.each(["invalid namespace", "42", "null"])("that says %j is handed on as it is", (message) => {
    const cause = new Error(message);
    expect(decodeConnectError(cause)).toMatchObject({ code: "INTERNAL", message, cause });
  });
});
