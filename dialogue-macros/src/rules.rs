//! The rules in `#[validate(..)]` attributes, for the schemas into which schemars does not write
//! all of them. What is malformed is validator's to report.

use proc_macro2::TokenStream;
use quote::{ToTokens as _, quote};
use serde_derive_internals::{
    ast::{Field, Style, Variant},
    attr::TagType,
    name::MultiName,
};
use syn::{Attribute, Expr, ExprLit, Lit, LitStr, Meta, Path, Token, Type, punctuated::Punctuated};

use crate::arguments::{option, text};

/// What of a rule's arguments counts.
type Arguments = Vec<Meta>;

/// The rules of a struct with named fields; `whole` are its own attributes.
pub(crate) fn of_struct(whole: &[Attribute], fields: &[Field<'_>]) -> TokenStream {
    let own = validate(whole).filter(|meta| meta.path().is_ident("schema"));
    let own = own.map(|meta| rule("schema", &arguments(&meta), &[]));
    let of_fields = fields.iter().filter_map(|field| of_field(field, fields));
    quote!(#(rules.beside(&#own);)* #(#of_fields)*)
}

fn of_field(field: &Field<'_>, fields: &[Field<'_>]) -> Option<TokenStream> {
    let own: Vec<TokenStream> =
        validate(&field.original.attrs).filter_map(|meta| written(&meta, fields)).collect();
    let nested = find(&field.original.attrs, "nested").map(|_| held(field.ty));
    if own.is_empty() && nested.is_none() {
        return None;
    }
    if field.attrs.flatten() {
        // What it holds stands among the other fields: a keyword would be about them, too.
        return Some(quote!(#nested #(let rule = #own; rules.beside(&rule);)*));
    }
    let own = quote!(#(let rule = #own; rules.rule(&rule);)*);
    if field.attrs.transparent() {
        return Some(quote!(#nested #own));
    }
    let names = names(field.attrs.name());
    Some(quote! {
        if let __p::Option::Some(rules) = &mut rules.field(#names) {
            #nested
            #own
        }
    })
}

/// The rules of an enum: those of what its variants hold.
pub(crate) fn of_variants(variants: &[Variant<'_>], tag: &TagType) -> TokenStream {
    let skips = |variant: &Variant<'_>| {
        variant.attrs.skip_deserializing() || variant.attrs.skip_serializing()
    };
    let all_there = !variants.iter().any(skips);
    let held = variants.iter().rev().enumerate().filter_map(|(place, variant)| {
        let [field] = &*variant.fields else { return None };
        if !matches!(variant.style, Style::Newtype) {
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
        let held = held(field.ty);
        Some(quote!(if let __p::Option::Some(rules) = &mut rules.#schema #held))
    });
    quote!(#(#held)*)
}

/// Writes the rules of what is held, if it has any. What is no `Payload` is reported where names are told.
pub(crate) fn held(ty: &Type) -> TokenStream {
    quote! {{
        #[allow(unused_imports)]
        use __p::NoPayload as _;
        (&__p::Held::<#ty>::HERE).__dialogue_rules(rules);
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
