//! The arguments of `#[dialogue::room(..)]`.

use syn::{
    Ident, LitInt, LitStr, Path, Token, Type,
    parse::{Parse, ParseStream},
};

use super::pattern::Pattern;
use crate::{
    arguments::{self, text},
    errors::Errors,
};

#[derive(Default)]
pub(crate) struct Arguments {
    pub(crate) pattern: Option<Pattern>,
    pub(crate) app: Option<Type>,
    pub(crate) name: Option<LitStr>,
    pub(crate) events: Vec<Event>,
    pub(crate) any: bool,
    pub(crate) subscribe: Subscribe,
    pub(crate) max_size: Option<usize>,
    pub(crate) sync_history: Sync,
    /// `create = "explicit"`
    pub(crate) explicit: bool,
    pub(crate) listed: bool,
}

/// An event in the room's list.
pub(crate) struct Event {
    pub(crate) path: Path,
    pub(crate) from_clients: bool,
}

/// What a joiner is subscribed to.
#[derive(Default)]
pub(crate) enum Subscribe {
    #[default]
    All,
    Listed(Vec<Path>),
}

/// What a joiner is sent of the past.
#[derive(Default)]
pub(crate) enum Sync {
    #[default]
    Nothing,
    Last(usize),
    All,
}

const KNOWN: &str = "`app`, `name`, `events`, `server_events`, `subscribe`, `max_size`, \
                     `sync_history`, `create`, `listed`";

impl Arguments {
    /// Never fails: what is broken is noted and left out.
    pub(crate) fn parse(input: ParseStream<'_>, errors: &mut Errors) -> Self {
        let mut this = Self::default();
        match input.parse::<LitStr>() {
            Ok(literal) => this.pattern = errors.ok(Pattern::parse(literal)),
            Err(error) => errors.push(syn::Error::new(
                error.span(),
                "a room starts with its id, such as `\"general\"` or `\"doc:{document_id}\"`",
            )),
        }
        if input.peek(Token![,]) {
            // Cannot fail: it was just seen.
            let _ = input.parse::<Token![,]>();
        }
        arguments::keys(input, KNOWN, errors, |key, input, errors| this.read(key, input, errors));
        this.check_subscriptions(errors);
        this
    }

    fn read(
        &mut self,
        key: &Ident,
        input: ParseStream<'_>,
        errors: &mut Errors,
    ) -> syn::Result<bool> {
        match &*key.to_string() {
            "app" => self.app = Some(arguments::value(input)?),
            "name" => self.name = Some(arguments::value(input)?),
            "events" => self.list(key, input, true, errors)?,
            "server_events" => self.list(key, input, false, errors)?,
            "subscribe" => {
                let listed = arguments::events(key, input)?;
                self.subscribe = match &*listed {
                    [all] if all.is_ident("all") => Subscribe::All,
                    _ => Subscribe::Listed(listed),
                };
            }
            "max_size" => self.max_size = Some(arguments::positive(key, input)?),
            "sync_history" => {
                self.sync_history = match arguments::value(input)? {
                    HowMuch::All => Sync::All,
                    HowMuch::Last(n) => Sync::Last(arguments::at_least_one(key, &n)?),
                }
            }
            "create" => {
                let when: LitStr = arguments::value(input)?;
                if when.value() != "explicit" {
                    return Err(syn::Error::new(
                        when.span(),
                        "the one value of `create` is \"explicit\"; rooms that need not be created \
                         leave it out",
                    ));
                }
                self.of_families(key, errors);
                self.explicit = true;
            }
            "listed" => {
                self.of_families(key, errors);
                self.listed = true;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Notes that a static room, which is always there and always listed, needs no such key.
    fn of_families(&self, key: &Ident, errors: &mut Errors) {
        if self.pattern.as_ref().is_some_and(|pattern| !pattern.is_family()) {
            errors.push(syn::Error::new(
                key.span(),
                format!(
                    "`{key}` is for families, whose id has placeholders; this room is always there"
                ),
            ));
        }
    }

    fn list(
        &mut self,
        key: &Ident,
        input: ParseStream<'_>,
        from_clients: bool,
        errors: &mut Errors,
    ) -> syn::Result<()> {
        for path in arguments::events(key, input)? {
            if path.is_ident("any") {
                if from_clients {
                    self.any = true;
                } else {
                    errors.at(path, format!("`any` goes into `events(..)`, not into `{key}(..)`"));
                }
            } else if self.events.iter().any(|event| event.path == path) {
                let name = text(&path);
                errors.at(path, format!("event `{name}` is listed twice; keep one"));
            } else {
                self.events.push(Event { path, from_clients });
            }
        }
        Ok(())
    }

    fn check_subscriptions(&self, errors: &mut Errors) {
        let Subscribe::Listed(listed) = &self.subscribe else {
            return;
        };
        for (n, path) in listed.iter().enumerate() {
            let name = text(path);
            if listed[..n].contains(path) {
                errors.at(path, format!("event `{name}` is listed twice; keep one"));
            } else if path.is_ident("all") {
                errors.at(path, "`subscribe(all)` stands alone");
            } else if !self.events.iter().any(|event| event.path == *path) {
                errors.at(
                    path,
                    format!(
                        "`subscribe(..)` names `{name}`, which the room does not list; add it to \
                         `events(..)` or `server_events(..)`"
                    ),
                );
            }
        }
    }

    pub(crate) fn subscribes(&self, event: &Event) -> bool {
        match &self.subscribe {
            Subscribe::All => true,
            Subscribe::Listed(listed) => listed.contains(&event.path),
        }
    }
}

/// A number, or `all`.
enum HowMuch {
    All,
    Last(LitInt),
}

impl Parse for HowMuch {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        if input.peek(Ident) {
            let word: Ident = input.parse()?;
            if word == "all" {
                return Ok(Self::All);
            }
            return Err(syn::Error::new(word.span(), "expected a number or `all`"));
        }
        input.parse().map(Self::Last)
    }
}
