//! The expansion of the chat example's room and of its handlers, written down: it declares and
//! calls, and has no logic.

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::{Attribute, File, Item, Meta};

const PROTOCOL: &str = include_str!("../../examples/chat/protocol/src/lib.rs");
const SERVER: &str = include_str!("../../examples/chat/src/chat.rs");

/// The module of a file that an attribute of Dialogue is on, expanded.
fn expanded(
    file: &str,
    name: &str,
    expand: fn(TokenStream, &TokenStream) -> TokenStream,
) -> String {
    let is_named = |attribute: &Attribute| {
        attribute.path().segments.last().is_some_and(|last| last.ident == name)
    };
    let file: File = syn::parse_str(file).unwrap();
    let module = file.items.into_iter().find_map(|item| match item {
        Item::Mod(mut module) => {
            let at = module.attrs.iter().position(is_named)?;
            let Meta::List(arguments) = module.attrs.remove(at).meta else { return None };
            Some(expand(arguments.tokens, &module.into_token_stream()))
        }
        _ => None,
    });
    prettyplease::unparse(&syn::parse2(module.unwrap()).unwrap())
}

#[test]
fn the_chats_room_expands_to_declarations_and_calls() {
    insta::assert_snapshot!(expanded(PROTOCOL, "room", crate::room::expand));
}

#[test]
fn the_chats_handlers_expand_to_declarations_and_calls() {
    insta::assert_snapshot!(expanded(SERVER, "handlers", crate::handlers::expand));
}
