//! `derive(Payload)`: names on the wire, read as serde reads them.

use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use serde_derive_internals::{
    Ctxt, Derive,
    ast::{Container, Data as SerdeData},
};
use syn::{Attribute, DeriveInput, Member, spanned::Spanned, visit::Visit};

pub(crate) fn expand(input: TokenStream) -> TokenStream {
    let input: DeriveInput = match syn::parse2(input) {
        Ok(input) => input,
        Err(error) => return error.into_compile_error(),
    };
    let payload = implementation(&input);
    quote! {
        const _: () = {
            use ::dialogue::__private as __p;
            #payload
        };
    }
}

/// `impl Payload for ..`
pub(crate) fn implementation(input: &DeriveInput) -> TokenStream {
    let ident = &input.ident;
    let (impl_generics, type_generics, where_clause) = input.generics.split_for_impl();
    let fields = fields(input);
    let body = (!fields.is_empty()).then(|| {
        quote! {
            fn field(&self, name: &__p::str) -> __p::Option<__p::Field<'_>> {
                match name {
                    #(#fields)*
                    _ => __p::Option::None,
                }
            }
        }
    });
    quote! {
        impl #impl_generics __p::Payload for #ident #type_generics #where_clause {
            #body
        }
    }
}

/// One arm per named field.
fn fields(input: &DeriveInput) -> Vec<TokenStream> {
    let context = Ctxt::new();
    let container =
        Container::from_ast(&context, input, Derive::Deserialize, &format_ident!("__private"));
    // What is wrong with a serde attribute, serde's own derives report.
    drop(context.check());
    let Some(Container { data: SerdeData::Struct(_, fields), .. }) = container else {
        return Vec::new();
    };
    let arms = fields.iter().filter_map(|field| {
        let Member::Named(member) = &field.member else {
            return None;
        };
        let rust = member.to_string();
        let wire = field.attrs.name().deserialize_name();
        let wire: &str = wire.value.as_ref();
        let made = if !is_nested(&field.original.attrs) {
            quote!(__p::Field::plain(#wire))
        } else if field.attrs.flatten() {
            quote_spanned!(field.ty.span()=> __p::Field::flattened(&self.#member))
        } else {
            quote_spanned!(field.ty.span()=> __p::Field::nested(#wire, &self.#member))
        };
        Some(quote!(#rust => __p::Option::Some(#made),))
    });
    arms.collect()
}

/// Whether `#[validate(nested)]` is among a field's attributes.
fn is_nested(attributes: &[Attribute]) -> bool {
    attributes.iter().filter(|attribute| attribute.path().is_ident("validate")).any(|attribute| {
        let mut nested = false;
        // Rules with arguments that are no meta items are validator's to judge.
        let _ = attribute.parse_nested_meta(|meta| {
            nested |= meta.path.is_ident("nested");
            if meta.input.peek(syn::token::Paren) || meta.input.peek(syn::Token![=]) {
                skip_value(meta.input)?;
            }
            Ok(())
        });
        nested
    })
}

fn skip_value(input: syn::parse::ParseStream<'_>) -> syn::Result<()> {
    while !input.is_empty() && !input.peek(syn::Token![,]) {
        input.parse::<proc_macro2::TokenTree>()?;
    }
    Ok(())
}

/// The `#[validate]` attributes of a type and its fields.
pub(crate) fn rules(input: &DeriveInput) -> impl Iterator<Item = &Attribute> {
    struct Rules<'a>(Vec<&'a Attribute>);

    impl<'a> Visit<'a> for Rules<'a> {
        fn visit_attribute(&mut self, attribute: &'a Attribute) {
            if attribute.path().is_ident("validate") {
                self.0.push(attribute);
            }
        }
    }

    let mut rules = Rules(Vec::new());
    rules.visit_derive_input(input);
    rules.0.into_iter()
}
