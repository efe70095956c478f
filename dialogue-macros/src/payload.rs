//! `derive(Payload)`: names on the wire, read as serde reads them.

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use serde_derive_internals::{
    Ctxt, Derive,
    ast::{Container, Data, Field, Style, Variant},
    attr::TagType,
};
use syn::{Attribute, DeriveInput, Ident, spanned::Spanned, visit::Visit};

use crate::{
    arguments::{skip, text},
    rules,
};

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

/// A type as serde reads it.
fn read(input: &DeriveInput) -> Option<Container<'_>> {
    let context = Ctxt::new();
    let container =
        Container::from_ast(&context, input, Derive::Deserialize, &format_ident!("__private"));
    // What is wrong with a serde attribute, serde's own derives report.
    drop(context.check());
    container
}

/// `impl Payload for ..`
pub(crate) fn implementation(input: &DeriveInput) -> TokenStream {
    let ident = &input.ident;
    let (impl_generics, type_generics, where_clause) = input.generics.split_for_impl();
    let container = read(input);
    let methods = match container.as_ref().map(|it| (&it.data, it.attrs.tag())) {
        Some((Data::Struct(Style::Struct, fields), _)) => {
            let (names, rules) = (named(fields), rules::of_struct(&input.attrs, fields));
            quote!(#names #rules)
        }
        Some((Data::Struct(Style::Newtype, fields), _)) => newtype(fields),
        Some((Data::Enum(variants), tag)) => rules::of_variants(variants, tag),
        _ => TokenStream::new(),
    };
    quote! {
        impl #impl_generics __p::Payload for #ident #type_generics #where_clause {
            #methods
        }
    }
}

/// One arm per field.
fn named(fields: &[Field<'_>]) -> TokenStream {
    let arms = fields.iter().map(|field| {
        let member = &field.member;
        let rust = text(member);
        let found = if field.attrs.flatten() || field.attrs.transparent() {
            quote!(__p::Field::in_place())
        } else {
            let wire = field.attrs.name().deserialize_name();
            let wire: &str = wire.value.as_ref();
            quote!(__p::Field::named(#wire))
        };
        if !field.original.attrs.iter().any(|rule| has_rule(rule, "nested")) {
            return quote!(#rust => __p::Option::Some(#found),);
        }
        // A type that is no `Payload` is reported where it stands.
        let value = Ident::new("value", field.ty.span());
        let nested = quote_spanned!(field.ty.span()=> .nested(#value));
        quote! {
            #rust => {
                let Self { #member: #value, .. } = self;
                __p::Option::Some(#found #nested)
            }
        }
    });
    quote! {
        fn field(&self, name: &__p::str) -> __p::Option<__p::Field<'_>> {
            match name {
                #(#arms)*
                _ => __p::Option::None,
            }
        }
    }
}

/// The names and the rules of what the newtype holds.
fn newtype(fields: &[Field<'_>]) -> TokenStream {
    let rules = fields.iter().map(|field| rules::held(field.ty));
    quote! {
        fn field(&self, name: &__p::str) -> __p::Option<__p::Field<'_>> {
            #[allow(unused_imports)]
            use __p::Unnamed as _;
            (&__p::Names(&self.0)).__dialogue_names()?.field(name)
        }

        fn element(&self, index: __p::usize) -> __p::Option<__p::Element<'_>> {
            #[allow(unused_imports)]
            use __p::Unnamed as _;
            (&__p::Names(&self.0)).__dialogue_names()?.element(index)
        }

        fn rules(rules: &mut __p::Rules<'_>) {
            #(#rules)*
        }
    }
}

/// Runs the rules of an event, and of what it is on the wire: what a newtype or a variant holds.
pub(crate) fn checks(input: &DeriveInput) -> TokenStream {
    let held = read(input).and_then(|container| match &container.data {
        Data::Struct(Style::Newtype, _) => Some(check(&quote!(&self.0), "")),
        Data::Enum(variants) => held_by_variants(variants, container.attrs.tag()),
        Data::Struct(..) => None,
    });
    let own = check(&quote!(self), "");
    let checks = match held {
        Some(held) => quote!(#own?; #held),
        None => own,
    };
    quote! {
        #[allow(unused_imports)]
        use __p::{Held as _, Unruled as _};
        #checks
    }
}

fn held_by_variants(variants: &[Variant<'_>], tag: &TagType) -> Option<TokenStream> {
    let newtypes: Vec<&Variant<'_>> =
        variants.iter().filter(|variant| matches!(variant.style, Style::Newtype)).collect();
    if newtypes.is_empty() {
        return None;
    }
    let arms = newtypes.iter().map(|variant| {
        let name = &variant.ident;
        let wire = variant.attrs.name().deserialize_name();
        let at = match tag {
            _ if variant.attrs.untagged() => "",
            TagType::External => wire.value.as_ref(),
            TagType::Adjacent { content, .. } => content,
            TagType::Internal { .. } | TagType::None => "",
        };
        let held = Ident::new("held", Span::mixed_site());
        let check = check(&quote!(#held), at);
        quote!(Self::#name(#held) => #check,)
    });
    let others = (newtypes.len() < variants.len()).then(|| quote!(_ => __p::Result::Ok(()),));
    Some(quote!(match self { #(#arms)* #others }))
}

fn check(value: &TokenStream, at: &str) -> TokenStream {
    quote!((&__p::Check(#value, #at)).__dialogue_check())
}

/// Whether a rule is among those of a `#[validate(..)]` attribute.
pub(crate) fn has_rule(attribute: &Attribute, rule: &str) -> bool {
    if !attribute.path().is_ident("validate") {
        return false;
    }
    let mut found = false;
    // Rules with arguments that are no meta items are validator's to judge.
    let _ = attribute.parse_nested_meta(|meta| {
        found |= meta.path.is_ident(rule);
        if meta.input.peek(syn::token::Paren) || meta.input.peek(syn::Token![=]) {
            skip(meta.input);
        }
        Ok(())
    });
    found
}

/// The first of the `#[validate]` attributes of a type and its fields.
pub(crate) fn first_rule(input: &DeriveInput) -> Option<&Attribute> {
    #[derive(Default)]
    struct First<'a>(Option<&'a Attribute>);

    impl<'a> Visit<'a> for First<'a> {
        fn visit_attribute(&mut self, attribute: &'a Attribute) {
            if attribute.path().is_ident("validate") {
                self.0.get_or_insert(attribute);
            }
        }
    }

    let mut first = First::default();
    first.visit_derive_input(input);
    first.0
}
