//! Handlers: the functions of a module that carry `#[on]`, `#[before]` and so on.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote_spanned};
use syn::{
    Attribute, FnArg, GenericParam, Ident, Item, ItemFn, Path, ReturnType, Type, spanned::Spanned,
};

use crate::{
    arguments::{skip, text},
    errors::Errors,
};

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    On,
    Before,
    BeforeJoin,
    Joined,
    Left,
}

impl Kind {
    const ALL: [Self; 5] = [Self::On, Self::Before, Self::BeforeJoin, Self::Joined, Self::Left];

    fn name(self) -> &'static str {
        match self {
            Self::On => "on",
            Self::Before => "before",
            Self::BeforeJoin => "before_join",
            Self::Joined => "joined",
            Self::Left => "left",
        }
    }

    /// What a handler of this kind looks like.
    fn legal(self) -> &'static str {
        match self {
            Self::On => "async fn(cx: &Context<App, Room>, message: &EventMessage<Event>)",
            Self::Before => {
                "async fn(cx: &Context<App, Room>, event: &mut Event) -> Result<(), Deny>"
            }
            Self::BeforeJoin => {
                "async fn(cx: &Context<App, Room>, client: &Client<App>) -> Result<(), Deny>"
            }
            Self::Joined | Self::Left => "async fn(cx: &Context<App, Room>, client: &Client<App>)",
        }
    }

    fn may_refuse(self) -> bool {
        matches!(self, Self::Before | Self::BeforeJoin)
    }

    /// The kind that an attribute's path names: `on`, or `dialogue::on`.
    fn of(path: &Path) -> Option<Self> {
        let mut segments = path.segments.iter().map(|segment| &segment.ident);
        let (first, second) = (segments.next()?, segments.next());
        let name = match second {
            None => first,
            Some(second) if first == "dialogue" && segments.next().is_none() => second,
            Some(_) => return None,
        };
        Self::ALL.into_iter().find(|kind| name == kind.name())
    }

    /// Whether an attribute is none, and was meant to be one: what `dialogue` does not have, and what
    /// other frameworks call handlers.
    fn is_meant(path: &Path) -> bool {
        const MEANT: [&str; 18] = [
            "after",
            "after_each",
            "after_join",
            "before_each",
            "before_event",
            "before_leave",
            "before_trigger",
            "handler",
            "join",
            "leave",
            "on_event",
            "on_join",
            "on_joined",
            "on_leave",
            "on_left",
            "on_message",
            "on_trigger",
            "triggered",
        ];
        let mut segments = path.segments.iter().map(|segment| &segment.ident);
        match (segments.next(), segments.next(), segments.next()) {
            (Some(name), None, _) => MEANT.iter().any(|meant| name == meant),
            (Some(first), Some(_), None) => first == "dialogue" && Self::of(path).is_none(),
            _ => false,
        }
    }
}

pub(crate) struct Handler {
    pub(crate) kind: Kind,
    name: Ident,
    awaited: bool,
    /// The `#[cfg]`s that it is under.
    conditions: Vec<Attribute>,
    /// What its first argument refers to.
    context: Type,
    /// What its second argument refers to.
    about: Type,
}

/// Takes the handlers' attributes off a module's items, and notes what is wrong with them.
pub(crate) fn collect(items: &mut [Item], errors: &mut Errors) -> Vec<Handler> {
    let mut handlers: Vec<Handler> = Vec::new();
    for item in items {
        let Item::Fn(function) = item else {
            refuse_elsewhere(item, errors);
            continue;
        };
        for kind in take(&mut function.attrs, errors) {
            let Some(handler) = handler(kind, function, errors) else {
                continue;
            };
            let single = matches!(kind, Kind::BeforeJoin | Kind::Joined | Kind::Left);
            let unconditional = |handler: &Handler| handler.conditions.is_empty();
            if single
                && handlers.iter().any(|other| {
                    other.kind == kind && unconditional(other) && unconditional(&handler)
                })
            {
                let name = kind.name();
                errors.at(&handler.name, format!("a room has one `#[{name}]`; join the two"));
                continue;
            }
            handlers.push(handler);
        }
    }
    handlers
}

