//! What `#[dialogue::app(..)]` says of an app: its rooms, its hooks, its package.

use std::{marker::PhantomData, sync::Arc};

use super::{handlers::Handlers, hosted::Hosted, keyed::Keyed};
use crate::{
    App, Contract, Room, RoomEvent,
    contract::Package,
    engine::definition::{Declared, Definition},
    model::name::same,
};

/// The rooms of an app, as `#[dialogue::app(rooms(..))]` lists them.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no list of rooms",
    label = "an app without rooms",
    note = "put `#[dialogue::app(rooms(..))]` above `impl App for {Self}`"
)]
pub trait Registry: Sized + 'static {
    #[doc(hidden)]
    const HOOKS: Hooks;

    #[doc(hidden)]
    fn rooms() -> &'static [RoomEntry<Self>]
    where
        Self: App;

    #[doc(hidden)]
    fn direct() -> &'static [RoomEvent];

    #[doc(hidden)]
    fn package() -> Package;
}

/// Which optional hooks the app implements. The server skips the work for the others.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "one per hook")]
pub struct Hooks {
    pub(crate) sees: bool,
    pub(crate) before_each: bool,
    pub(crate) after_each: bool,
    pub(crate) triggered: bool,
    pub(crate) evicted: bool,
    pub(crate) load: bool,
}

impl Hooks {
    pub const ALL: Self = Self {
        sees: true,
        before_each: true,
        after_each: true,
        triggered: true,
        evicted: true,
        load: true,
    };

    /// Those among the names of the app's methods.
    pub const fn among(written: &[&str]) -> Self {
        let mut this = Self {
            sees: false,
            before_each: false,
            after_each: false,
            triggered: false,
            evicted: false,
            load: false,
        };
        let mut i = 0;
        while i < written.len() {
            let name = written[i].as_bytes();
            this.sees |= same(name, b"sees");
            this.before_each |= same(name, b"before_each");
            this.after_each |= same(name, b"after_each");
            this.triggered |= same(name, b"triggered");
            this.evicted |= same(name, b"evicted");
            this.load |= same(name, b"load");
            i += 1;
        }
        this
    }

    /// Whether anything follows every broadcast.
    pub(crate) const fn follow(self) -> bool {
        self.after_each || self.triggered
    }
}

/// The app may send the event to single clients: `#[dialogue::app(.., direct(..))]`.
#[diagnostic::on_unimplemented(
    message = "app `{Self}` does not send event `{E}` directly",
    label = "not one of this app's direct events",
    note = "list `{E}` in `#[dialogue::app(.., direct(..))]`"
)]
pub trait Sends<E>: App {}

#[diagnostic::do_not_recommend]
impl<A: App + ListsDirect<E>, E> Sends<E> for A {}

/// The app lists the room: its handlers run there.
#[diagnostic::on_unimplemented(
    message = "app `{Self}` does not host room `{R}`",
    label = "not one of this app's rooms",
    note = "list the room's module in `#[dialogue::app(rooms(..))]`"
)]
pub trait Hosts<R: Room>: App {
    #[doc(hidden)]
    fn __handlers() -> Handlers<Self, R>;
}

#[diagnostic::do_not_recommend]
impl<A: App + ListsRoom<R>, R: Room> Hosts<R> for A {
    fn __handlers() -> Handlers<A, R> {
        <A as ListsRoom<R>>::handlers()
    }
}

// These traits and `Serve` have no bound `App`. A missing bound such as `Sync` is then reported once, at `impl App`,
// and not for each room and event.

/// What `#[dialogue::app]` says of an event in `direct`.
#[doc(hidden)]
pub trait ListsDirect<E> {}

/// What `#[dialogue::app]` says of a room in `rooms`.
#[doc(hidden)]
pub trait ListsRoom<R: Room>: Sized {
    fn handlers() -> Handlers<Self, R>
    where
        Self: App;
}

/// The handlers of a room for an app.
#[doc(hidden)]
pub trait Serve<A>: Room {
    fn handlers() -> Handlers<A, Self>
    where
        A: App;
}

/// Which app and room a module's handlers are for: how code inside the module names them.
#[doc(hidden)]
pub trait Attachment {
    type App;
    type Room: Room;
}

/// The app runs the handlers of a room's module: it lists the room.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "the handlers of room `{R}` would never run: app `{Self}` does not list it",
    label = "does not list the room",
    note = "list the room's module in `#[dialogue::app(rooms(..))]` of `{Self}`"
)]
pub trait Runs<R: Room> {}

#[diagnostic::do_not_recommend]
impl<A: Hosts<R>, R: Room> Runs<R> for A {}

#[doc(hidden)]
pub const fn runs_handlers<A: Runs<R>, R: Room>() {}

/// A room in an app's list, its key's type forgotten.
#[doc(hidden)]
#[allow(missing_debug_implementations, reason = "only expansions see it")]
pub struct RoomEntry<A> {
    pub(crate) declared: Declared,
    app: PhantomData<fn(&A)>,
}

impl<A: App> RoomEntry<A> {
    pub const fn of<R: Room>() -> Self
    where
        A: Hosts<R>,
    {
        let open = |id: &str| {
            let room = R::parse(id).map(|key| Hosted::<A>::new(Keyed::new(key)));
            room.map(|room| room as Arc<dyn Definition>)
        };
        Self { declared: Declared { spec: R::SPEC, open }, app: PhantomData }
    }
}

impl Contract {
    /// The contract of an app.
    pub fn of<A: App>() -> Self {
        Self::new(A::package(), A::rooms().iter().map(|room| room.declared.spec), A::direct())
    }
}
