//! A chat: open the page in two windows and talk.
//!
//! `PORT` says where to listen (default 3000; 0 picks a free port), `RUST_LOG` what to log. With
//! `--contract`, it prints what it offers its clients, and serves nothing.

mod chat;

use std::env;

use axum::{Router, response::Html, routing::get};
use dialogue::{Contract, Dialogue};
use tokio::net::TcpListener;

use crate::chat::Chat;

const PAGE: &str = include_str!("../page/index.html");

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    if env::args().any(|argument| argument == "--contract") {
        println!("{}", Contract::of::<Chat>());
        return Ok(());
    }
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .init();
    let port = match env::var("PORT") {
        Ok(port) => port.parse()?,
        Err(_) => 3000,
    };
    let chat = Dialogue::builder(Chat).build().await?;
    let tcp = TcpListener::bind(("127.0.0.1", port)).await?;
    println!("listening on http://{}", tcp.local_addr()?);
    let page = Router::new().route("/", get(async || Html(PAGE)));
    chat.serve_on(tcp, page).await?;
    Ok(())
}
