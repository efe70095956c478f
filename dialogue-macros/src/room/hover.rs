//! What editors show of a room's key, and rustdoc.

use syn::Path;

use super::{
    Room,
    arguments::{Subscribe, Sync},
};
use crate::arguments::text;

impl Room<'_> {
    /// What the room declares, in Markdown.
    pub(super) fn hover(&self) -> String {
        let arguments = &self.arguments;
        let mut lines = Vec::new();
        if let Some(description) = &self.description {
            lines.extend([description.clone(), String::new()]);
        }
        let name = arguments.name.as_ref().map(|name| format!(", {}", name.value()));
        if let Some(pattern) = &arguments.pattern {
            let kind = if pattern.is_family() { "Rooms" } else { "Room" };
            let id = pattern.literal.value();
            lines.extend([format!("{kind} `{id}`{}.", name.unwrap_or_default()), String::new()]);
        }
        let listed = |from_clients: bool| -> Vec<&Path> {
            let events = arguments.events.iter();
            events.filter(|event| event.from_clients == from_clients).map(|e| &e.path).collect()
        };
        let (clients, server) = (listed(true), listed(false));
        if !clients.is_empty() || arguments.any {
            let others = if arguments.any { ", and events that are not listed" } else { "" };
            lines.push(format!("- clients and the server trigger: {}{others}", codes(&clients)));
        }
        if !server.is_empty() {
            lines.push(format!("- the server alone triggers: {}", codes(&server)));
        }
        lines.push(match &arguments.subscribe {
            Subscribe::All => "- a joiner receives every event".to_owned(),
            Subscribe::Listed(events) if events.is_empty() => {
                "- a joiner receives no event until it subscribes".to_owned()
            }
            Subscribe::Listed(events) => {
                format!("- a joiner receives: {}", codes(&events.iter().collect::<Vec<_>>()))
            }
        });
        match arguments.sync_history {
            Sync::Nothing => {}
            Sync::Last(n) => {
                lines.push(format!("- a joiner is sent the last events of each name, up to {n}"));
            }
            Sync::All => lines.push("- a joiner is sent all events that are kept".to_owned()),
        }
        if let Some(most) = arguments.max_size {
            lines.push(format!("- up to {most} connections"));
        }
        if arguments.explicit {
            lines.push("- must be created before it is joined".to_owned());
        }
        lines.join("\n")
    }
}

fn codes(paths: &[&Path]) -> String {
    if paths.is_empty() {
        return "no listed event".to_owned();
    }
    paths.iter().map(|path| format!("`{}`", text(path))).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use proc_macro2::TokenStream;
    use quote::quote;

    /// The docs of the key in what a room becomes.
    fn docs(attribute: TokenStream, module: &TokenStream) -> String {
        let expanded: syn::File = syn::parse2(super::super::expand(attribute, module)).unwrap();
        let modules = expanded.items.iter().filter_map(|item| match item {
            syn::Item::Mod(module) => module.content.as_ref(),
            _ => None,
        });
        let items = modules.flat_map(|(_, items)| items);
        let mut keys = items.filter_map(|item| match item {
            syn::Item::Struct(key) if key.ident == "Room" => Some(key),
            _ => None,
        });
        crate::docs::description(&keys.next().unwrap().attrs).unwrap()
    }

    #[test]
    fn key_of_a_room_shows_its_events_and_who_triggers_them() {
        let attribute = quote! {
            "general", name = "General Chat", events(Message, chat::Typing),
            server_events(UserJoined), subscribe(Message), sync_history = 50, max_size = 500
        };
        let module = quote! {
            /// Public chat room.
            mod general {}
        };
        assert_eq!(
            docs(attribute, &module),
            "Public chat room.\n\n\
             Room `general`, General Chat.\n\n\
             - clients and the server trigger: `Message`, `chat::Typing`\n\
             - the server alone triggers: `UserJoined`\n\
             - a joiner receives: `Message`\n\
             - a joiner is sent the last events of each name, up to 50\n\
             - up to 500 connections"
        );
    }

    #[test]
    fn key_that_the_user_wrote_keeps_its_docs_and_shows_the_rest() {
        let attribute = quote!("doc:{id}", events(any), subscribe(), create = "explicit");
        let module = quote! {
            mod doc {
                /// One document.
                #[derive(Clone)]
                pub struct Room { pub id: u32 }
            }
        };
        assert_eq!(
            docs(attribute, &module),
            "One document.\n\n\
             Rooms `doc:{id}`.\n\n\
             - clients and the server trigger: no listed event, and events that are not listed\n\
             - a joiner receives no event until it subscribes\n\
             - must be created before it is joined"
        );
    }
}
