//! The chat itself: what its room does, and its app.

use chat_protocol::{UserJoined, UserLeft, general};
use dialogue::{
    App, Client, Context, Deny, Handshake,
    auth::{ClaimedUser, TrustClientUserId},
};

#[dialogue::handlers(chat_protocol::general, app = Chat)]
mod general_handlers {
    use chat_protocol::general::Room;

    use super::*;

    #[joined]
    async fn announce(cx: &Context<Chat, Room>, client: &Client<Chat>) {
        let user_id = client.user_id().to_owned();
        let joined = UserJoined { username: user_id.clone(), user_id };
        cx.room().trigger(joined).from(client.user_id()).await.ok();
    }

    #[left]
    async fn say_goodbye(cx: &Context<Chat, Room>, client: &Client<Chat>) {
        let left = UserLeft { user_id: client.user_id().to_owned() };
        cx.room().trigger(left).from(client.user_id()).await.ok();
    }
}

/// The application. It has no state of its own.
pub(crate) struct Chat;

#[dialogue::app(rooms(general))]
impl App for Chat {
    // Anyone may be anyone: fine for a demo, and said in so many words.
    type Credentials = TrustClientUserId;
    type Identity = ClaimedUser;

    async fn authenticate(
        &self,
        who: TrustClientUserId,
        handshake: &Handshake,
    ) -> Result<ClaimedUser, Deny> {
        who.or_client_id(handshake)
    }
}
