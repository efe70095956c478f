//! `#[dialogue::handlers(..)]`

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Path, Token, Type};

use crate::{
    arguments,
    errors::Errors,
    room::{self, handler},
};

/// The room's module, and the app.
#[derive(Default)]
struct Arguments {
    room: Option<Path>,
    app: Option<Type>,
}

pub(crate) fn expand(attribute: TokenStream, item: &TokenStream) -> TokenStream {
    let mut module = match room::module(item, "handlers") {
        Ok(module) => module,
        Err(error) => return room::with(item, &error),
    };
    let mut errors = Errors::default();
    let arguments = parse(attribute, &mut errors);
    let items = module.content.as_mut().map(|(_, items)| items);
    let handlers = items.map_or_else(Vec::new, |items| handler::collect(items, &mut errors));
    if !errors.is_empty() {
        module.attrs.push(syn::parse_quote!(#[allow(dead_code, unused_imports)]));
    }
    let beside = match (&arguments, errors.is_empty()) {
        (Arguments { room: Some(path), app: Some(app) }, true) => {
            room::append(&mut module, room::handlers_inside(&handlers));
            let attached = room::handlers_beside(&module.ident, app, &quote!(#path::Room));
            quote! {
                const _: () = {
                    use ::dialogue::__private as __p;
                    #attached
                };
            }
        }
        _ => TokenStream::new(),
    };
    let errors = errors.into_tokens();
    quote!(#module #beside #errors)
}

fn parse(attribute: TokenStream, errors: &mut Errors) -> Arguments {
    let this = arguments::parse(attribute, errors, |input, errors| {
        let room = input.call(Path::parse_mod_style).map_err(|error| {
            syn::Error::new(error.span(), "handlers start with the path of a room's module")
        })?;
        if !input.is_empty() {
            input.parse::<Token![,]>()?;
        }
        let mut app = None;
        arguments::keys(input, "`app`", errors, |key, input, _| {
            if key == "app" {
                app = Some(arguments::value(input)?);
            }
            Ok(key == "app")
        });
        Ok(Arguments { room: Some(room), app })
    });
    if let (Some(room), None, true) = (&this.room, &this.app, errors.is_empty()) {
        errors.at(room, "handlers name their app: `#[dialogue::handlers(.., app = ..)]`");
    }
    this
}
