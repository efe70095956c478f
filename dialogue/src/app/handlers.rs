//! Tables of a room's handlers, as `#[dialogue::room]` and `#[dialogue::handlers]` write them.

use std::any::Any;

use futures_util::future::BoxFuture;

use super::{client::Client, context::Context};
use crate::{Deny, Event, EventMessage, Room, model::room::Lists};

type BeforeFn<A, R> = for<'a> fn(
    &'a Context<A, R>,
    &'a mut (dyn Any + Send + Sync),
) -> BoxFuture<'a, Result<(), Deny>>;
type OnFn<A, R> = for<'a> fn(&'a Context<A, R>, &'a (dyn Any + Send + Sync)) -> BoxFuture<'a, ()>;

/// A `#[before_join]` handler.
pub type BeforeJoin<A, R> =
    for<'a> fn(&'a Context<A, R>, &'a Client<A>) -> BoxFuture<'a, Result<(), Deny>>;
/// A `#[joined]` or `#[left]` handler.
pub type MembershipChange<A, R> = for<'a> fn(&'a Context<A, R>, &'a Client<A>) -> BoxFuture<'a, ()>;

/// A `#[before]` handler and its event.
pub struct Before<A: 'static, R: Room> {
    pub(crate) event: &'static str,
    pub(crate) call: BeforeFn<A, R>,
}

impl<A: 'static, R: Room> Before<A, R> {
    pub const fn of<E: Event>(call: BeforeFn<A, R>) -> Self
    where
        R: Lists<E>,
    {
        Self { event: E::SPEC.name, call }
    }
}

/// An `#[on]` handler and its event.
pub struct On<A: 'static, R: Room> {
    pub(crate) event: &'static str,
    pub(crate) call: OnFn<A, R>,
}

impl<A: 'static, R: Room> On<A, R> {
    /// `M` is the handler's second argument.
    pub const fn of<M: Argument>(call: OnFn<A, R>) -> Self
    where
        R: Lists<M::Event>,
    {
        Self { event: M::Event::SPEC.name, call }
    }
}

/// Everything that a room's module does for an app.
pub struct Handlers<A: 'static, R: Room> {
    pub before: &'static [Before<A, R>],
    pub on: &'static [On<A, R>],
    pub before_join: Option<BeforeJoin<A, R>>,
    pub joined: Option<MembershipChange<A, R>>,
    pub left: Option<MembershipChange<A, R>>,
}

impl<A: 'static, R: Room> Handlers<A, R> {
    pub const NONE: Self =
        Self { before: &[], on: &[], before_join: None, joined: None, left: None };
}

/// The argument that a handler is given, as the type that it names: a `Context` or a `Client` of the
/// module's app.
#[diagnostic::on_unimplemented(
    message = "this handler is given `&{Given}`, and takes `&{Self}`",
    label = "expected `{Given}`",
    note = "the app is the one of the module's attribute: `app = ..`"
)]
pub trait Takes<Given> {
    fn take(given: &Given) -> &Self;
}

#[diagnostic::do_not_recommend]
impl<Given> Takes<Given> for Given {
    fn take(given: &Given) -> &Self {
        given
    }
}

/// The payload of a `#[before]` handler.
#[allow(clippy::missing_panics_doc, reason = "cannot, as said below")]
pub fn data<E: Event>(data: &mut (dyn Any + Send + Sync)) -> &mut E {
    // `publish` compares the type of every message with the room's row before handlers run.
    data.downcast_mut().expect("the handler's event is the row's own type")
}

/// The message of an `#[on]` handler, which [`On::of`] checks to be an `EventMessage`.
#[allow(clippy::missing_panics_doc, reason = "cannot, as said below")]
pub fn message<M: 'static>(message: &(dyn Any + Send + Sync)) -> &M {
    // As in `data`.
    message.downcast_ref().expect("the handler's event is the row's own type")
}

/// The second argument of an `#[on]` handler, and its event.
#[diagnostic::on_unimplemented(
    message = "an `#[on]` handler does not take `{Self}`",
    label = "not an `EventMessage`",
    note = "take `&EventMessage<{Self}>`, which says who the event is from and when"
)]
pub trait Argument {
    type Event: Event;
}

impl<E: Event> Argument for EventMessage<E> {
    type Event = E;
}
