//! Mistakes, collected so that all of them are reported at once.

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::{Error, Item, parse::Parse, spanned::Spanned};

#[derive(Default)]
pub(crate) struct Errors(Vec<Error>);

impl Errors {
    /// Notes a mistake at the user's own tokens.
    pub(crate) fn at(&mut self, tokens: impl ToTokens, message: impl std::fmt::Display) {
        self.0.push(Error::new_spanned(tokens, message));
    }

    pub(crate) fn push(&mut self, error: Error) {
        self.0.push(error);
    }

    /// The value, or none and a mistake noted.
    pub(crate) fn ok<T>(&mut self, result: syn::Result<T>) -> Option<T> {
        result.map_err(|error| self.push(error)).ok()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn into_tokens(self) -> TokenStream {
        self.0.into_iter().map(syn::Error::into_compile_error).collect()
    }
}

/// Parses the item that an attribute is on; one of another kind is refused with `place`.
pub(crate) fn item<T: Parse>(item: &TokenStream, place: &str) -> syn::Result<T> {
    syn::parse2(item.clone()).map_err(|error| match syn::parse2(item.clone()) {
        Ok(other) => Error::new(head(&other), place),
        Err(_) => error,
    })
}

/// Where an item starts to be itself: its keyword and name, rather than all of its body.
fn head(item: &Item) -> proc_macro2::Span {
    match item {
        Item::Const(item) => item.ident.span(),
        Item::Enum(item) => item.ident.span(),
        Item::Fn(item) => item.sig.ident.span(),
        Item::Struct(item) => item.ident.span(),
        Item::Trait(item) => item.ident.span(),
        Item::Mod(item) => item.ident.span(),
        item => item.span(),
    }
}