/// Removes the attributes that make a function a handler.
fn take(attributes: &mut Vec<Attribute>, errors: &mut Errors) -> Vec<Kind> {
    let mut kinds = Vec::new();
    attributes.retain(|attribute| {
        if let Some(kind) = Kind::of(attribute.path()) {
            let name = kind.name();
            if attribute.meta.require_path_only().is_err() {
                errors.at(attribute, format!("`#[{name}]` takes no arguments"));
            }
            if kinds.contains(&kind) {
                errors.at(attribute, format!("`#[{name}]` is given twice; keep one"));
            } else {
                kinds.push(kind);
            }
            return false;
        }
        if Kind::is_meant(attribute.path()) {
            let known = Kind::ALL.map(|kind| format!("`#[{}]`", kind.name())).join(", ");
            let name = text(attribute.path());
            errors.at(attribute, format!("unknown handler `#[{name}]`; a room has {known}"));
            return false;
        }
        if attribute.path().is_ident("cfg_attr")
            && let Some(kind) = conditional(attribute)
        {
            let name = kind.name();
            errors.at(
                attribute,
                format!("`cfg_attr` hides `#[{name}]` from the room; put `#[cfg(..)]` beside it"),
            );
            return false;
        }
        true
    });
    kinds
}

/// The kind of handler that a `#[cfg_attr(.., on)]` would make.
fn conditional(attribute: &Attribute) -> Option<Kind> {
    let mut found = None;
    let _ = attribute.parse_nested_meta(|meta| {
        found = found.or(Kind::of(&meta.path));
        skip(meta.input);
        Ok(())
    });
    found
}

/// A handler's attribute on something that is no function.
fn refuse_elsewhere(item: &mut Item, errors: &mut Errors) {
    let attributes = match item {
        Item::Const(item) => &mut item.attrs,
        Item::Enum(item) => &mut item.attrs,
        Item::Impl(item) => &mut item.attrs,
        Item::Macro(item) => &mut item.attrs,
        Item::Mod(item) => &mut item.attrs,
        Item::Static(item) => &mut item.attrs,
        Item::Struct(item) => &mut item.attrs,
        Item::Trait(item) => &mut item.attrs,
        Item::Type(item) => &mut item.attrs,
        Item::Use(item) => &mut item.attrs,
        _ => return,
    };
    let misplaced: Vec<Attribute> =
        attributes.extract_if(.., |attribute| Kind::of(attribute.path()).is_some()).collect();
    for attribute in misplaced {
        if let Some(kind) = Kind::of(attribute.path()) {
            let message = format!("`#[{}]` goes above a function: `{}`", kind.name(), kind.legal());
            errors.at(attribute, message);
        }
    }
}

fn handler(kind: Kind, function: &ItemFn, errors: &mut Errors) -> Option<Handler> {
    let signature = &function.sig;
    let name = &signature.ident;
    let refuse = |errors: &mut Errors, at: &dyn ToTokens, problem: &str| {
        errors.at(
            at.to_token_stream(),
            format!("`#[{}]` handler `{name}` {problem}: `{}`", kind.name(), kind.legal()),
        );
        None
    };
    if signature.generics.params.iter().any(|p| !matches!(p, GenericParam::Lifetime(_))) {
        return refuse(errors, &signature.generics, "has generic parameters");
    }
    let arguments: Vec<&FnArg> = signature.inputs.iter().collect();
    let [context, about] = arguments[..] else {
        return refuse(errors, name, "takes two arguments");
    };
    let FnArg::Typed(context) = context else {
        return refuse(errors, context, "is a free function");
    };
    let context = match &*context.ty {
        Type::Reference(context) if context.mutability.is_none() => (*context.elem).clone(),
        other => return refuse(errors, other, "takes its context by `&`"),
    };
    let FnArg::Typed(about) = about else {
        return refuse(errors, about, "is a free function");
    };
    let Type::Reference(about) = &*about.ty else {
        return refuse(errors, &about.ty, "takes references");
    };
    match (kind, about.mutability.is_some()) {
        (Kind::Before, false) => return refuse(errors, about, "takes the payload by `&mut`"),
        (Kind::Before, true) | (_, false) => {}
        (_, true) => return refuse(errors, about, "takes its second argument by `&`"),
    }
    match (&signature.output, kind.may_refuse()) {
        (ReturnType::Default, true) => return refuse(errors, name, "returns a verdict"),
        (ReturnType::Type(_, output), false) if !is_unit(output) => {
            return refuse(errors, output, "returns nothing");
        }
        _ => {}
    }
    let conditions =
        function.attrs.iter().filter(|attribute| attribute.path().is_ident("cfg")).cloned();
    Some(Handler {
        kind,
        name: name.clone(),
        awaited: signature.asyncness.is_some(),
        conditions: conditions.collect(),
        context,
        about: (*about.elem).clone(),
    })
}

