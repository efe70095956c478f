//! Tokens as proof of identity: log in on the page, enter the room for VIPs if you are one, and see
//! what happens when the token ends.
//!
//! `PORT` says where to listen (default 3000; 0 picks a free port), `TOKEN_SECONDS` how long a token
//! is good (default 60), `JWT_SECRET` what tokens are signed with (default: random, so that none
//! outlives the server), `RUST_LOG` what to log.

mod accounts;
mod club;

use std::{env, time::Duration};

use axum::{Router, response::Html, routing::get};
use dialogue::Dialogue;
use tokio::net::TcpListener;

use crate::{accounts::Accounts, club::Club};

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
    let seconds = match env::var("TOKEN_SECONDS") {
        Ok(seconds) => seconds.parse()?,
        Err(_) => 60,
    };
    let secret = match env::var("JWT_SECRET") {
        Ok(secret) => secret.into_bytes(),
        Err(_) => random_secret()?,
    };
    let accounts = Accounts::new(&secret, Duration::from_secs(seconds))?;
    let club = Dialogue::builder(Club::new(accounts.verifier())).build().await?;
    let tcp = TcpListener::bind(("127.0.0.1", port)).await?;
    println!("listening on http://{}", tcp.local_addr()?);
    let routes = Router::new().route("/", get(async || Html(PAGE))).merge(accounts.routes());
    club.serve_on(tcp, routes).await?;
    Ok(())
}

fn random_secret() -> Result<Vec<u8>, getrandom::Error> {
    let mut secret = vec![0; 32];
    getrandom::fill(&mut secret)?;
    Ok(secret)
}
