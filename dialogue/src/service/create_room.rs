//! Creating rooms at run time.

use super::{abandoned_rooms, announce, rejections::invalid};
use crate::{
    AnyRoom, App, Client, CreateError, Dialogue, Epoch, RoomConfig,
    app::{
        hooks::{self, Hook},
        hosted::Hosted,
    },
    engine::reservation::Asker,
    model::name,
    protocol::{CreateRoom, ErrorCode, Failure, RoomInfo},
    store::{Created, erased::Unavailable},
};

/// A client's request to create a room.
pub(crate) async fn create_room<A: App>(
    client: &Client<A>,
    request: CreateRoom,
) -> Result<RoomInfo, Failure> {
    let (dialogue, id) = (client.dialogue(), request.id.clone());
    if !name::is_created_room_id(&id) {
        return Err(CreateError::InvalidId.into());
    }
    if !name::is_room_name(&request.name) {
        return Err(invalid(name::room_name_rule()).in_room(&id));
    }
    if !request.description.as_deref().is_none_or(name::is_room_description) {
        return Err(invalid(name::room_description_rule()).in_room(&id));
    }
    let decided = Box::pin(async { dialogue.app().create_room(client, request).await });
    let decided = dialogue.hooks().run(Hook::CreateRoom, &id, decided).await;
    let created = match decided {
        Ok(Ok(config)) => {
            let config = config.created_by_default(client.user_id());
            let address = client.handshake().address();
            create_as(dialogue, &id, config, Some(Asker::at(address))).await
        }
        Ok(Err(deny)) => Err(CreateError::Denied(deny)),
        Err(hooks::Failed) => Err(CreateError::Internal),
    };
    if let Err(CreateError::InvalidConfig(mistake)) = &created {
        tracing::error!(room = ?id, mistake, "`create_room` returned what is no room");
    }
    let (_, room) = created.map_err(|error| match error {
        CreateError::Exists | CreateError::Declared => id_is_taken(client, &id),
        error => Failure::from(error).in_room(&id),
    })?;
    Ok(room)
}

/// Refuses an id that is taken. Of a room that the client does not see, it learns no more than of an id
/// that a family answers to, whether or not such a room is open.
fn id_is_taken<A: App>(client: &Client<A>, id: &str) -> Failure {
    let open = client.dialogue().hub().find(id).filter(|live| !live.room().spec().is_family());
    let room = open.map(|live| client.dialogue().any(live.room()));
    let failure = if room.is_some_and(|room| room.is_seen_by(client)) {
        Failure::from(CreateError::Exists)
    } else {
        Failure::new(ErrorCode::PermissionDenied, "this id cannot be used; choose another one")
    };
    failure.in_room(id)
}

/// Creates a room that no module declares, for a client that asked for it if it is one.
pub(crate) async fn create_as<A: App>(
    dialogue: &Dialogue<A>,
    id: &str,
    config: RoomConfig,
    asker: Option<Asker>,
) -> Result<(AnyRoom<A>, RoomInfo), CreateError> {
    let config = config.build(id, dialogue.hub().number(), asker.is_some(), dialogue.limits())?;
    let room = AnyRoom::new(dialogue.clone(), Hosted::new(config));
    let info = create(&room, asker).await?;
    Ok((room, info))
}

/// Creates a room, for a client if `asker` is one, announces it to the clients that may see it, and runs the hook.
/// A creation that has begun is finished even if the caller goes away.
pub(crate) async fn create<A: App>(
    room: &AnyRoom<A>,
    asker: Option<Asker>,
) -> Result<RoomInfo, CreateError> {
    let created = hooks::finish(found(room.clone(), asker)).await;
    created.unwrap_or(Err(CreateError::Internal))
}

async fn found<A: App>(room: AnyRoom<A>, asker: Option<Asker>) -> Result<RoomInfo, CreateError> {
    let dialogue = room.dialogue();
    let reserved = dialogue.hub().reserve(&room.definition(), asker)?;
    let empty = create_log(&room).await?;
    let place = dialogue.hub().announcements().place().await;
    let info = {
        let _order = dialogue.hub().one_at_a_time();
        let live = reserved.open(empty);
        let info = live.info();
        if live.is_listed() && dialogue.hub().announcements().created(&live, info.clone(), place) {
            announce::start(dialogue);
        }
        info
    };
    let created = Box::pin(async { dialogue.app().room_created(&room).await });
    // The room is there and known; a hook that fails is logged and changes nothing.
    let _ = dialogue.hooks().run(Hook::RoomCreated, room.id(), created).await;
    Ok(info)
}

/// Has the store create a room's log. Returns its epoch if it is known to be empty.
async fn create_log<A: App>(room: &AnyRoom<A>) -> Result<Option<Epoch>, CreateError> {
    let log = room.hosted().log_id();
    let by_client = log.owner.is_creation();
    let stored = room.spec().events.iter().any(|event| event.history.is_some());
    // The id of a room that a client creates is taken on all servers, even if the room stores nothing.
    if !stored && !by_client {
        return Ok(None);
    }
    let epoch = Epoch::random();
    match room.dialogue().store().create(&log, epoch).await {
        Ok(Created::Owned) => Ok(by_client.then_some(epoch)),
        Ok(Created::Exists) => Err(CreateError::Exists),
        Err(Unavailable) => {
            if by_client {
                abandoned_rooms::delete_later(room.dialogue(), log);
            }
            Err(CreateError::StoreUnavailable)
        }
    }
}
