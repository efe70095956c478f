//! The key of a room: the struct `Room` in its module, with a field per placeholder.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{
    Field, Ident, Item, ItemImpl, ItemMod, ItemStruct, Visibility, ext::IdentExt, parse_quote,
};

use super::pattern::Pattern;
use crate::{arguments::text, errors::Errors};

/// What a module calls `Room`.
pub(crate) enum Key {
    /// A static room may leave it to the macro.
    Missing,
    Written {
        item: Box<ItemStruct>,
        is_clone: bool,
    },
    Broken,
}

impl Key {
    pub(crate) fn of(module: &ItemMod, errors: &mut Errors) -> Self {
        let items = module.content.iter().flat_map(|(_, items)| items);
        match items.clone().find(|item| is_named_room(item)) {
            None => Self::Missing,
            Some(Item::Struct(item)) => {
                let is_clone = is_clone(item, items);
                check(item, is_clone, errors);
                Self::Written { item: Box::new(item.clone()), is_clone }
            }
            Some(item) => {
                errors.at(
                    name(item),
                    "`Room` is the room's key: a struct with a field per placeholder",
                );
                Self::Broken
            }
        }
    }

    /// The field of a placeholder.
    pub(crate) fn field(&self, placeholder: &Ident) -> Option<&Field> {
        let Self::Written { item, .. } = self else { return None };
        item.fields.iter().find(|field| field.ident.as_ref().is_some_and(|f| same(f, placeholder)))
    }

    /// Whether fields and placeholders are each other's.
    pub(crate) fn check_fields(&self, pattern: &Pattern, module: &Ident, errors: &mut Errors) {
        let text = pattern.literal.value();
        let item = match self {
            Self::Written { item, .. } => item,
            Self::Missing if pattern.is_family() => {
                let fields: Vec<String> =
                    pattern.placeholders.iter().map(|name| format!("pub {name}: ..")).collect();
                let fields = fields.join(", ");
                errors.at(
                    module,
                    format!(
                        "the family `{text}` needs its key in this module: `pub struct Room {{ \
                         {fields} }}`"
                    ),
                );
                return;
            }
            Self::Missing | Self::Broken => return,
        };
        for field in &item.fields {
            match &field.ident {
                Some(name) if pattern.placeholders.iter().any(|other| same(name, other)) => {}
                Some(name) => errors.at(
                    name,
                    format!("no placeholder names `{name}`; add `{{{name}}}` to `{text}`"),
                ),
                None => errors.at(field, "give the fields of `Room` the placeholders' names"),
            }
        }
        let are_named = item.fields.iter().all(|field| field.ident.is_some());
        for name in pattern.placeholders.iter().filter(|name| self.field(name).is_none()) {
            if are_named {
                errors.at(
                    &pattern.literal,
                    format!("`Room` has no field for the placeholder `{{{name}}}`"),
                );
            }
        }
    }

    /// The key that the macro writes, if it is left to it.
    pub(crate) fn written_here(&self, hover: &str) -> Option<TokenStream> {
        let unit = unit();
        matches!(self, Self::Missing).then(|| quote!(#[doc = #hover] #unit))
    }

    /// Makes the key one that can be used from everywhere, when something is wrong.
    pub(crate) fn stub(&self, module: &mut ItemMod, pattern: Option<&Pattern>) {
        let placeholders = pattern.map_or(&[][..], |pattern| &pattern.placeholders);
        let stub = match self {
            // What code outside makes it of, it can still be made of.
            Self::Written { item, is_clone } if item.generics.params.is_empty() => {
                let mut item = item.clone();
                item.vis = parse_quote!(pub);
                for field in &mut item.fields {
                    field.vis = parse_quote!(pub);
                }
                let clone = (!is_clone).then_some(quote! {
                    impl ::core::clone::Clone for Room {
                        fn clone(&self) -> Self { ::core::unreachable!() }
                    }
                });
                quote!(#item #clone)
            }
            _ if placeholders.is_empty() => unit(),
            _ => quote! {
                #[derive(Clone)]
                pub struct Room { #(pub #placeholders: ::std::string::String),* }
            },
        };
        if let Some((_, items)) = &mut module.content {
            items.retain(|item| !is_named_room(item));
            items.push(Item::Verbatim(stub));
        }
    }
}

/// Adds to the docs of a key that the user wrote.
pub(crate) fn document(module: &mut ItemMod, hover: &str) {
    // As in a doc comment, a space precedes each line.
    let hover: Vec<String> = hover.lines().map(|line| format!(" {line}")).collect();
    let hover = hover.join("\n");
    let items = module.content.iter_mut().flat_map(|(_, items)| items);
    for item in items {
        if let Item::Struct(key) = item
            && key.ident.unraw() == "Room"
        {
            key.attrs.push(parse_quote!(#[doc = ""]));
            key.attrs.push(parse_quote!(#[doc = #hover]));
        }
    }
}

/// What a key is, whatever its pattern.
fn check(key: &ItemStruct, is_clone: bool, errors: &mut Errors) {
    if !key.generics.params.is_empty() {
        errors.at(&key.generics, "a room's key has no generic parameters");
    }
    if matches!(key.vis, Visibility::Inherited) {
        errors.at(&key.ident, "`Room` is used outside of its module; write `pub struct Room`");
    }
    for field in &key.fields {
        if let (Some(name), Visibility::Inherited) = (&field.ident, &field.vis) {
            errors.at(
                name,
                format!("the key's fields are used outside of its module; write `pub {name}`"),
            );
        }
    }
    if !is_clone {
        errors.at(&key.ident, "a room's key is cloned; add `#[derive(Clone)]`");
    }
}

/// Whether a key derives or implements `Clone`, as far as its module shows.
fn is_clone<'a>(key: &ItemStruct, mut items: impl Iterator<Item = &'a Item>) -> bool {
    let mut attributes = key.attrs.iter().filter(|attribute| attribute.path().is_ident("derive"));
    let derives_clone = attributes.any(|attribute| {
        let derived = text(&attribute.meta);
        derived.split(['(', ')', ',']).any(|name| name == "Clone" || name.ends_with("::Clone"))
    });
    derives_clone
        || items.any(|item| match item {
            Item::Impl(ItemImpl { trait_: Some((path, _)), self_ty, .. }) => {
                let of_clone = path.segments.last().is_some_and(|last| last.ident == "Clone");
                of_clone && text(self_ty) == "Room"
            }
            _ => false,
        })
}

fn is_named_room(item: &Item) -> bool {
    name(item).is_some_and(|name| name == "Room")
}

/// The name of a type's item.
fn name(item: &Item) -> Option<&Ident> {
    match item {
        Item::Enum(item) => Some(&item.ident),
        Item::Struct(item) => Some(&item.ident),
        Item::Type(item) => Some(&item.ident),
        Item::Union(item) => Some(&item.ident),
        _ => None,
    }
}

/// `r#type` in Rust is `type` in a pattern.
fn same(a: &Ident, b: &Ident) -> bool {
    a.unraw() == b.unraw()
}

fn unit() -> TokenStream {
    quote! {
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub struct Room;
    }
}