fn is_unit(output: &Type) -> bool {
    matches!(output, Type::Tuple(tuple) if tuple.elems.is_empty())
}

/// `Handlers { .. }`: the table of a module's handlers.
pub(crate) fn table(handlers: &[Handler]) -> TokenStream {
    let rows = |kind| handlers.iter().filter(move |handler| handler.kind == kind);
    let before = rows(Kind::Before).map(Handler::before);
    let on = rows(Kind::On).map(Handler::on);
    let memberships = handlers.iter().filter_map(Handler::membership);
    quote::quote! {
        __p::Handlers {
            before: &[#(#before),*],
            on: &[#(#on),*],
            #(#memberships)*
            ..__p::Handlers::NONE
        }
    }
}

impl Handler {
    pub(crate) fn name(&self) -> &Ident {
        &self.name
    }

    // Every row has the span of the handler's name, so that what does not fit is reported there;
    // what concerns the event, at the event.

    fn before(&self) -> TokenStream {
        let Self { conditions, about: event, .. } = self;
        let of = quote_spanned!(event.span()=> of::<#event>);
        let call = self.call(|about| quote_spanned!(event.span()=> __p::data::<#event>(#about)));
        quote_spanned! {self.name.span()=>
            #(#conditions)*
            __p::Before::#of(#call)
        }
    }

    fn on(&self) -> TokenStream {
        let Self { conditions, about: message, .. } = self;
        let of = quote_spanned!(message.span()=> of::<#message>);
        let call =
            self.call(|about| quote_spanned!(message.span()=> __p::message::<#message>(#about)));
        quote_spanned! {self.name.span()=>
            #(#conditions)*
            __p::On::#of(#call)
        }
    }

    fn membership(&self) -> Option<TokenStream> {
        let field = match self.kind {
            Kind::BeforeJoin | Kind::Joined | Kind::Left => {
                Ident::new(self.kind.name(), Span::call_site())
            }
            Kind::On | Kind::Before => return None,
        };
        let conditions = &self.conditions;
        let client = &self.about;
        let call = self.call(
            |about| quote_spanned!(client.span()=> <#client as __p::Takes<__p::Client<__App>>>::take(#about)),
        );
        Some(quote_spanned! {self.name.span()=>
            #(#conditions)*
            #field: __p::Option::Some(#call),
        })
    }

    /// A closure that makes the handler's future, boxed; a handler that is not `async` is called
    /// within one. `typed` is the second argument, of the handler's own type.
    fn call(&self, typed: impl FnOnce(&Ident) -> TokenStream) -> TokenStream {
        let name = &self.name;
        // A handler's own name would be hidden by a local of that name.
        let cx = Ident::new("__cx", name.span());
        let about = Ident::new("__about", self.about.span());
        let typed = typed(&about);
        let context = &self.context;
        let typed_cx = quote_spanned! {context.span()=>
            <#context as __p::Takes<__p::Context<__App, __Room>>>::take(#cx)
        };
        let wait = self.awaited.then(|| quote_spanned!(name.span()=> .await));
        quote_spanned! {name.span()=>
            |#cx, #about| __p::Box::pin(async move { #name(#typed_cx, #typed) #wait })
        }
    }
}
