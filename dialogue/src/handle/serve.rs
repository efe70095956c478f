//! Serving clients, and stopping.

use std::time::Duration;

use axum::Router;
use tokio::net::{self, TcpListener, ToSocketAddrs};
use tower::Layer;
use tower_http::cors::CorsLayer;

use super::stop;
use crate::{
    App, Dialogue, DialogueLayer, Error, socketio,
    transport::{
        http::{listener, tcp_connections::TcpConnections},
        socketio::gateway::Gateway,
    },
};

impl<A: App> Dialogue<A> {
    /// The Socket.IO server, for what Dialogue itself does not do. What is sent through it is
    /// neither validated nor ordered nor kept.
    pub fn io(&self) -> &socketio::SocketIo {
        Gateway::of(self).io()
    }

    /// A layer that lets the pages that may connect read the answers of an app's own routes, too:
    ///
    /// ```
    /// # use dialogue::{App, Dialogue};
    /// # fn routes<A: App>(chat: Dialogue<A>) -> axum::Router {
    /// axum::Router::new().route("/login", axum::routing::post(login)).layer(chat.cors())
    /// # }
    /// # async fn login() {}
    /// ```
    pub fn cors(&self) -> CorsLayer {
        self.gate().layer.clone()
    }

    /// Serves the app at an address, and nothing else.
    pub async fn serve(&self, address: impl ToSocketAddrs) -> Result<(), Error> {
        self.serve_with(address, Router::new()).await
    }

    /// Serves the app at an address, in front of routes of its own.
    pub async fn serve_with(
        &self,
        address: impl ToSocketAddrs,
        routes: Router,
    ) -> Result<(), Error> {
        let mut addresses = Vec::new();
        let bound = async {
            addresses.extend(net::lookup_host(address).await?);
            TcpListener::bind(&*addresses).await
        };
        let bound = bound.await;
        let tcp = bound.map_err(|error| Error::Listen { addresses, error })?;
        self.serve_on(tcp, routes).await
    }

    /// Serves the app on a listener that is already bound.
    ///
    /// It returns once the server has [stopped](Dialogue::stop): by the app's code, or because the
    /// process is told to end, with SIGTERM or Ctrl-C: it then stops within
    /// [`stop_time`](crate::Limits::stop_time), or at once when told again.
    pub async fn serve_on(&self, tcp: TcpListener, routes: Router) -> Result<(), Error> {
        // Around the routes, not on each of them: there is one endpoint.
        let service = self.layer().layer(routes.with_state(()));
        let (limits, proxies, stop) = (self.limits(), self.proxies(), self.stopping());
        let connections = TcpConnections::new(limits, self.refusals().clone());
        if let Ok(address) = tcp.local_addr() {
            tracing::info!("listening on http://{address}");
        }
        let told_twice = async {
            listener::told_to_end().await;
            tokio::select! {
                _ = self.stop(limits.stop_time) => std::future::pending().await,
                () = listener::told_to_end() => {}
            }
        };
        tokio::select! {
            () = listener::serve(tcp, service, limits, proxies, &connections, stop) => {}
            () = told_twice => tracing::warn!("told to end once more; not waiting"),
        }
        Ok(())
    }

    /// Stops the server: new connections are answered 503 and joins `DRAINING`, clients are told when to
    /// come back, what they asked for before is done and acknowledged, their sessions end with all their
    /// hooks, `#[on]` handlers see what waits for them, transports and the store are closed, and
    /// [`serve`](Dialogue::serve) and its like return. All of this within `deadline`, at half of which
    /// whoever does not read its answers is given up. Returns whether all was done in time.
    ///
    /// In a server that is set up by hand, this is for the signal that it shuts down on:
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # use dialogue::{App, Dialogue};
    /// # async fn serve<A: App>(chat: Dialogue<A>, app: axum::Router) -> std::io::Result<()> {
    /// let tcp = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    /// let served = app.layer(chat.layer());
    /// let stopped = async move {
    ///     tokio::signal::ctrl_c().await.ok();
    ///     chat.stop(Duration::from_secs(10)).await;
    /// };
    /// axum::serve(dialogue::listen(tcp), served).with_graceful_shutdown(stopped).await
    /// # }
    /// ```
    ///
    /// Load balancers learn of it at `/dialogue/ready`, which is answered 200 until then, and 503 with
    /// `draining` from then on. It is also answered 503, with `store unavailable`, while
    /// [the store says](crate::store::Store::ready) that it cannot store events.
    pub async fn stop(&self, deadline: Duration) -> bool {
        stop::stop(self, deadline).await
    }

    /// The layer that [`Dialogue::serve_with`] puts on the routes, for servers set up by hand:
    ///
    /// ```no_run
    /// # use dialogue::{App, Dialogue};
    /// # async fn serve<A: App>(chat: Dialogue<A>, app: axum::Router) -> std::io::Result<()> {
    /// let tcp = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    /// axum::serve(dialogue::listen(tcp), app.layer(chat.layer())).await
    /// # }
    /// ```
    ///
    /// Add routes and fallbacks before the layer: a [`Router::fallback`] that comes after it
    /// answers in its place.
    ///
    /// Under a prefix, nest a router with the layer as a service. [`Router::nest`] does not work: it makes routes of
    /// the router, each with a layer of its own, which knows no session of the others.
    ///
    /// ```
    /// # use axum::Router;
    /// # use dialogue::{App, Dialogue};
    /// # fn serve<A: App>(chat: Dialogue<A>, routes: Router) -> Router {
    /// use tower::Layer;
    ///
    /// // Clients connect with the path `/app/socket.io`, and import `/app/dialogue/client.js`.
    /// Router::new().nest_service("/app", chat.layer().layer(routes))
    /// # }
    /// ```
    pub fn layer(&self) -> DialogueLayer<A> {
        DialogueLayer::new(self.clone())
    }
}
