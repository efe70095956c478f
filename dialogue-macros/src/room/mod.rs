//! `#[dialogue::room(..)]`

mod arguments;
mod expand;
pub(crate) mod handler;
mod pattern;

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Ident, Item, ItemMod, ItemStruct, parse::Parser};

pub(crate) use self::expand::{handlers_beside, handlers_inside};
use self::{arguments::Arguments, handler::Handler};
use crate::errors::Errors;

/// A room, checked.
struct Room<'a> {
    module: &'a Ident,
    description: Option<String>,
    arguments: Arguments,
    /// The key that the module declares; a static room may leave it to the macro.
    key: Option<ItemStruct>,
    handlers: Vec<Handler>,
}

pub(crate) fn expand(attribute: TokenStream, item: &TokenStream) -> TokenStream {
    let mut module = match module(item, "room") {
        Ok(module) => module,
        Err(error) => return with(item, &error),
    };
    let mut errors = Errors::default();
    let arguments = parse(attribute, &mut errors);
    let items = module.content.as_mut().map(|(_, items)| items);
    let handlers = items.map_or_else(Vec::new, |items| handler::collect(items, &mut errors));
    let key = key(&module).cloned();
    let ident = module.ident.clone();
    let description = crate::docs::description(&module.attrs);
    let room = Room { module: &ident, description, arguments, key, handlers };
    room.check(&mut errors);
    let (inside, beside) = if errors.is_empty() {
        (room.inside(), room.beside())
    } else {
        module.attrs.push(syn::parse_quote!(#[allow(dead_code, unused_imports)]));
        (room.stub_inside(), room.stub_beside())
    };
    append(&mut module, inside);
    let errors = errors.into_tokens();
    quote!(#module #beside #errors)
}

/// The module that an attribute is on.
pub(crate) fn module(item: &TokenStream, attribute: &str) -> syn::Result<ItemMod> {
    let module: ItemMod =
        syn::parse2(item.clone()).map_err(|error| match syn::parse2::<Item>(item.clone()) {
            Ok(other) => syn::Error::new(
                crate::errors::head(&other),
                format!(
                    "`#[dialogue::{attribute}(..)]` goes above a module: `mod general {{ .. }}`"
                ),
            ),
            Err(_) => error,
        })?;
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

fn parse(attribute: TokenStream, errors: &mut Errors) -> Arguments {
    let parsed = (|input: syn::parse::ParseStream<'_>| Ok(Arguments::parse(input, errors)))
        .parse2(attribute);
    // The parser takes everything and notes what is wrong, so there is no second way to fail.
    parsed.unwrap_or_else(|error| {
        errors.push(error);
        Arguments::default()
    })
}

/// The `Room` of a module.
fn key(module: &ItemMod) -> Option<&ItemStruct> {
    let (_, items) = module.content.as_ref()?;
    items.iter().find_map(|item| match item {
        Item::Struct(item) if item.ident == "Room" => Some(item),
        _ => None,
    })
}

impl Room<'_> {
    fn check(&self, errors: &mut Errors) {
        self.check_key(errors);
        if self.arguments.app.is_none()
            && let Some(handler) = self.handlers.first()
        {
            errors.at(
                handler.name(),
                "a room with handlers names its app: `#[dialogue::room(.., app = ..)]`",
            );
        }
    }

    fn check_key(&self, errors: &mut Errors) {
        let Some(pattern) = &self.arguments.pattern else {
            return;
        };
        let text = pattern.literal.value();
        let Some(key) = &self.key else {
            if pattern.is_family() {
                let fields: Vec<String> =
                    pattern.placeholders.iter().map(|name| format!("pub {name}: ..")).collect();
                errors.at(
                    self.module,
                    format!(
                        "the family `{text}` needs its key in this module: `pub struct Room {{ {} \
                         }}`",
                        fields.join(", ")
                    ),
                );
            }
            return;
        };
        let mut fields: Vec<&Ident> = Vec::new();
        for field in &key.fields {
            match &field.ident {
                Some(name) if pattern.placeholders.contains(name) => fields.push(name),
                Some(name) => errors.at(
                    name,
                    format!("no placeholder names `{name}`; add `{{{name}}}` to `{text}`"),
                ),
                None => errors.at(field, "give the fields of `Room` the placeholders' names"),
            }
        }
        for name in &pattern.placeholders {
            if !fields.contains(&name) && key.fields.iter().all(|field| field.ident.is_some()) {
                errors.at(
                    &pattern.literal,
                    format!("`Room` has no field for the placeholder `{{{name}}}`"),
                );
            }
        }
    }
}
