//! The expansion of the chat example's room, written down: it declares and calls, and has no logic.

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::{File, Item, Meta};

const CHAT: &str = include_str!("../../examples/chat/src/chat.rs");

/// The room module of the chat, expanded.
fn expanded() -> TokenStream {
    let chat: File = syn::parse_str(CHAT).unwrap();
    let room = chat.items.into_iter().find_map(|item| match item {
        Item::Mod(mut module) => {
            let attribute = module.attrs.iter().position(|attribute| {
                attribute.path().segments.last().is_some_and(|last| last.ident == "room")
            })?;
            let Meta::List(arguments) = module.attrs.remove(attribute).meta else { return None };
            Some(crate::room::expand(arguments.tokens, &module.into_token_stream()))
        }
        _ => None,
    });
    room.unwrap()
}

#[test]
fn the_chats_room_expands_to_declarations_and_calls() {
    let file: File = syn::parse2(expanded()).unwrap();
    insta::assert_snapshot!(prettyplease::unparse(&file));
}
