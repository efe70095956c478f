//! Which handlers a room's module has, found where types are known: an inherent item comes before that of a trait.

use std::marker::PhantomData;

use crate::{
    App, Room,
    app::{handlers::Handlers, registry::Serve},
};

/// The handlers that `R` has for `A`: the inherent function where it has some, and otherwise the
/// one of [`NoHandlers`].
#[doc(hidden)]
pub struct Serving<A, R>(PhantomData<(A, R)>);

impl<A: App, R: Serve<A>> Serving<A, R> {
    pub const FOUND: bool = true;

    pub fn handlers() -> Handlers<A, R> {
        <R as Serve<A>>::handlers()
    }
}

#[doc(hidden)]
pub trait NoHandlers<A: App, R: Room> {
    const FOUND: bool = false;

    fn handlers() -> Handlers<A, R> {
        Handlers::NONE
    }
}

impl<A: App, R: Room> NoHandlers<A, R> for Serving<A, R> {}

/// A room whose module names an app: `#[dialogue::room(.., app = ..)]`.
#[doc(hidden)]
pub trait ForApp: Room {}

/// Whether a room's module names an app, found as in [`Serving`].
#[doc(hidden)]
pub struct Written<R>(PhantomData<R>);

impl<R: ForApp> Written<R> {
    pub const FOR_APP: bool = true;
}

#[doc(hidden)]
pub trait Unwritten {
    const FOR_APP: bool = false;
}

impl<R> Unwritten for Written<R> {}
