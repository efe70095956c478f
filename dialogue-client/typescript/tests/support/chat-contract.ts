/** A message, as the chat room carries it. */
export interface Message {
  text: string;
  replyTo?: string | null;
}

/** The contract of the chat server. */
export interface Chat {
  rooms: {
    general: {
      triggers: { message: Message; typing: { isTyping: boolean } };
      events: {
        message: Message;
        typing: { isTyping: boolean };
        "user:joined": { userId: string; username: string };
        "user:left": { userId: string };
      };
    };
  };
}
