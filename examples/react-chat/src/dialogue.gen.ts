// Made by dialogue-codegen from the contract of chat. What is changed by hand is lost.
/* eslint-disable */

/** Says which contract these types are from: the client's option `contract`. */
export const CONTRACT_HASH = "1de184d337d8887f345c1f5e4e0770f9";

/**
 * What the server offers: the type argument of `createDialogueClient`.
 */
export interface Contract {
  rooms: {
    general: GeneralRoom;
  };
  direct: {};
}

/**
 * Public chat room for everyone.
 */
export interface GeneralRoom {
  triggers: {
    message: MessageInput;
    typing: Typing;
  };
  events: {
    message: Message;
    typing: Typing;
    "user:joined": UserJoined;
    "user:left": UserLeft;
  };
}

/**
 * Chat message sent by a user, whom the server proves: `from` of the message that arrives.
 */
export interface MessageInput {
  /**
   * The id of the message that it answers.
   */
  replyTo?: string | null;
  /**
   * What it says.
   */
  text: string;
}

/**
 * The sender started or stopped typing.
 */
export interface Typing {
  /**
   * Whether they type.
   */
  isTyping: boolean;
}

/**
 * Chat message sent by a user, whom the server proves: `from` of the message that arrives.
 */
export interface Message {
  /**
   * The id of the message that it answers.
   */
  replyTo: string | null;
  /**
   * What it says.
   */
  text: string;
}

/**
 * Somebody entered the room.
 */
export interface UserJoined {
  /**
   * Who.
   */
  userId: string;
  /**
   * What they are called.
   */
  username: string;
}

/**
 * Somebody left the room.
 */
export interface UserLeft {
  /**
   * Who.
   */
  userId: string;
}
