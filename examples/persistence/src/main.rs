//! A chat that remembers: what is said is in a database, and the page scrolls back through all of it.
//!
//! `DATABASE_URL` says which: `sqlite:` and a path (default `sqlite:chat.db`, in the working directory),
//! or `postgres://user@host/database`. `PORT` says where to listen (default 3000; 0 picks a free port),
//! `RUST_LOG` what to log.
//!
//! There are two ways to keep history. This is the shorter one: a store takes everything, and reads it
//! again. The other is a table of your own: with the default store, `App::evicted` hands over what
//! leaves memory, and `App::load` reads on from there; the guide shows it.

mod chat;

use std::env;

use axum::{Router, response::Html, routing::get};
use dialogue::{
    Dialogue,
    store::{Postgres, Sqlite},
};
use tokio::net::TcpListener;

use crate::chat::Chat;

const PAGE: &str = include_str!("../page/index.html");

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .init();
    let port = match env::var("PORT") {
        Ok(port) => port.parse()?,
        Err(_) => 3000,
    };
    let database = env::var("DATABASE_URL").unwrap_or_else(|_| "sqlite:chat.db".to_owned());
    let builder = Dialogue::builder(Chat);
    let builder = match database.strip_prefix("sqlite:") {
        Some(path) => builder.store(Sqlite::open(path.strip_prefix("//").unwrap_or(path)).await?),
        None => builder.store(Postgres::connect(&database).await?),
    };
    let chat = builder.build().await?;
    let tcp = TcpListener::bind(("127.0.0.1", port)).await?;
    println!("listening on http://{}", tcp.local_addr()?);
    let page = Router::new().route("/", get(async || Html(PAGE)));
    chat.serve_on(tcp, page).await?;
    Ok(())
}
