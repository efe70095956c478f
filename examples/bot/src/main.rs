//! Joins the chat at `CHAT` (default `ws://localhost:3000`) as `NAME` (default `bot`).

use std::env;

use bot::Login;
use dialogue_client::Client;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = env::var("CHAT").unwrap_or_else(|_| "ws://localhost:3000".to_owned());
    let user_id = env::var("NAME").unwrap_or_else(|_| "bot".to_owned());
    let login = Login { user_id };
    let client = Client::builder(url)
        .auth(move || {
            let login = login.clone();
            async move { login }
        })
        .connect()
        .await?;
    println!("joining as {}", client.user_id());
    let mut errors = client.errors();
    let telling = tokio::spawn(async move {
        while let Some(error) = errors.next().await {
            eprintln!("{error}");
        }
    });
    let done = bot::run(&client).await;
    // Everything that went wrong is told before this ends.
    client.close().await;
    telling.await?;
    done?;
    Err("the chat does not let the bot answer any more".into())
}
