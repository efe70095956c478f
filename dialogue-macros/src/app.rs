//! `#[dialogue::app(rooms(..), direct(..))]`

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::{ImplItem, ItemImpl, Path, ext::IdentExt, spanned::Spanned};

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
    let arguments = Arguments::parse(attribute, &mut errors);
    let registry =
        if errors.is_empty() { arguments.registry(&implementation) } else { stub(&implementation) };
    let errors = errors.into_tokens();
    quote!(#implementation #registry #errors)
}

#[derive(Default)]
struct Arguments {
    /// The paths of the rooms' modules.
    rooms: Option<Vec<Path>>,
    /// The events that are sent to single clients.
    direct: Vec<Path>,
}

impl Arguments {
    fn parse(attribute: TokenStream, errors: &mut Errors) -> Self {
        let span = attribute.span();
        let arguments = arguments::parse(attribute, errors, |input, errors| {
            let mut this = Self::default();
            arguments::keys(input, "`rooms`, `direct`", errors, |key, input, errors| {
                if key == "rooms" {
                    let listed = this.rooms.insert(Vec::new());
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
                } else if key == "direct" {
                    for path in arguments::events(key, input)? {
                        if this.direct.contains(&path) {
                            let name = text(&path);
                            errors.at(path, format!("event `{name}` is listed twice; keep one"));
                        } else {
                            this.direct.push(path);
                        }
                    }
                } else {
                    return Ok(false);
                }
                Ok(true)
            });
            Ok(this)
        });
        if arguments.rooms.is_none() && errors.is_empty() {
            errors.push(syn::Error::new(span, "an app lists its rooms: `rooms(general, ..)`"));
        }
        arguments
    }
}

/// What says which hooks the app has: those that it leaves out cost nothing. Items that macros
/// write cannot be seen, so that any hook might be among them.
fn hooks(implementation: &ItemImpl) -> TokenStream {
    let mut written = Vec::new();
    for item in &implementation.items {
        match item {
            ImplItem::Fn(method) => written.push(method.sig.ident.unraw().to_string()),
            ImplItem::Type(_) | ImplItem::Const(_) => {}
            _ => return quote!(__p::Hooks::ALL),
        }
    }
    quote!(__p::Hooks::among(&[#(#written),*]))
}

impl Arguments {
    fn registry(&self, implementation: &ItemImpl) -> TokenStream {
        let app = &*implementation.self_ty;
        let rooms = self.rooms.as_deref().unwrap_or_default();
        let app_name = text(app);
        let hooks = hooks(implementation);
        let direct_events = self
            .direct
            .iter()
            .map(|event| quote_spanned!(event.span()=> __p::RoomEvent::of::<#event>(false, true)));
        let direct = self.direct.iter().map(|event| {
            quote_spanned! {event.span()=>
                impl __p::ListsDirect<#event> for #app {}
                const _: () = __p::direct_event(<#event as __p::Event>::SPEC.name);
            }
        });
        let hosts = rooms.iter().map(|room| {
            let name = text(room);
            quote_spanned! {room.span()=>
                impl __p::ListsRoom<#room::Room> for #app {
                    fn handlers() -> __p::Handlers<#app, #room::Room> {
                        <__p::Serving<#app, #room::Room>>::handlers()
                    }
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
                impl __p::ListsRoom<__p::Other<#n>> for #app {
                    fn handlers() -> __p::Handlers<#app, __p::Other<#n>> {
                        __p::Handlers::NONE
                    }
                }
                #[diagnostic::do_not_recommend]
                impl __p::ListsDirect<__p::Other<#n>> for #app {}
            }
        });
        let entries = rooms
            .iter()
            .map(|room| quote_spanned!(room.span()=> __p::RoomEntry::of::<#room::Room>()));
        let specs = rooms.iter().map(|room| {
            let name = text(room);
            quote!((#name, <#room::Room as __p::Room>::SPEC.pattern))
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

                #(#direct)*

                impl __p::Registry for #app {
                    const HOOKS: __p::Hooks = #hooks;

                    fn rooms() -> &'static [__p::RoomEntry<Self>] {
                        const ROOMS: &[__p::RoomEntry<#app>] = &[#(#entries),*];
                        ROOMS
                    }

                    fn direct() -> &'static [__p::RoomEvent] {
                        const DIRECT: &[__p::RoomEvent] = &[#(#direct_events),*];
                        DIRECT
                    }

                    fn package() -> __p::Package {
                        __p::Package::new(
                            ::core::option_env!("CARGO_PKG_NAME"),
                            ::core::option_env!("CARGO_PKG_VERSION"),
                        )
                    }
                }

                #distinct
            };
        }
    }
}

/// Hosts whatever it is asked to, so that code that uses the app adds no errors.
fn stub(implementation: &ItemImpl) -> TokenStream {
    let app = &implementation.self_ty;
    let (generics, _, where_clause) = implementation.generics.split_for_impl();
    let parameters = &implementation.generics.params.iter().collect::<Vec<_>>();
    quote! {
        const _: () = {
            use ::dialogue::__private as __p;
            impl<#(#parameters,)* __Room: __p::Room> __p::ListsRoom<__Room> for #app #where_clause {
                fn handlers() -> __p::Handlers<#app, __Room> {
                    __p::Handlers::NONE
                }
            }
            impl<#(#parameters,)* __Event> __p::ListsDirect<__Event> for #app #where_clause {}
            impl #generics __p::Registry for #app #where_clause {
                const HOOKS: __p::Hooks = __p::Hooks::ALL;

                fn rooms() -> &'static [__p::RoomEntry<Self>] {
                    &[]
                }

                fn direct() -> &'static [__p::RoomEvent] {
                    &[]
                }

                fn package() -> __p::Package {
                    __p::Package::new(__p::Option::None, __p::Option::None)
                }
            }
        };
    }
}
