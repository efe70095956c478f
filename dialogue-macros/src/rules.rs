//! The rules among `#[validate(..)]` attributes that schemars does not write into schemas. What is
//! malformed is validator's to report.

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

/// `fn rules(..)` of a struct with named fields; `whole` are its own attributes.
pub(crate) fn of_struct(whole: &[Attribute], fields: &[Field<'_>]) -> TokenStream {
    let own = validate(whole).filter(|meta| meta.path().is_ident("schema"));
    let own = own.map(|meta| rule("schema", &arguments(&meta), &[]));
    let of_fields = fields.iter().filter_map(|field| of_field(field, fields));
    function_of(&quote!(#(rules.rule(&#own);)* #(#of_fields)*))
}

fn function_of(body: &TokenStream) -> TokenStream {
    if body.is_empty() {
        return TokenStream::new();
    }
    quote! {
        fn rules(rules: &mut __p::Rules<'_>) {
            #body
        }
    }
}

fn of_field(field: &Field<'_>, fields: &[Field<'_>]) -> Option<TokenStream> {
    let ty = field.ty;
    let own: Vec<TokenStream> =
        validate(&field.original.attrs).filter_map(|meta| written(&meta, fields)).collect();
    let nested = find(&field.original.attrs, "nested").map(|_| held(ty));
    if own.is_empty() && nested.is_none() {
        return None;
    }
    if field.attrs.flatten() || field.attrs.transparent() {
        // What it holds stands in the place of the whole, as it does in issues.
        return Some(quote!(#nested #(#own)*));
    }
    let names = names(field.attrs.name());
    Some(quote! {
        if let __p::Option::Some(rules) = &mut rules.field(#names) {
            #nested
            #(#own)*
        }
    })
}

/// `fn rules(..)` of an enum: those of what its variants hold.
pub(crate) fn of_variants(variants: &[Variant<'_>], tag: &TagType) -> TokenStream {
    let held = variants.iter().enumerate().filter_map(|(place, variant)| {
        let [field] = &*variant.fields else { return None };
        if !matches!(variant.style, Style::Newtype) || variant.attrs.untagged() {
            return None;
        }
        let names = names(variant.attrs.name());
        let schema = match tag {
            TagType::External => quote!(rules.variant(#names)),
            TagType::Internal { tag } => {
                quote!(rules.tagged_variant(#tag, __p::Option::None, #names))
            }
            TagType::Adjacent { tag, content } => {
                quote!(rules.tagged_variant(#tag, __p::Option::Some(#content), #names))
            }
            TagType::None => {
                let of = variants.len();
                quote!(rules.untagged_variant(#place, #of))
            }
        };
        let held = held(field.ty);
        Some(quote!(if let __p::Option::Some(rules) = &mut #schema #held))
    });
    function_of(&quote!(#(#held)*))
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

/// What writes a rule, if schemars does not.
fn written(meta: &Meta, fields: &[Field<'_>]) -> Option<TokenStream> {
    let name = meta.path().get_ident()?.to_string();
    let arguments = arguments(meta);
    let params: Vec<(String, TokenStream)> = match &*name {
        "range" => {
            let bounds =
                [("exclusive_min", "exclusiveMinimum"), ("exclusive_max", "exclusiveMaximum")];
            let bounds = bounds.iter().filter_map(|(key, keyword)| {
                let bound = value(&arguments, key)?;
                Some(quote!(rules.keyword(#keyword, #bound);))
            });
            return Some(bounds.collect()).filter(|bounds: &TokenStream| !bounds.is_empty());
        }
        "must_match" => {
            let other = path(value(&arguments, "other")?)?;
            let other = fields.iter().find(|field| text(&field.member) == text(&other))?;
            let names = names(other.attrs.name());
            vec![("other".to_owned(), quote!(rules.name(#names)))]
        }
        "does_not_contain" => {
            let needle = value(&arguments, "pattern")?;
            vec![("needle".to_owned(), quote!(#needle))]
        }
        "ip" => ["v4", "v6"].into_iter().filter_map(|key| flag(&arguments, key)).collect(),
        "custom" | "non_control_character" | "credit_card" => Vec::new(),
        _ => return None,
    };
    let rule = rule(&name, &arguments, &params);
    Some(quote! {
        let rule = #rule;
        rules.rule(&rule);
    })
}

fn rule(name: &str, arguments: &Arguments, params: &[(String, TokenStream)]) -> TokenStream {
    let string = |key: &str| option(value(arguments, key).and_then(|value| literal(value)));
    let (code, message) = (string("code"), string("message"));
    let function = value(arguments, "function").and_then(path);
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
        value => literal(value)?.parse().ok(),
    }
}
