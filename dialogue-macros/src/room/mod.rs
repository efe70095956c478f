//! `#[dialogue::room(..)]`

mod arguments;
mod expand;
pub(crate) mod handler;
mod hover;
mod key;
mod pattern;

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Ident, Item, ItemMod};

pub(crate) use self::expand::{handlers_beside, handlers_inside};
use self::{arguments::Arguments, handler::Handler, key::Key};
use crate::{
    arguments::parse,
    docs,
    errors::{self, Errors},
};

/// A room, checked.
struct Room<'a> {
    module: &'a Ident,
    description: Option<String>,
    arguments: Arguments,
    key: Key,
    handlers: Vec<Handler>,
}

pub(crate) fn expand(attribute: TokenStream, item: &TokenStream) -> TokenStream {
    let mut module = match module(item, "room") {
        Ok(module) => module,
        Err(error) => return with(item, &error),
    };
    let mut errors = Errors::default();
    let arguments =
        parse(attribute, &mut errors, |input, errors| Ok(Arguments::parse(input, errors)));
    let items = module.content.as_mut().map(|(_, items)| items);
    let handlers = items.map_or_else(Vec::new, |items| handler::collect(items, &mut errors));
    let key = Key::of(&module, &mut errors);
    let ident = module.ident.clone();
    let description = docs::description(&module.attrs);
    let room = Room { module: &ident, description, arguments, key, handlers };
    room.check(&mut errors);
    if errors.is_empty() {
        key::document(&mut module, &room.hover());
        append(&mut module, room.inside());
        let beside = room.beside();
        return quote!(#module #beside);
    }
    module.attrs.push(syn::parse_quote!(#[allow(dead_code, unused_imports)]));
    room.key.stub(&mut module, room.arguments.pattern.as_ref());
    let beside = room.stub_beside();
    let errors = errors.into_tokens();
    quote!(#module #beside #errors)
}

/// The module that an attribute is on.
pub(crate) fn module(item: &TokenStream, attribute: &str) -> syn::Result<ItemMod> {
    let place =
        format!("`#[dialogue::{attribute}(..)]` goes above a module: `mod general {{ .. }}`");
    let module: ItemMod = errors::item(item, &place)?;
    match module.content {
        Some(_) => Ok(module),
        None => Err(syn::Error::new(
            module.ident.span(),
            format!(
                "`#[dialogue::{attribute}(..)]` needs to see the module's items: write `mod {} \
                 {{ .. }}` in place, or put the attribute above an inner module",
                module.ident
            ),
        )),
    }
}

/// An item as it was, and what is wrong with it.
pub(crate) fn with(item: &TokenStream, error: &syn::Error) -> TokenStream {
    let error = error.to_compile_error();
    quote!(#item #error)
}

/// Adds items to the end of a module; what the user wrote stays as it is.
pub(crate) fn append(module: &mut ItemMod, items: TokenStream) {
    if let Some((_, content)) = &mut module.content {
        content.push(Item::Verbatim(items));
    }
}

impl Room<'_> {
    fn check(&self, errors: &mut Errors) {
        if let Some(pattern) = &self.arguments.pattern {
            self.key.check_fields(pattern, self.module, errors);
        }
        if self.arguments.app.is_none()
            && let Some(handler) = self.handlers.first()
        {
            errors.at(
                handler.name(),
                "a room with handlers names its app: `#[dialogue::room(.., app = ..)]`",
            );
        }
    }
}
