// Made by dialogue-codegen from the contract of shapes. What is changed by hand is lost.
/* eslint-disable */

/** Says which contract these types are from: the client's option `contract`. */
export const CONTRACT_HASH = "f3a19b7979af29dd68ab604fda928548";

/**
 * An enum as serde writes it unless told otherwise.
 */
export type Drawing =
  | "blank"
  | {
      circle: {
        centre: Point;
        radius: number;
      };
    }
  | {
      /**
       * @minItems 2
       * @maxItems 2
       */
      line: [Point, Point];
    }
  | {
      dot: Point;
    };

/**
 * An enum with its name inside.
 */
export type Tagged =
  | {
      keyCode: number;
      kind: "keyDown";
    }
  | (Point & {
      kind: "moved";
    })
  | {
      kind: "closed";
    };

/**
 * An enum with its name beside its content.
 */
export type Adjacent =
  | {
      c: string;
      t: "Text";
    }
  | {
      c: {
        value: number;
      };
      t: "Number";
    }
  | {
      t: "Nothing";
    };

/**
 * An enum whose name is nowhere.
 */
export type Either = Point | string[] | string;

/**
 * One of some words.
 */
export type Colour = "sky-blue" | "deep-red";

/**
 * Fields of another struct as its own, and all others.
 */
export type Flat = Flat1 & Flat2;

export type Flat1 =
  | {
      keyCode: number;
      kind: "keyDown";
    }
  | (Point & {
      kind: "moved";
    })
  | {
      kind: "closed";
    };

/**
 * No payload.
 */
export type Nothing = null;

/**
 * A number.
 */
export type Count = number;

/**
 * A list.
 */
export type Path = Point[];

/**
 * Several letters.
 */
export type Word = string;

/**
 * What the server offers: the type argument of `createDialogueClient`.
 */
export interface Contract {
  rooms: {
    all: AllRoom;
    "strict:{of}:{theKind}": StrictRoom;
  };
  direct: {
    letter: Letter;
  };
}

/**
 * Every shape.
 */
export interface AllRoom {
  triggers: {
    nested: Nested;
    drawing: Drawing;
    tagged: Tagged;
    adjacent: Adjacent;
    either: Either;
    optional: OptionalInput;
    maps: Maps;
    "re:named": Renamed;
    flat: Flat;
    extended: Extended;
    meeting: Meeting;
    nothing: Nothing;
    count: Count;
    path: Path;
    ruled: RuledInput;
  };
  events: {
    nested: Nested;
    drawing: Drawing;
    tagged: Tagged;
    adjacent: Adjacent;
    either: Either;
    optional: Optional;
    maps: Maps;
    "re:named": Renamed;
    flat: Flat;
    extended: Extended;
    meeting: Meeting;
    nothing: Nothing;
    count: Count;
    path: Path;
    ruled: Ruled;
  };
}

/**
 * Structs in structs, lists of them, and one that holds its own kind.
 */
export interface Nested {
  /**
   * @minItems 3
   * @maxItems 3
   */
  corners: [number, number, number];
  otherPoints: Point[];
  /**
   * @minItems 2
   * @maxItems 2
   */
  pair: [number, string];
  /**
   * Where it begins.
   */
  startPoint: Point;
  tags: string[];
  tree: Tree;
}

/**
 * A place.
 */
export interface Point {
  x: number;
  y: number;
}

/**
 * Branches.
 */
export interface Tree {
  branches: Tree[];
  label: string;
}

/**
 * What may be missing.
 */
export interface OptionalInput {
  colour?: Colour;
  count?: number;
  leftOut?: Point | null;
  note?: string | null;
}

/**
 * Maps.
 */
export interface Maps {
  anything: unknown;
  places: {
    [k: string]: Point | null;
  };
  scores: {
    [k: string]: number;
  };
}

/**
 * Names that differ from Rust's, some of them keywords of schemas.
 */
export interface Renamed {
  $ref: string;
  "content-type": string;
  default: Point;
  minItems: number;
  properties: Point[];
}

export interface Flat2 {
  id: number;
  x: number;
  y: number;
}

/**
 * Fields of its own, and any others.
 */
export interface Extended {
  id: number;
  [k: string]: unknown;
}

/**
 * Times.
 */
export interface Meeting {
  at: string;
  day: string;
}

/**
 * Rules that schemas cannot say.
 *
 * Rule: `low` is not above `high` (`consistent`).
 */
export interface RuledInput {
  /**
   * Rule: is checked by the server (`finite`).
   */
  high: number;
  low: number;
  /**
   * What to call it.
   *
   * Rule: must not contain control characters.
   * Rule: must not contain "*\/".
   */
  name: string;
  /**
   * Rule: must be the same as `name` (`repeat`).
   */
  nameAgain: string;
  /**
   * Where it is.
   */
  room?: Room | null;
  /**
   * Its type is not one whose length JSON Schema knows.
   *
   * Rule: must have a length of at least 1 and at most 9.
   */
  word: Word;
}

/**
 * By its number.
 */
export interface Room {
  /**
   * Rule: must be an IP address.
   */
  address: string;
}

/**
 * What may be missing.
 */
export interface Optional {
  colour: Colour;
  count: number;
  leftOut?: Point | null;
  note: string | null;
}

/**
 * Rules that schemas cannot say.
 *
 * Rule: `low` is not above `high` (`consistent`).
 */
export interface Ruled {
  /**
   * Rule: is checked by the server (`finite`).
   */
  high: number;
  low: number;
  /**
   * What to call it.
   *
   * Rule: must not contain control characters.
   * Rule: must not contain "*\/".
   */
  name: string;
  /**
   * Rule: must be the same as `name` (`repeat`).
   */
  nameAgain: string;
  /**
   * Where it is.
   */
  room: Room | null;
  /**
   * Its type is not one whose length JSON Schema knows.
   *
   * Rule: must have a length of at least 1 and at most 9.
   */
  word: Word;
}

export interface StrictRoom {
  triggers: {
    nested: StrictNested;
    [k: string]: unknown;
  };
  events: {
    nested: StrictNested;
    letter: Letter;
    [k: string]: unknown;
  };
}

/**
 * Has no others.
 */
export interface StrictNested {
  point: StrictPoint;
}

/**
 * Another kind of place.
 */
export interface StrictPoint {
  column: string;
  row: number;
}

/**
 * For one client.
 */
export interface Letter {
  postscript: string[];
  to: string;
}
