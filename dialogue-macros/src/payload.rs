//! `derive(Payload)`: names on the wire, read as serde reads them.

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use serde_derive_internals::{
    Ctxt, Derive,
    ast::{self, Container, Field, Style, Variant},
    attr::TagType,
};
use syn::{
    Attribute, Data, DeriveInput, Fields, Generics, Ident, Path, Type,
    spanned::Spanned,
    visit::{self, Visit},
};

use crate::{arguments::text, errors::Errors, rules};

pub(crate) fn expand(input: TokenStream) -> TokenStream {
    let input: DeriveInput = match syn::parse2(input) {
        Ok(input) => input,
        Err(error) => return error.into_compile_error(),
    };
    let mut errors = Errors::default();
    let payload = implementation(&input, &mut errors);
    let errors = errors.into_tokens();
    quote! {
        const _: () = {
            use ::dialogue::__private as __p;
            #payload
        };
        #errors
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
pub(crate) fn implementation(input: &DeriveInput, errors: &mut Errors) -> TokenStream {
    let ident = &input.ident;
    let validated = ruled(input, errors);
    let (impl_generics, type_generics, where_clause) = input.generics.split_for_impl();
    let container = read(input);
    let held = container.as_ref().and_then(|container| held(container, &input.generics));
    let (names, rules) = match container.as_ref().map(|it| (&it.data, it.attrs.tag())) {
        Some((ast::Data::Struct(Style::Struct, fields), _)) => {
            (named(fields), rules::of_struct(&input.attrs, fields))
        }
        Some((ast::Data::Struct(Style::Newtype, fields), _)) => newtype(fields),
        Some((ast::Data::Enum(variants), tag)) => {
            (TokenStream::new(), rules::of_variants(variants, tag))
        }
        _ => Default::default(),
    };
    let rules = (!rules.is_empty()).then(|| {
        // schemars takes a transparent type for what it holds.
        let transparent = container.is_some_and(|container| container.attrs.transparent());
        let body = if transparent { rules } else { quote!(rules.of_type(|rules| { #rules });) };
        quote! {
            fn rules(rules: &mut __p::Rules<'_>) {
                #body
            }
        }
    });
    quote! {
        impl #impl_generics __p::Payload for #ident #type_generics #where_clause {
            fn check_payload(&self) -> __p::Result<(), __p::Issues> {
                #[allow(unused_imports)]
                use __p::{Nameless as _, NoPayload as _, Unruled as _};
                #validated
                (&__p::Check(self)).__dialogue_check()?;
                #held
                __p::Result::Ok(())
            }

            #rules

            #names
        }
    }
}

/// Requires `Validate` of a type with rules; see `Ruled` in the runtime.
fn ruled(input: &DeriveInput, errors: &mut Errors) -> Option<TokenStream> {
    let rule = first_rule(input)?;
    let named =
        matches!(&input.data, Data::Struct(data) if matches!(data.fields, Fields::Named(_)));
    if !named {
        errors.at(
            rule,
            "`#[validate]` works on structs with named fields; for others, implement \
             `validator::Validate` by hand",
        );
        return None;
    }
    if let Some(context) = rules::find(&input.attrs, "context") {
        errors.at(
            context,
            "the rules of a payload have no context; what depends on one, check in `#[before]`",
        );
        return None;
    }
    let span = input.ident.span();
    Some(quote_spanned!(span=> __p::ruled::<Self>();))
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
        if rules::find(&field.original.attrs, "nested").is_none() {
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
fn newtype(fields: &[Field<'_>]) -> (TokenStream, TokenStream) {
    let types: Vec<&Type> = fields.iter().map(|field| field.ty).collect();
    let rules = types.iter().map(|ty| rules::held(ty)).collect();
    let names = quote! {
        fn field(&self, name: &__p::str) -> __p::Option<__p::Field<'_>> {
            #[allow(unused_imports)]
            use __p::NoPayload as _;
            #((&__p::Held::<#types>::HERE).__dialogue_names(&self.0)?.field(name))*
        }

        fn element(&self, index: __p::usize) -> __p::Option<__p::Element<'_>> {
            #[allow(unused_imports)]
            use __p::NoPayload as _;
            #((&__p::Held::<#types>::HERE).__dialogue_names(&self.0)?.element(index))*
        }
    };
    (names, rules)
}

/// Runs the rules of what a newtype or a variant holds.
fn held(container: &Container<'_>, generics: &Generics) -> Option<TokenStream> {
    match &container.data {
        ast::Data::Struct(Style::Newtype, fields) => {
            fields.first().map(|field| check(&quote!(&self.0), field.ty, generics))
        }
        ast::Data::Struct(..) => None,
        ast::Data::Enum(variants) => held_by_variants(variants, container.attrs.tag(), generics),
    }
}

fn held_by_variants(
    variants: &[Variant<'_>],
    tag: &TagType,
    generics: &Generics,
) -> Option<TokenStream> {
    let arms: Vec<TokenStream> =
        variants.iter().filter_map(|variant| held_by(variant, tag, generics)).collect();
    if arms.is_empty() {
        return None;
    }
    let others = (arms.len() < variants.len()).then(|| quote!(_ => {}));
    Some(quote!(match self { #(#arms)* #others }))
}

fn held_by(variant: &Variant<'_>, tag: &TagType, generics: &Generics) -> Option<TokenStream> {
    let [field] = &*variant.fields else { return None };
    if !matches!(variant.style, Style::Newtype) {
        return None;
    }
    let wire = variant.attrs.name().deserialize_name();
    let at = match tag {
        _ if variant.attrs.untagged() => "",
        TagType::External => wire.value.as_ref(),
        TagType::Adjacent { content, .. } => content,
        TagType::Internal { .. } | TagType::None => "",
    };
    let name = &variant.ident;
    let held = Ident::new("held", Span::mixed_site());
    let check = check(&quote!(#held), field.ty, generics);
    Some(quote!(Self::#name(#held) => __p::at(#at, || { #check __p::Result::Ok(()) })?,))
}

/// Runs the rules of a value, if it has any. They must not be overlooked: what holds a payload is
/// one itself, and so is what has rules. Of a type parameter, only its bounds are known.
fn check(value: &TokenStream, ty: &Type, generics: &Generics) -> TokenStream {
    let span = ty.span();
    let mut within = Within { parameters: generics, types: Vec::new(), open: false };
    within.visit_type(ty);
    if within.open {
        return quote_spanned!(span=> __p::Payload::check_payload(#value)?;);
    }
    let types = within.types;
    quote_spanned! {span=>
        #((&__p::Held::<#types>::HERE).__dialogue_within::<#ty>();)*
        (&__p::Held::<#ty>::HERE).__dialogue_check(#value)?;
    }
}

/// The types that a type is made of, itself the first.
struct Within<'a> {
    parameters: &'a Generics,
    types: Vec<&'a Type>,
    /// Whether one of them is a parameter.
    open: bool,
}

impl<'a> Visit<'a> for Within<'a> {
    fn visit_type(&mut self, ty: &'a Type) {
        self.types.push(ty);
        match ty {
            // They hold nothing.
            Type::FnPtr(_) | Type::TraitObject(_) => {}
            ty => visit::visit_type(self, ty),
        }
    }

    fn visit_path(&mut self, path: &'a Path) {
        // `T`, or `T::Item`.
        let first = path.segments.first().map(|segment| &segment.ident);
        self.open |= self.parameters.type_params().any(|parameter| Some(&parameter.ident) == first);
        visit::visit_path(self, path);
    }
}

/// The first of the `#[validate]` attributes of a type and its fields.
fn first_rule(input: &DeriveInput) -> Option<&Attribute> {
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
