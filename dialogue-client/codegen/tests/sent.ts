// Values as clients send them. They are checked by tsc against the generated
// types, and by Rust when it parses them.
import type { Contract } from "./generated/dialogue.gen.js";

type Sent = Contract["rooms"]["all"]["triggers"];

/** Each has to be parsed. */
export const sent: { readonly [E in keyof Sent]: readonly Sent[E][] } = {
  nested: [
    {
      startPoint: { x: 1, y: 2 },
      otherPoints: [{ x: 0, y: 0.5 }],
      tree: { label: "a", branches: [{ label: "b", branches: [] }] },
      pair: [255, "x"],
      corners: [1, 2, 3],
      tags: ["a", "b"],
    },
  ],
  drawing: [
    { circle: { centre: { x: 1, y: 2 }, radius: 3 } },
    { line: [{ x: 1, y: 2 }, { x: 3, y: 4 }] },
    { dot: { x: 1, y: 2 } },
    "blank",
  ],
  tagged: [{ kind: "keyDown", keyCode: 13 }, { kind: "moved", x: 1, y: 2 }, { kind: "closed" }],
  adjacent: [{ t: "Text", c: "x" }, { t: "Number", c: { value: -1 } }, { t: "Nothing" }],
  either: [{ x: 1, y: 2 }, ["a", "b"], "text"],
  optional: [{}, { note: null }, { leftOut: { x: 1, y: 2 }, count: 3, colour: "deep-red" }],
  maps: [{ scores: { ann: 1 }, places: { here: { x: 1, y: 2 }, gone: null }, anything: [1, "x", null] }],
  "re:named": [{ "content-type": "t", $ref: "r", minItems: 1, default: { x: 1, y: 2 }, properties: [] }],
  flat: [{ id: 1, x: 2, y: 3, kind: "keyDown", keyCode: 4 }, { id: 1, x: 2, y: 3, kind: "closed" }],
  extended: [{ id: 1 }, { id: 1, more: [true], and: { more: null } }],
  meeting: [{ at: new Date(0).toISOString(), day: "2026-02-28" }],
  nothing: [null],
  count: [7],
  path: [[], [{ x: 1, y: 2 }]],
  ruled: [{ name: "a", nameAgain: "a", low: 1, high: 2, word: "w", room: { address: "10.0.0.1" } }, { name: "a", nameAgain: "a", low: 1, high: 1, word: "w" }],
};

/** None of them is one of the event's. */
export const wrong = (): void => {
  const triggers = {} as Sent;
  // @ts-expect-error: a field is missing
  triggers.tagged = { kind: "keyDown" };
  // @ts-expect-error: no variant is called so
  triggers.tagged = { kind: "keyUp" };
  // @ts-expect-error: another type
  triggers.count = "7";
  // @ts-expect-error: no field is called so
  triggers.nothing = { x: 1 };
  // @ts-expect-error: no word is called so
  triggers.optional = { colour: "green" };
  // @ts-expect-error: no field is called so
  triggers.optional = { colours: "deep-red" };
  // @ts-expect-error: the lengths differ
  triggers.drawing = { line: [{ x: 1, y: 2 }] };
  // @ts-expect-error: another type in a map
  triggers.maps = { scores: { ann: "1" }, places: {}, anything: null };
  // @ts-expect-error: both are needed
  triggers["re:named"].default = { x: 1 };
};
