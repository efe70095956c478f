//! `derive(Event)`

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::{Attribute, Data, DeriveInput, Fields, LitStr, ext::IdentExt, spanned::Spanned};

use crate::{arguments, docs, errors::Errors, payload};

pub(crate) fn expand(input: TokenStream) -> TokenStream {
    match syn::parse2(input) {
        Ok(input) => event(&input),
        Err(error) => error.into_compile_error(),
    }
}

/// `#[event(..)]`
#[derive(Default)]
struct Arguments {
    name: Option<LitStr>,
    history: Option<usize>,
    rate: Option<Rate>,
    depth: Option<usize>,
}

/// `"10/s"`
struct Rate {
    times: u32,
    seconds: u64,
}

impl Rate {
    fn parse(literal: &LitStr) -> syn::Result<Self> {
        let text = literal.value();
        let parsed = text.split_once('/').and_then(|(times, unit)| {
            let seconds = match unit.trim() {
                "s" => 1,
                "min" => 60,
                "h" => 3_600,
                _ => return None,
            };
            let times =
                times.trim().parse().ok().filter(|times| (1..=1_000_000).contains(times))?;
            Some(Self { times, seconds })
        });
        parsed.ok_or_else(|| {
            syn::Error::new(
                literal.span(),
                "a rate is a number from 1 to 1000000 and a unit: \"10/s\", \"30/min\" or \"5/h\"",
            )
        })
    }
}

impl Arguments {
    const KNOWN: &'static str = "`name`, `history`, `rate`, `depth`";

    fn parse(attributes: &[Attribute], errors: &mut Errors) -> Self {
        let mut attributes =
            attributes.iter().filter(|attribute| attribute.path().is_ident("event"));
        let list = attributes.next().and_then(|first| errors.ok(first.meta.require_list()));
        let arguments = list.map(|list| Self::parse_list(list.tokens.clone(), errors));
        for again in attributes {
            errors.at(again, "`#[event(..)]` is given twice; put all keys into one");
        }
        arguments.unwrap_or_default()
    }

    fn parse_list(tokens: TokenStream, errors: &mut Errors) -> Self {
        arguments::parse(tokens, errors, |input, errors| {
            let mut this = Self::default();
            arguments::keys(input, Self::KNOWN, errors, |key, input, _| {
                if key == "name" {
                    let name: LitStr = arguments::value(input)?;
                    arguments::check_event_name(&name.value(), name.span())?;
                    this.name.get_or_insert(name);
                } else if key == "history" {
                    this.history = this.history.or(Some(arguments::positive(key, input)?));
                } else if key == "rate" {
                    let rate = Rate::parse(&arguments::value(input)?)?;
                    this.rate.get_or_insert(rate);
                } else if key == "depth" {
                    this.depth = this.depth.or(Some(arguments::positive(key, input)?));
                } else {
                    return Ok(false);
                }
                Ok(true)
            });
            Ok(this)
        })
    }
}

fn event(input: &DeriveInput) -> TokenStream {
    let mut errors = Errors::default();
    let arguments = Arguments::parse(&input.attrs, &mut errors);
    check_shape(input, &mut errors);
    let payload = payload::implementation(input, &mut errors);
    if !errors.is_empty() {
        return stub(input, &payload, errors);
    }
    let ident = &input.ident;
    let name = match &arguments.name {
        Some(name) => name.value(),
        None => kebab_case(&ident.unraw().to_string()),
    };
    let description = arguments::option(docs::description(&input.attrs));
    let history = arguments.history.unwrap_or(0);
    let rate = arguments::option(
        arguments
            .rate
            .map(|Rate { times, seconds }| quote!(__p::Rate::new(#times, __p::seconds(#seconds)))),
    );
    let depth = arguments::option(arguments.depth.map(|levels| quote!(#levels)));
    let schema = quote_spanned!(ident.span()=> __p::schema::<#ident>);
    quote! {
        const _: () = {
            use ::dialogue::__private as __p;

            impl __p::Event for #ident {
                const SPEC: __p::EventSpec = __p::EventSpec {
                    name: #name,
                    description: #description,
                    history: __p::nonzero(#history),
                    rate: #rate,
                    depth: #depth,
                };

                fn schema(flow: __p::Flow) -> __p::Schema {
                    #schema(flow)
                }
            }

            #payload
        };
    }
}

/// What code that uses the event needs in order not to add errors of its own.
fn stub(input: &DeriveInput, payload: &TokenStream, errors: Errors) -> TokenStream {
    let errors = errors.into_tokens();
    let ident = &input.ident;
    if !input.generics.params.is_empty() {
        return errors;
    }
    quote! {
        const _: () = {
            use ::dialogue::__private as __p;

            #payload

            impl __p::Event for #ident {
                const SPEC: __p::EventSpec = __p::EventSpec {
                    name: ::core::stringify!(#ident),
                    description: __p::Option::None,
                    history: __p::Option::None,
                    rate: __p::Option::None,
                    depth: __p::Option::None,
                };

                fn schema(_: __p::Flow) -> __p::Schema {
                    __p::Schema::default()
                }
            }
        };
        #errors
    }
}

fn check_shape(input: &DeriveInput, errors: &mut Errors) {
    if !input.generics.params.is_empty() {
        errors.at(
            &input.generics,
            format!("event `{}` has generic parameters; an event is one type", input.ident),
        );
    }
    if let Data::Union(data) = &input.data {
        errors.push(syn::Error::new(
            data.union_token.span(),
            "an event is a struct or an enum, not a union",
        ));
    }
    if let Data::Struct(data) = &input.data
        && let Fields::Unnamed(fields) = &data.fields
        && fields.unnamed.len() != 1
    {
        errors.at(fields, format!("give the fields of event `{}` names", input.ident));
    }
}

/// `UserJoined` becomes `user-joined`, `HTTPError` `http-error`.
fn kebab_case(name: &str) -> String {
    let letters: Vec<char> = name.chars().collect();
    let mut kebab = String::new();
    for (n, letter) in letters.iter().enumerate() {
        let starts_word = letter.is_uppercase()
            && n > 0
            && (!letters[n - 1].is_uppercase()
                || letters.get(n + 1).is_some_and(|next| next.is_lowercase()));
        if *letter == '_' || (starts_word && !kebab.ends_with('-')) {
            kebab.push('-');
        }
        if *letter != '_' {
            kebab.extend(letter.to_lowercase());
        }
    }
    kebab
}

#[cfg(test)]
mod tests {
    use super::kebab_case;

    #[test]
    fn names_become_kebab_case() {
        for (name, kebab) in [
            ("Typing", "typing"),
            ("UserJoined", "user-joined"),
            ("HTTPError", "http-error"),
            ("Move2D", "move2-d"),
            ("Snake_Case", "snake-case"),
        ] {
            assert_eq!(kebab_case(name), kebab);
        }
    }
}
