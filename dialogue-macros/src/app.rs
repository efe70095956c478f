//! `#[dialogue::app(rooms(..))]`

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::{ItemImpl, Path, Type, spanned::Spanned};

use crate::{
    arguments::{self, text},
    errors::{self, Errors},
    room,
};

const PLACE: &str = "`#[dialogue::app(..)]` goes above `impl App for ..`";

pub(crate) fn expand(attribute: TokenStream, item: &TokenStream) -> TokenStream {
    let implementation: ItemImpl = match errors::item(item, PLACE) {
        Ok(implementation) => implementation,
        Err(error) => return room::with(item, &error),
    };
    let is_app = implementation.trait_.as_ref().is_some_and(|(path, _)| {
        path.segments.last().is_some_and(|segment| segment.ident == "App")
    });
    if !is_app {
        let error = syn::Error::new(implementation.self_ty.span(), PLACE);
        return room::with(item, &error);
    }
    let mut errors = Errors::default();
    if !implementation.generics.params.is_empty() {
        errors.at(&implementation.generics, "an app is one type, without generic parameters");
    }
    let rooms = parse(attribute, &mut errors);
    let registry = if errors.is_empty() {
        registry(&implementation.self_ty, &rooms)
    } else {
        stub(&implementation)
    };
    let errors = errors.into_tokens();
    quote!(#implementation #registry #errors)
}

/// The paths of the rooms' modules.
fn parse(attribute: TokenStream, errors: &mut Errors) -> Vec<Path> {
    let span = attribute.span();
    let rooms = arguments::parse(attribute, errors, |input, errors| {
        let mut rooms: Option<Vec<Path>> = None;
        arguments::keys(input, "`rooms`", errors, |key, input, errors| {
            if key != "rooms" {
                return Ok(false);
            }
            let listed = rooms.insert(Vec::new());
            for path in arguments::list::<Path>(input)? {
                let name = text(&path);
                if let Some(module) = name.strip_suffix("::Room") {
                    errors.at(path, format!("an app lists its rooms' modules: `{module}`"));
                } else if listed.contains(&path) {
                    errors.at(path, format!("room `{name}` is listed twice; keep one"));
                } else {
                    listed.push(path);
                }
            }
            Ok(true)
        });
        Ok(rooms)
    });
    if rooms.is_none() && errors.is_empty() {
        errors.push(syn::Error::new(span, "an app lists its rooms: `rooms(general, ..)`"));
    }
    rooms.unwrap_or_default()
}

fn registry(app: &Type, rooms: &[Path]) -> TokenStream {
    let app_name = text(app);
    let hosts = rooms.iter().map(|room| {
        let name = text(room);
        quote_spanned! {room.span()=>
            impl __p::Hosts<#room::Room> for #app {
                const HANDLERS: __p::Handlers<#app, #room::Room> =
                    <__p::Serving<#app, #room::Room>>::HANDLERS;
            }
            const _: () = __p::own_handlers(
                #app_name,
                #name,
                <__p::Written<#room::Room>>::FOR_APP,
                <__p::Serving<#app, #room::Room>>::FOUND,
            );
        }
    });
    let others = [0_u8, 1].map(|n| {
        quote! {
            #[diagnostic::do_not_recommend]
            impl __p::Hosts<__p::Other<#n>> for #app {
                const HANDLERS: __p::Handlers<#app, __p::Other<#n>> = __p::Handlers::NONE;
            }
        }
    });
    let entries =
        rooms.iter().map(|room| quote_spanned!(room.span()=> __p::RoomEntry::of::<#room::Room>()));
    let specs = rooms.iter().map(|room| {
        let name = text(room);
        quote!((#name, &<#room::Room as __p::Room>::SPEC))
    });
    // The last room's span: a clash is found when it is added.
    let span = rooms.last().map_or(app.span(), Spanned::span);
    let distinct = quote_spanned!(span=> const _: () = __p::distinct_rooms(&[#(#specs),*]););
    quote! {
        const _: () = {
            use ::dialogue::__private as __p;
            #[allow(unused_imports)]
            use __p::{NoHandlers as _, Unwritten as _};

            #(#hosts)*

            #(#others)*

            impl __p::Registry for #app {
                fn rooms() -> &'static [__p::RoomEntry<Self>] {
                    const ROOMS: &[__p::RoomEntry<#app>] = &[#(#entries),*];
                    ROOMS
                }
            }

            #distinct
        };
    }
}

/// Hosts whatever it is asked to, so that code that uses the app adds no errors.
fn stub(implementation: &ItemImpl) -> TokenStream {
    let app = &implementation.self_ty;
    let (generics, _, where_clause) = implementation.generics.split_for_impl();
    let parameters = implementation.generics.params.iter();
    quote! {
        const _: () = {
            use ::dialogue::__private as __p;
            impl<#(#parameters,)* __Room: __p::Room> __p::Hosts<__Room> for #app #where_clause {
                const HANDLERS: __p::Handlers<#app, __Room> = __p::Handlers::NONE;
            }
            impl #generics __p::Registry for #app #where_clause {
                fn rooms() -> &'static [__p::RoomEntry<Self>] {
                    &[]
                }
            }
        };
    }
}
