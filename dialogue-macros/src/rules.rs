//! The rules in `#[validate(..)]` attributes, for the schemas into which schemars does not write
//! all of them. What is malformed is validator's to report.

use proc_macro2::TokenStream;
use quote::{ToTokens as _, quote};
use serde_derive_internals::{
    ast::{Field, Style, Variant},
    attr::TagType,
    name::MultiName,
};
use syn::{
    Attribute, Expr, ExprLit, Fields, Lit, LitStr, Meta, Path, Token, Type, punctuated::Punctuated,
};

use crate::arguments::{option, text};

/// What of a rule's arguments counts.
type Arguments = Vec<Meta>;

/// The rules of a struct with named fields; `whole` are its own attributes.
pub(crate) fn of_struct(whole: &[Attribute], fields: &[Field<'_>]) -> TokenStream {
    let own = validate(whole).filter(|meta| meta.path().is_ident("schema"));
    let own = own.map(|meta| rule("schema", &arguments(&meta), &[]));
    let of_fields = fields.iter().filter_map(|field| of_field(whole, field, fields));
    quote!(#(rules.beside(&#own);)* #(#of_fields)*)
}

fn of_field(whole: &[Attribute], field: &Field<'_>, fields: &[Field<'_>]) -> Option<TokenStream> {
    let own: Vec<TokenStream> =
        validate(&field.original.attrs).filter_map(|meta| written(&meta, fields)).collect();
    let held = held_by(field, is_nested(whole, field));
    if own.is_empty() {
        return held;
    }
    if field.attrs.flatten() {
        // What it holds stands among the other fields: a keyword would be about them, too.
        return Some(quote!(#held #(let rule = #own; rules.beside(&rule);)*));
    }
    let own = quote!(#(let rule = #own; rules.rule(&rule);)*);
    if field.attrs.transparent() {
        return Some(quote!(#held #own));
    }
    let names = names(field.attrs.name());
    Some(quote! {
        #held
        if let __p::Option::Some(rules) = &mut rules.field(#names) {
            #own
        }
    })
}

/// The rules of what a field with a name holds.
fn held_by(field: &Field<'_>, nested: bool) -> Option<TokenStream> {
    if !nested && !may_have_rules(field) {
        return None;
    }
    if field.attrs.flatten() || field.attrs.transparent() {
        return Some(held(field.ty));
    }
    let (ty, names) = (field.ty, names(field.attrs.name()));
    Some(held_at(&quote!((&__p::Held::<#ty>::HERE).__dialogue_field_rules(rules, #names);)))
}

/// The rules of a tuple: those of what it holds.
pub(crate) fn of_tuple(fields: &[Field<'_>]) -> TokenStream {
    let on_the_wire = fields.iter().filter(|field| is_on_the_wire(field)).enumerate();
    let held = on_the_wire.filter(|(_, field)| may_have_rules(field));
    held.map(|(index, Field { ty, .. })| {
        held_at(&quote!((&__p::Held::<#ty>::HERE).__dialogue_item_rules(rules, #index);))
    })
    .collect()
}

/// Whether validator runs the rules of what a field holds; `whole` are its struct's attributes.
pub(crate) fn is_nested(whole: &[Attribute], field: &Field<'_>) -> bool {
    let is_on = |attributes: &[Attribute], name| {
        let all: Arguments = validate(attributes).collect();
        flag(&all, name).is_some_and(|(_, on)| on.to_string() == "true")
    };
    let own = &field.original.attrs;
    (is_on(own, "nested") || is_on(whole, "nest_all_fields")) && !is_on(own, "skip")
}

/// The first thing in the `#[validate]` attributes of a struct and its fields that validator does
/// not know.
pub(crate) fn unknown(whole: &[Attribute], fields: &Fields) -> Option<Meta> {
    const OF_STRUCTS: [&str; 5] = ["context", "crate", "mutable", "nest_all_fields", "schema"];
    const OF_FIELDS: [&str; 15] = [
        "contains",
        "credit_card",
        "custom",
        "does_not_contain",
        "email",
        "ip",
        "length",
        "must_match",
        "nested",
        "non_control_character",
        "range",
        "regex",
        "required",
        "skip",
        "url",
    ];
    let unknown = |attributes: &[Attribute], known: &[&str]| {
        validate(attributes).find(|meta| !known.iter().any(|name| meta.path().is_ident(name)))
    };
    let of_field = |field: &syn::Field| unknown(&field.attrs, &OF_FIELDS);
    unknown(whole, &OF_STRUCTS).or_else(|| fields.iter().find_map(of_field))
}

/// A rule beside `skip`, which turns it off: schemars would write it all the same.
pub(crate) fn skipped(fields: &Fields) -> Option<Meta> {
    let rule = |field: &syn::Field| {
        let all: Arguments = validate(&field.attrs).collect();
        let (_, on) = flag(&all, "skip")?;
        let rule = all.into_iter().find(|meta| !meta.path().is_ident("skip"));
        rule.filter(|_| on.to_string() == "true")
    };
    fields.iter().find_map(rule)
}

/// Whether clients send or receive a field.
pub(crate) fn is_on_the_wire(field: &Field<'_>) -> bool {
    !(field.attrs.skip_deserializing() && field.attrs.skip_serializing())
}

/// Whether the rules of what a field holds are worth a look: those of a text or a number are its
/// own.
pub(crate) fn may_have_rules(field: &Field<'_>) -> bool {
    const PLAIN: [&str; 17] = [
        "String", "bool", "char", "str", "f32", "f64", "i8", "i16", "i32", "i64", "i128", "isize",
        "u8", "u16", "u32", "u64", "usize",
    ];
    let Type::Path(path) = field.ty else { return is_on_the_wire(field) };
    let plain = path.path.get_ident().is_some_and(|name| PLAIN.iter().any(|it| name == it));
    is_on_the_wire(field) && !plain
}

/// The rules of an enum: those of what its variants hold.
pub(crate) fn of_variants(variants: &[Variant<'_>], tag: &TagType) -> TokenStream {
    let skips = |variant: &Variant<'_>| {
        variant.attrs.skip_deserializing() || variant.attrs.skip_serializing()
    };
    let all_there = !variants.iter().any(skips);
    let held = variants.iter().rev().enumerate().filter_map(|(place, variant)| {
        let held = match (&variant.style, &*variant.fields) {
            (Style::Newtype, [field]) => held(field.ty),
            (Style::Newtype | Style::Unit, _) => return None,
            (Style::Tuple, fields) => of_tuple(fields),
            (Style::Struct, fields) => {
                fields.iter().filter_map(|field| held_by(field, false)).collect()
            }
        };
        if held.is_empty() {
            return None;
        }
        let names = names(variant.attrs.name());
        let schema = match tag {
            // Those without a tag are the last ones, and found by their place.
            _ if variant.attrs.untagged() => all_there.then(|| quote!(untagged_variant(#place)))?,
            TagType::None => all_there.then(|| quote!(untagged_variant(#place)))?,
            TagType::External => quote!(variant(#names)),
            TagType::Internal { tag } => {
                quote!(tagged_variant(#tag, __p::Option::None, #names))
            }
            TagType::Adjacent { tag, content } => {
                quote!(tagged_variant(#tag, __p::Option::Some(#content), #names))
            }
        };
        Some(quote!(if let __p::Option::Some(rules) = &mut rules.#schema { #held }))
    });
    quote!(#(#held)*)
}

/// Writes the rules of what is held, if it has any. What is no `Payload` is reported where names are told.
pub(crate) fn held(ty: &Type) -> TokenStream {
    held_at(&quote!((&__p::Held::<#ty>::HERE).__dialogue_rules(rules);))
}

fn held_at(write: &TokenStream) -> TokenStream {
    quote! {{
        #[allow(unused_imports)]
        use __p::NoPayload as _;
        #write
    }}
}

/// What something is called when it is sent, and when it is received.
fn names(names: &MultiName) -> TokenStream {
    let sent: &str = names.deserialize_name().value.as_ref();
    let received: &str = names.serialize_name().value.as_ref();
    quote!([#sent, #received])
}

/// A rule of a field's.
fn written(meta: &Meta, fields: &[Field<'_>]) -> Option<TokenStream> {
    let name = meta.path().get_ident()?.to_string();
    let arguments = arguments(meta);
    let given = |keys: &[&str]| -> Vec<(String, TokenStream)> {
        let value =
            |key: &&str| Some(((*key).to_owned(), value(&arguments, key)?.to_token_stream()));
        keys.iter().filter_map(value).collect()
    };
    let params = match &*name {
        "range" => given(&["min", "max", "exclusive_min", "exclusive_max"]),
        "length" => given(&["min", "max", "equal"]),
        "must_match" => {
            let other = path(value(&arguments, "other")?)?;
            let other = fields.iter().find(|field| text(&field.member) == text(&other))?;
            let names = names(other.attrs.name());
            vec![("other".to_owned(), quote!(rules.name(#names)))]
        }
        "contains" | "does_not_contain" => {
            // `contains = ".."` is short for the one, too.
            let short = meta.require_name_value().ok().map(|pair| &pair.value);
            let needle = value(&arguments, "pattern").or(short)?;
            vec![("needle".to_owned(), quote!(#needle))]
        }
        "ip" => ["v4", "v6"].into_iter().filter_map(|key| flag(&arguments, key)).collect(),
        "custom" | "non_control_character" | "credit_card" | "regex" | "email" | "url" => {
            Vec::new()
        }
        _ => return None,
    };
    Some(rule(&name, &arguments, &params))
}

fn rule(name: &str, arguments: &Arguments, params: &[(String, TokenStream)]) -> TokenStream {
    let string = |key: &str| option(value(arguments, key).and_then(|value| literal(value)));
    let (code, message) = (string("code"), string("message"));
    let function = value(arguments, "function").or(value(arguments, "path")).and_then(path);
    let function = function.and_then(|path| Some(text(&path.segments.last()?.ident)));
    let function = option(function);
    let params = params.iter().map(|(key, value)| quote!((#key, __p::json(&#value))));
    quote! {
        __p::Rule {
            rule: #name,
            name: #function,
            code: #code,
            message: #message,
            params: __p::params([#(#params),*]),
        }
    }
}

/// All that stands in `#[validate(..)]`.
fn validate(attributes: &[Attribute]) -> impl Iterator<Item = Meta> {
    let ours = attributes.iter().filter(|attribute| attribute.path().is_ident("validate"));
    ours.flat_map(|attribute| arguments(&attribute.meta))
}

/// A rule, or another key, in `#[validate(..)]`.
pub(crate) fn find(attributes: &[Attribute], name: &str) -> Option<Meta> {
    validate(attributes).find(|meta| meta.path().is_ident(name))
}

/// What stands in the parentheses of an attribute or of a rule.
fn arguments(meta: &Meta) -> Arguments {
    let Meta::List(list) = meta else { return Vec::new() };
    let parsed = list.parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated);
    parsed.map(|arguments| arguments.into_iter().collect()).unwrap_or_default()
}

fn value<'a>(arguments: &'a Arguments, key: &str) -> Option<&'a Expr> {
    arguments.iter().find_map(|argument| match argument {
        Meta::NameValue(pair) if pair.path.is_ident(key) => Some(&pair.value),
        _ => None,
    })
}

/// A flag that is on, by itself or as `true`.
fn flag(arguments: &Arguments, key: &str) -> Option<(String, TokenStream)> {
    let on = arguments.iter().find_map(|argument| match argument {
        Meta::Path(path) if path.is_ident(key) => Some(quote!(true)),
        Meta::NameValue(pair) if pair.path.is_ident(key) => Some(pair.value.to_token_stream()),
        _ => None,
    });
    Some((key.to_owned(), on?))
}

fn literal(value: &Expr) -> Option<&LitStr> {
    match value {
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(text),
        _ => None,
    }
}

/// A path, as it is or in quotes.
fn path(value: &Expr) -> Option<Path> {
    match value {
        Expr::Path(path) => Some(path.path.clone()),
        Expr::Unary(unary) => path(&unary.expr),
        Expr::Reference(reference) => path(&reference.expr),
        value => literal(value)?.parse().ok(),
    }
}
