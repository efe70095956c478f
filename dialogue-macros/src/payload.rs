//! `derive(Payload)`: names on the wire, read as serde reads them.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens as _, format_ident, quote, quote_spanned};
use serde_derive_internals::{
    Ctxt, Derive,
    ast::{self, Container, Field, Style, Variant},
    attr::TagType,
};
use syn::{
    Attribute, Data, DeriveInput, Fields, Generics, Ident, Member, Path, Type,
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
    let held = container.as_ref().map(|container| held(&input.attrs, container, &input.generics));
    let (names, rules) = match container.as_ref().map(|it| (&it.data, it.attrs.tag())) {
        Some((ast::Data::Struct(Style::Struct, fields), _)) => {
            (named(&input.attrs, fields), rules::of_struct(&input.attrs, fields))
        }
        Some((ast::Data::Struct(Style::Tuple, fields), _)) => {
            (TokenStream::new(), rules::of_tuple(fields))
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
                use __p::Unruled as _;
                #validated
                (&__p::Check(self)).__dialogue_check()?;
                __p::Payload::check_held(self)
            }

            #[allow(deprecated)]
            fn check_held(&self) -> __p::Result<(), __p::Issues> {
                #[allow(unused_imports)]
                use __p::{Nameless as _, NoPayload as _, PayloadInField as _, PlainInField as _};
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
    let fields = match &input.data {
        Data::Struct(data) if matches!(data.fields, Fields::Named(_)) => Some(&data.fields),
        _ => None,
    };
    let Some(fields) = fields else {
        errors.at(
            rule,
            "`#[validate]` works on structs with named fields; for others, implement \
             `validator::Validate` by hand",
        );
        return None;
    };
    if let Some(rule) = rules::skipped(fields) {
        let name = text(rule.path());
        errors.at(
            rule,
            format!("`skip` turns `{name}` off, which clients would be told of; keep one of them"),
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
    // validator's derive tells of an unknown rule, and implements nothing.
    if let Some(rule) = rules::unknown(&input.attrs, fields) {
        return Some(quote_spanned!(rule.span()=> __p::read_rules::<Self>();));
    }
    let span = input.ident.span();
    Some(quote_spanned!(span=> __p::ruled::<Self>();))
}

/// One arm per field.
fn named(whole: &[Attribute], fields: &[Field<'_>]) -> TokenStream {
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
        if !rules::is_nested(whole, field) {
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

/// Runs the rules of what a type holds, except those that validator's `nested` runs.
fn held(whole: &[Attribute], container: &Container<'_>, generics: &Generics) -> TokenStream {
    match &container.data {
        ast::Data::Struct(Style::Newtype, fields) => {
            fields.iter().map(|field| check(&quote!(&self.0), field.ty, generics)).collect()
        }
        ast::Data::Struct(Style::Struct, fields) => {
            fields.iter().map(|field| held_by_field(whole, field)).collect()
        }
        ast::Data::Struct(Style::Tuple | Style::Unit, fields) => held_by_parts(fields, |field| {
            let member = &field.member;
            quote!(&self.#member)
        }),
        ast::Data::Enum(variants) => held_by_variants(variants, container.attrs.tag(), generics),
    }
}

/// Of a named field: with `nested`, what validator does not reach; without, everything, because
/// validator does not know of it.
fn held_by_field(whole: &[Attribute], field: &Field<'_>) -> TokenStream {
    let (member, ty, span) = (&field.member, field.ty, field.ty.span());
    if rules::is_nested(whole, field) {
        let held = quote_spanned! {span=>
            (&__p::Held::<#ty>::HERE).__dialogue_check_held(&self.#member)
        };
        return at_field(field, &held);
    }
    if !rules::may_have_rules(field) {
        return TokenStream::new();
    }
    let mut within = Within::default();
    within.visit_type(ty);
    // A collection has no rules but those of what it holds.
    let types = within.types.into_iter().filter(|ty| !is_collection(ty));
    let held = quote_spanned!(span=> (&__p::Held::<#ty>::HERE).__dialogue_check(&self.#member));
    let held = at_field(field, &held);
    quote_spanned! {span=>
        #((&__p::InField::<#types>::HERE).__dialogue_in_field::<#ty>();)*
        #held
    }
}

/// Of fields that have no attributes of validator: those of a tuple struct or of a variant.
fn held_by_parts(fields: &[Field<'_>], value: impl Fn(&Field<'_>) -> TokenStream) -> TokenStream {
    let on_the_wire = fields.iter().filter(|field| rules::is_on_the_wire(field)).enumerate();
    let held = on_the_wire.filter(|(_, field)| rules::may_have_rules(field));
    held.map(|(index, field)| {
        let (value, ty, span) = (value(field), field.ty, field.ty.span());
        let mut within = Within::default();
        within.visit_type(ty);
        let types = within.types;
        let held = quote_spanned!(span=> (&__p::Held::<#ty>::HERE).__dialogue_check(#value));
        let held = match field.member {
            Member::Named(_) => at_field(field, &held),
            Member::Unnamed(_) => at(&format!("[{index}]"), &held),
        };
        quote_spanned! {span=>
            #((&__p::Held::<#types>::HERE).__dialogue_within::<#ty>();)*
            #held
        }
    })
    .collect()
}

/// A check of a field's value, with its name on the wire.
fn at_field(field: &Field<'_>, check: &TokenStream) -> TokenStream {
    if field.attrs.flatten() || field.attrs.transparent() {
        return at("", check);
    }
    at(&field.attrs.name().deserialize_name().value, check)
}

fn at(place: &str, check: &TokenStream) -> TokenStream {
    quote!(__p::at(#place, || #check)?;)
}

fn held_by_variants(variants: &[Variant<'_>], tag: &TagType, generics: &Generics) -> TokenStream {
    let arms: Vec<TokenStream> =
        variants.iter().filter_map(|variant| held_by(variant, tag, generics)).collect();
    if arms.is_empty() {
        return TokenStream::new();
    }
    let others = (arms.len() < variants.len()).then(|| quote!(_ => {}));
    quote!(match self { #(#arms)* #others })
}

fn held_by(variant: &Variant<'_>, tag: &TagType, generics: &Generics) -> Option<TokenStream> {
    let local = |field: &Field<'_>| {
        let member = &field.member;
        format_ident!("held_{}", text(member).trim_start_matches("r#"), span = Span::mixed_site())
    };
    let check = match (&variant.style, &*variant.fields) {
        (Style::Newtype, [field]) => {
            let check = check(&local(field).to_token_stream(), field.ty, generics);
            quote!(#check __p::Result::Ok(()))
        }
        (Style::Newtype | Style::Unit, _) => return None,
        (Style::Struct | Style::Tuple, fields) => {
            let held = held_by_parts(fields, |field| local(field).to_token_stream());
            if held.is_empty() {
                return None;
            }
            quote!(#held __p::Result::Ok(()))
        }
    };
    let wire = variant.attrs.name().deserialize_name();
    let at = match tag {
        _ if variant.attrs.untagged() => "",
        TagType::External => wire.value.as_ref(),
        TagType::Adjacent { content, .. } => content,
        TagType::Internal { .. } | TagType::None => "",
    };
    let name = &variant.ident;
    let held = variant.fields.iter().map(|field| {
        let (member, local) = (&field.member, local(field));
        quote!(#member: #local)
    });
    Some(quote! {
        #[allow(unused_variables)]
        Self::#name { #(#held),* } => __p::at(#at, || { #check })?,
    })
}

/// Runs the rules of a value, if it has any. They must not be overlooked: what holds a payload is
/// one itself, and so is what has rules. Of a type parameter, only its bounds are known.
fn check(value: &TokenStream, ty: &Type, generics: &Generics) -> TokenStream {
    let span = ty.span();
    let mut within = Within::default();
    within.visit_type(ty);
    if generics.type_params().any(|parameter| within.names.contains(&&parameter.ident)) {
        return quote_spanned!(span=> __p::Payload::check_payload(#value)?;);
    }
    let types = within.types;
    quote_spanned! {span=>
        #((&__p::Held::<#types>::HERE).__dialogue_within::<#ty>();)*
        (&__p::Held::<#ty>::HERE).__dialogue_check(#value)?;
    }
}

/// The types that a type is made of, itself the first.
#[derive(Default)]
struct Within<'a> {
    types: Vec<&'a Type>,
    /// The first segments of their paths: of `T` and of `T::Item`, `T`.
    names: Vec<&'a Ident>,
}

/// Whether a type is a collection, a pointer or an option of the standard library.
fn is_collection(ty: &Type) -> bool {
    const NAMES: [&str; 11] = [
        "Option",
        "Box",
        "Rc",
        "Arc",
        "Vec",
        "VecDeque",
        "LinkedList",
        "BTreeSet",
        "HashSet",
        "BTreeMap",
        "HashMap",
    ];
    match ty {
        Type::Path(path) => path.path.segments.last().is_some_and(|last| {
            !last.arguments.is_none() && NAMES.iter().any(|name| last.ident == name)
        }),
        Type::Array(_) | Type::Paren(_) | Type::Reference(_) | Type::Slice(_) | Type::Tuple(_) => {
            true
        }
        _ => false,
    }
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
        self.names.extend(path.segments.first().map(|segment| &segment.ident));
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
