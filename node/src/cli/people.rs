//! `login`, `logout` and `users`.

use std::io::{IsTerminal, stdin};

use clap::Args;
use serde_json::{Value, json};

use super::connection::{Connection, StoredLogin, login_file};
use super::error::CliError;
use super::shown;

/// Log in, and keep the sign-in for later commands.
#[derive(Debug, Args)]
pub struct Login {
    #[command(flatten)]
    connection: Connection,
    /// User name; asked for when missing.
    #[arg(long)]
    username: Option<String>,
    /// Passphrase; asked for when missing. Others on this machine may see it here: prefer the question, or the
    /// environment.
    #[arg(long, env = "MEDIAKEEP_PASSWORD", hide_env_values = true)]
    password: Option<String>,
    /// Print the token instead of keeping it.
    #[arg(long)]
    print_token: bool,
}

impl Login {
    /// Carries it out.
    pub async fn run(self) -> Result<(), CliError> {
        let (client, url, ca_pem) = self.connection.open()?;
        let username = match self.username {
            Some(username) => username,
            None => ask("User name: ", "--username")?,
        };
        let password = match self.password {
            Some(password) => password,
            None => ask_hidden("Passphrase: ", "--password")?,
        };
        let mut sessions = client.api(["sessions"]);
        sessions.set_query(Some("kind=token"));
        let answer: Value =
            client.post(sessions, &json!({"username": username, "password": password})).await?;
        let token = answer["token"].as_str().ok_or_else(|| CliError::Answer("no token".to_owned()))?;
        if self.print_token {
            shown::line(token);
            return Ok(());
        }
        let username = shown::field(&answer["user"], "username");
        let login = StoredLogin { url: url.to_string(), ca_pem, token: token.to_owned(), username };
        let kept = login.store()?;
        shown::note(&format!("Logged in as {}; kept in {}.", login.username, kept.display()));
        Ok(())
    }
}

fn ask(question: &str, option: &str) -> Result<String, CliError> {
    need_terminal(option)?;
    shown::note(question.trim_end());
    let mut answer = String::new();
    stdin().read_line(&mut answer).map_err(CliError::file("standard input"))?;
    Ok(answer.trim().to_owned())
}

/// Asks without showing what is typed.
pub fn ask_hidden(question: &str, option: &str) -> Result<String, CliError> {
    need_terminal(option)?;
    rpassword::prompt_password(question).map_err(CliError::file("the terminal"))
}

fn need_terminal(option: &str) -> Result<(), CliError> {
    if stdin().is_terminal() {
        return Ok(());
    }
    Err(CliError::Usage(format!("there is no terminal to ask on; give {option}")))
}

/// End the kept sign-in.
#[derive(Debug, Args)]
pub struct Logout {
    #[command(flatten)]
    connection: Connection,
}

impl Logout {
    /// Carries it out. The kept login goes even when the node cannot be reached.
    pub async fn run(self) -> Result<(), CliError> {
        let client = self.connection.signed_in()?;
        let path = login_file()?;
        if path.exists() {
            std::fs::remove_file(&path).map_err(CliError::file(&path))?;
        }
        let current = client.api(["sessions", "current"]);
        client.send(client.request(reqwest::Method::DELETE, current)).await?;
        shown::note("Logged out.");
        Ok(())
    }
}

/// List the people of the cluster (for cluster admins).
#[derive(Debug, Args)]
pub struct Users {
    #[command(flatten)]
    connection: Connection,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Users {
    /// Carries it out.
    pub async fn run(self) -> Result<(), CliError> {
        let client = self.connection.signed_in()?;
        let users = client.all(client.api(["users"])).await?;
        if self.json {
            shown::json(&Value::Array(users));
            return Ok(());
        }
        let mark =
            |user: &Value, name: &str| if user[name] == true { name.to_owned() } else { String::new() };
        let rows: Vec<_> = users
            .iter()
            .map(|user| {
                let flags = [mark(user, "admin"), mark(user, "suspended")].join(" ");
                vec![shown::field(user, "id"), shown::field(user, "username"), flags.trim().to_owned()]
            })
            .collect();
        shown::table(&["ID", "NAME", "IS"], &rows);
        Ok(())
    }
}
