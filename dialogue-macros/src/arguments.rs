//! The arguments of an attribute: `key = value` and `key(value, ..)`, in any order, each once.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote};
use syn::{
    Ident, LitInt, LitStr, Path, Token,
    ext::IdentExt,
    parenthesized,
    parse::{Parse, ParseStream, Parser},
    punctuated::Punctuated,
};

use crate::errors::Errors;

/// Reads a whole attribute with `read`, which stops at what it cannot read beyond: then, a mistake
/// is noted, and nothing was read.
pub(crate) fn parse<T: Default>(
    attribute: TokenStream,
    errors: &mut Errors,
    read: impl FnOnce(ParseStream<'_>, &mut Errors) -> syn::Result<T>,
) -> T {
    let parsed = (|input: ParseStream<'_>| read(input, errors)).parse2(attribute);
    errors.ok(parsed).unwrap_or_default()
}

/// Reads keys until the input ends. `read` parses what follows a key it knows and returns whether
/// it did; an unknown key, a key given twice and a value of the wrong kind are noted, and reading
/// goes on with the next key.
pub(crate) fn keys(
    input: ParseStream<'_>,
    known: &str,
    errors: &mut Errors,
    mut read: impl FnMut(&Ident, ParseStream<'_>, &mut Errors) -> syn::Result<bool>,
) {
    let mut seen: Vec<Ident> = Vec::new();
    while !input.is_empty() {
        let Ok(key) = input.call(Ident::parse_any) else {
            errors.push(input.error(format!("expected a key; known keys: {known}")));
            skip(input);
            continue;
        };
        let twice = seen.contains(&key);
        if twice {
            errors.push(syn::Error::new(key.span(), format!("`{key}` is given twice; keep one")));
        }
        // What a repeated key holds is read, so that it does not hide what follows, and dropped.
        let mut dropped = Errors::default();
        let notes = if twice { &mut dropped } else { &mut *errors };
        match read(&key, input, notes) {
            Ok(true) => {}
            Ok(false) => {
                notes.push(syn::Error::new(
                    key.span(),
                    format!("unknown key `{key}`; known keys: {known}"),
                ));
                skip(input);
            }
            Err(error) => {
                notes.push(error);
                skip(input);
            }
        }
        seen.push(key);
        if input.is_empty() {
            break;
        }
        if let Err(error) = input.parse::<Token![,]>() {
            errors.push(error);
            skip(input);
            let _ = input.parse::<Token![,]>();
        }
    }
}

/// Moves to the next comma.
pub(crate) fn skip(input: ParseStream<'_>) {
    while !input.is_empty() && !input.peek(Token![,]) {
        if input.parse::<proc_macro2::TokenTree>().is_err() {
            return;
        }
    }
}

/// `= value`
pub(crate) fn value<T: Parse>(input: ParseStream<'_>) -> syn::Result<T> {
    input.parse::<Token![=]>()?;
    input.parse()
}

/// `(value, ..)`
pub(crate) fn list<T: Parse>(input: ParseStream<'_>) -> syn::Result<Vec<T>> {
    let content;
    parenthesized!(content in input);
    let listed = Punctuated::<T, Token![,]>::parse_terminated(&content);
    if listed.is_err() {
        // What is left unread would be a mistake of its own.
        let _ = content.parse::<proc_macro2::TokenStream>();
    }
    Ok(listed?.into_iter().collect())
}

/// `(Event, ..)`
pub(crate) fn events(key: &Ident, input: ParseStream<'_>) -> syn::Result<Vec<Path>> {
    struct Event(Path);

    impl Parse for Event {
        fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
            if input.peek(LitStr) {
                return Err(input.error("an event is listed by its type, not by its name"));
            }
            input.parse().map(Self)
        }
    }

    let listed = list::<Event>(input)
        .map_err(|error| syn::Error::new(error.span(), format!("{error}: `{key}(Message)`")));
    Ok(listed?.into_iter().map(|Event(path)| path).collect())
}

/// `= n` with `n` at least 1.
pub(crate) fn positive(key: &Ident, input: ParseStream<'_>) -> syn::Result<usize> {
    let literal: LitInt = value(input)?;
    at_least_one(key, &literal)
}

pub(crate) fn at_least_one(key: &Ident, literal: &LitInt) -> syn::Result<usize> {
    match literal.base10_parse()? {
        0 => Err(syn::Error::new(
            literal.span(),
            format!("`{key}` is at least 1; for none, leave `{key}` out"),
        )),
        n => Ok(n),
    }
}

/// Whether an event may have this name; the same rule as the runtime's.
pub(crate) fn check_event_name(name: &str, span: Span) -> syn::Result<()> {
    let problem = match name {
        "" => "is empty",
        "*" => "stands for every event in subscriptions",
        _ if name.len() > 128 => "is longer than 128 bytes",
        _ if name.starts_with("dialogue:") => "starts with `dialogue:`, which the protocol uses",
        _ if name.contains(char::is_control) => "has control characters",
        _ => return Ok(()),
    };
    Err(syn::Error::new(span, format!("the event name {problem}; choose one like `message`")))
}

/// What a user wrote, without the spaces that tokens are printed with.
pub(crate) fn text(tokens: &impl ToTokens) -> String {
    tokens.to_token_stream().to_string().replace(' ', "")
}

/// An `Option` in an expansion.
pub(crate) fn option(value: Option<impl ToTokens>) -> TokenStream {
    if let Some(value) = value {
        quote!(__p::Option::Some(#value))
    } else {
        quote!(__p::Option::None)
    }
}
