//! A lobby: whoever visits creates rooms, enters them and deletes them. Open the page in two
//! windows.
//!
//! `PORT` says where to listen (default 3000; 0 picks a free port), `RUST_LOG` what to log.

mod lobby;

use std::env;

use axum::{Router, response::Html, routing::get};
use dialogue::Dialogue;
use tokio::net::TcpListener;

use crate::lobby::Lobby;

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
    let lobby = Dialogue::builder(Lobby).build().await?;
    let tcp = TcpListener::bind(("127.0.0.1", port)).await?;
    println!("listening on http://{}", tcp.local_addr()?);
    let page = Router::new().route("/", get(async || Html(PAGE)));
    lobby.serve_on(tcp, page).await?;
    Ok(())
}
