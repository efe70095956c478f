//! What a room becomes: declarations, and calls into the runtime.

use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::{Ident, Type, spanned::Spanned};

use super::{
    Room,
    arguments::{Arguments, Event, Subscribe, Sync},
    handler::{self, Handler},
    pattern::Pattern,
};
use crate::arguments::{option, text};

impl Room<'_> {
    /// Items for the end of the module.
    pub(super) fn inside(&self) -> TokenStream {
        let key = self.key.written_here(&self.hover());
        let handlers = self.arguments.app.is_some().then(|| handlers_inside(&self.handlers));
        quote!(#key #handlers)
    }

    /// Items beside the module, where the attribute's paths mean what they meant to its user.
    pub(super) fn beside(&self) -> TokenStream {
        let Some(pattern) = &self.arguments.pattern else {
            return TokenStream::new();
        };
        let module = self.module;
        let spec = self.spec(pattern);
        let (id, parse) = self.key_methods(pattern);
        let lists = self.lists();
        let distinct = self.distinct_events(pattern);
        let served = self.arguments.app.as_ref().map(|app| {
            let served = handlers_beside(module, app, &quote!(#module::Room));
            quote! {
                ::dialogue::__server! {
                    const _: () = {
                        use ::dialogue::__private as __p;
                        impl __p::ForApp for #module::Room {}
                        #served
                    };
                }
            }
        });
        quote! {
            const _: () = {
                use ::dialogue::__private as __p;
                impl __p::Room for #module::Room {
                    const SPEC: __p::RoomSpec<'static> = #spec;
                    #id
                    #parse
                }
                #lists
                #distinct
            };
            #served
        }
    }

    fn spec(&self, pattern: &Pattern) -> TokenStream {
        let arguments = &self.arguments;
        let literal = &pattern.literal;
        let name = option(arguments.name.as_ref());
        let description = option(self.description.as_ref());
        let events = arguments.events.iter().map(|event| {
            let Event { path, from_clients } = event;
            let subscribed = arguments.subscribes(event);
            quote_spanned!(path.span()=> __p::RoomEvent::of::<#path>(#from_clients, #subscribed))
        });
        let any = arguments.any;
        let subscribe_all = matches!(arguments.subscribe, Subscribe::All);
        let max_size = arguments.max_size.unwrap_or(0);
        let sync_history = match arguments.sync_history {
            Sync::Nothing => quote!(__p::SyncHistory::Nothing),
            Sync::Last(n) => quote!(__p::last(#n)),
            Sync::All => quote!(__p::SyncHistory::All),
        };
        let Arguments { explicit, listed, .. } = arguments;
        quote! {
            __p::RoomSpec {
                pattern: #literal,
                name: #name,
                description: #description,
                events: &[#(#events),*],
                any: #any,
                subscribe_all: #subscribe_all,
                max_size: __p::nonzero(#max_size),
                sync_history: #sync_history,
                explicit: #explicit,
                listed: #listed,
                created_by: __p::Option::None,
            }
        }
    }

    fn key_methods(&self, pattern: &Pattern) -> (TokenStream, TokenStream) {
        let literal = &pattern.literal;
        if !pattern.is_family() {
            return (
                quote! {
                    fn id(&self) -> __p::Cow<'static, __p::str> {
                        __p::Cow::Borrowed(#literal)
                    }
                },
                quote! {
                    fn parse(id: &__p::str) -> __p::Option<Self> {
                        __p::canonical(Self {}, id)
                    }
                },
            );
        }
        // Spans of the fields: a type that is not `FromStr + Display` is reported there.
        let fields: Vec<Ident> = pattern.placeholders.iter().map(|name| self.field(name)).collect();
        let values =
            fields.iter().map(|name| quote_spanned!(name.span()=> __p::KeyPart::part(#name)));
        let parsed = fields
            .iter()
            .map(|name| quote_spanned!(name.span()=> #name: __p::KeyPart::of_part(&#name)?));
        (
            quote! {
                fn id(&self) -> __p::Cow<'static, __p::str> {
                    let Self { #(#fields),* } = self;
                    __p::Cow::Owned(__p::format_id(#literal, &[#(#values),*]))
                }
            },
            quote! {
                fn parse(__id: &__p::str) -> __p::Option<Self> {
                    let [#(#fields),*] = __p::parse_id(#literal, __id)?;
                    __p::canonical(Self { #(#parsed),* }, __id)
                }
            },
        )
    }

    /// A placeholder's name with the span of the field's type.
    fn field(&self, name: &Ident) -> Ident {
        let mut name = name.clone();
        if let Some(field) = self.key.field(&name) {
            name.set_span(field.ty.span());
        }
        name
    }

    /// What the room lists, carries, and accepts of clients.
    fn lists(&self) -> TokenStream {
        let module = self.module;
        let any = self.arguments.any;
        let listed = self.arguments.events.iter().map(|Event { path, from_clients }| {
            let carries = (!any).then_some(quote!(Carries));
            let accepts = (!any && *from_clients).then_some(quote!(Accepts));
            let traits = [Some(quote!(Lists)), carries, accepts].into_iter().flatten();
            quote_spanned!(path.span()=> #(impl __p::#traits<#path> for #module::Room {})*)
        });
        // See `Other`.
        let traits = if any { &["Lists"][..] } else { &["Lists", "Carries", "Accepts"] };
        let others = traits.iter().flat_map(|name| [(name, 0_u8), (name, 1)]).map(|(name, n)| {
            let name = format_ident!("{name}");
            quote! {
                #[diagnostic::do_not_recommend]
                impl __p::#name<__p::Other<#n>> for #module::Room {}
            }
        });
        // An event is passed by value: that a reference is none is all there is to say of it.
        let references = (!any).then(|| {
            quote! {
                #[diagnostic::do_not_recommend]
                impl<E: ?::core::marker::Sized> __p::Carries<&E> for #module::Room {}
                #[diagnostic::do_not_recommend]
                impl<E: ?::core::marker::Sized> __p::Accepts<&E> for #module::Room {}
            }
        });
        let carries_any = any.then(|| {
            quote! {
                impl<E: __p::Event> __p::Carries<E> for #module::Room {}
                impl<E: __p::Event> __p::Accepts<E> for #module::Room {}
                impl __p::CarriesAny for #module::Room {}
            }
        });
        quote!(#(#listed)* #(#others)* #references #carries_any)
    }

    fn distinct_events(&self, pattern: &Pattern) -> TokenStream {
        let module = self.module;
        let name = module.to_string();
        let types = self.arguments.events.iter().map(|event| text(&event.path));
        quote_spanned! {pattern.literal.span()=>
            const _: () = __p::distinct_events(
                #name,
                &[#(#types),*],
                <#module::Room as __p::Room>::SPEC.events,
            );
        }
    }

    /// Stands in for [`Room::beside`] when something is wrong: carries whatever it is asked to,
    /// so that code that uses the room adds no errors to the one that is reported.
    pub(super) fn stub_beside(&self) -> TokenStream {
        let module = self.module;
        let pattern = module.to_string();
        quote! {
            const _: () = {
                use ::dialogue::__private as __p;
                impl __p::Room for #module::Room {
                    const SPEC: __p::RoomSpec<'static> = __p::blank(#pattern);
                    fn id(&self) -> __p::Cow<'static, __p::str> {
                        __p::Cow::Borrowed(#pattern)
                    }
                    fn parse(_: &__p::str) -> __p::Option<Self> {
                        __p::Option::None
                    }
                }
                impl<E> __p::Lists<E> for #module::Room {}
                impl<E> __p::Carries<E> for #module::Room {}
                impl<E> __p::Accepts<E> for #module::Room {}
                impl __p::CarriesAny for #module::Room {}
            };
        }
    }
}

/// The table of a module's handlers, where they can be seen.
pub(crate) fn handlers_inside(handlers: &[Handler]) -> TokenStream {
    let table = handler::table(handlers);
    let attached = attached();
    quote! {
        ::dialogue::__server! {
            #[doc(hidden)]
            pub(super) struct #attached;

            #[doc(hidden)]
            #[allow(clippy::needless_update, dead_code)]
            pub(super) const __HANDLERS: ::dialogue::__private::Handlers<
                <#attached as ::dialogue::__private::Attachment>::App,
                <#attached as ::dialogue::__private::Attachment>::Room,
            > = {
                use ::dialogue::__private as __p;
                type __App = <#attached as __p::Attachment>::App;
                type __Room = <#attached as __p::Attachment>::Room;
                #table
            };
        }
    }
}

/// Says whose handlers they are, where app and room mean what they meant to the user.
pub(crate) fn handlers_beside(module: &Ident, app: &Type, room: &TokenStream) -> TokenStream {
    let attached = attached();
    let runs = quote_spanned!(app.span()=> const _: () = __p::runs_handlers::<#app, #room>(););
    quote! {
        impl __p::Attachment for #module::#attached {
            type App = #app;
            type Room = #room;
        }
        impl __p::Serve<#app> for #room {
            fn handlers() -> __p::Handlers<#app, Self> {
                #module::__HANDLERS
            }
        }
        #runs
    }
}

fn attached() -> Ident {
    format_ident!("__Attached")
}
