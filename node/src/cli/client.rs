//! One HTTP client for the public API: address, authority, credential; answers and problems read in one place.

use std::error::Error as _;
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, HeaderValue};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;

use super::error::CliError;
use crate::problem::ProblemBody;
use crate::routes::API_PREFIX;

const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// Silence for so long means that the way to the node is gone.
const SILENCE: Duration = Duration::from_secs(60);
/// Items of one page.
const PAGE: usize = 200;

/// A node, as one person or key sees it.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
    credential: Option<HeaderValue>,
}

impl Client {
    /// A client for the node at `base`, which trusts the authority `ca_pem` alone when given.
    pub fn new(base: Url, ca_pem: Option<&str>, token: Option<String>) -> Result<Self, CliError> {
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("mediakeep/", env!("CARGO_PKG_VERSION")))
            .https_only(true)
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_WITHIN)
            .read_timeout(SILENCE)
            .cookie_store(true);
        if let Some(pem) = ca_pem {
            let bad = || CliError::Usage("the CA file is not a PEM certificate".to_owned());
            let authorities = reqwest::Certificate::from_pem_bundle(pem.as_bytes()).map_err(|_| bad())?;
            if authorities.is_empty() {
                return Err(bad());
            }
            builder = builder.tls_certs_only(authorities);
        }
        let http = builder.build().map_err(|error| CliError::Usage(innermost(&error)))?;
        let credential = token.map(|token| bearer(&token)).transpose()?;
        Ok(Self { http, base, credential })
    }

    /// The node's address.
    pub fn base(&self) -> &Url {
        &self.base
    }

    /// An address below the API, from parts that are escaped.
    pub fn api<'a>(&self, parts: impl IntoIterator<Item = &'a str>) -> Url {
        let mut url = self.base.clone();
        url.set_path(API_PREFIX);
        if let Ok(mut path) = url.path_segments_mut() {
            path.extend(parts);
        }
        url
    }

    /// The address `reference` names, as the node gave it; never another host.
    pub fn own_address(&self, reference: &str) -> Result<Url, CliError> {
        let url = self.base.join(reference).map_err(|_| unexpected("an address that is none"))?;
        if url.origin() == self.base.origin() { Ok(url) } else { Err(unexpected("another host's address")) }
    }

    /// A request with the credential.
    pub fn request(&self, method: Method, url: Url) -> RequestBuilder {
        let request = self.http.request(method, url);
        match &self.credential {
            Some(credential) => request.header(AUTHORIZATION, credential.clone()),
            None => request,
        }
    }

    /// Sends; what the node refuses becomes its sentence.
    pub async fn send(&self, request: RequestBuilder) -> Result<Response, CliError> {
        let answer = request.send().await.map_err(|error| self.unreachable(&error))?;
        if answer.status().is_success() { Ok(answer) } else { Err(self.refusal(answer).await) }
    }

    /// The way to the node failed.
    pub fn unreachable(&self, error: &reqwest::Error) -> CliError {
        let url = self.base.origin().ascii_serialization();
        CliError::Unreachable { url, reason: innermost(error) }
    }

    async fn refusal(&self, answer: Response) -> CliError {
        let status = answer.status();
        let body = answer.bytes().await.unwrap_or_default();
        let problem: Option<ProblemBody> = serde_json::from_slice(&body).ok();
        match problem {
            Some(problem) if status == StatusCode::UNAUTHORIZED && self.credential.is_some() => {
                let _ = problem;
                CliError::SignInEnded
            }
            Some(problem) => {
                CliError::Refused { status: status.as_u16(), code: problem.code, detail: problem.detail }
            }
            None => {
                let reason = status.canonical_reason().unwrap_or("no reason given");
                let code = format!("http_{}", status.as_u16());
                CliError::Refused { status: status.as_u16(), code, detail: reason.to_owned() }
            }
        }
    }

    /// Reads a JSON answer.
    pub async fn read<T: DeserializeOwned>(&self, answer: Response) -> Result<T, CliError> {
        let bytes = answer.bytes().await.map_err(|error| self.unreachable(&error))?;
        serde_json::from_slice(&bytes).map_err(|error| CliError::Answer(error.to_string()))
    }

    /// Gets JSON.
    pub async fn get<T: DeserializeOwned>(&self, url: Url) -> Result<T, CliError> {
        let answer = self.send(self.request(Method::GET, url)).await?;
        self.read(answer).await
    }

    /// Posts JSON and reads JSON.
    pub async fn post<T: DeserializeOwned>(&self, url: Url, body: &Value) -> Result<T, CliError> {
        let answer = self.send(self.request(Method::POST, url).json(body)).await?;
        self.read(answer).await
    }

    /// Posts, and looks at success only.
    pub async fn act(&self, url: Url) -> Result<(), CliError> {
        self.send(self.request(Method::POST, url)).await.map(|_| ())
    }

    /// A whole list, page by page.
    pub async fn all(&self, list: Url) -> Result<Vec<Value>, CliError> {
        self.first(list, usize::MAX).await
    }

    /// The first `most` items of a list, page by page.
    pub async fn first(&self, list: Url, most: usize) -> Result<Vec<Value>, CliError> {
        let mut items = Vec::new();
        let mut pages = Pages::of(list);
        while items.len() < most
            && let Some(mut page) = pages.next(self, most - items.len()).await?
        {
            items.append(&mut page);
            items.truncate(most);
        }
        Ok(items)
    }
}

/// A list read page by page, for one that need not fit into memory.
#[derive(Debug)]
pub struct Pages {
    list: Url,
    cursor: Option<String>,
    is_over: bool,
}

impl Pages {
    /// From the beginning of a list.
    pub fn of(list: Url) -> Self {
        Self { list, cursor: None, is_over: false }
    }

    /// The next page, of at most so many items; none after the last. After an error the same page is asked for again.
    pub async fn next(&mut self, client: &Client, most: usize) -> Result<Option<Vec<Value>>, CliError> {
        if self.is_over {
            return Ok(None);
        }
        let mut url = self.list.clone();
        url.query_pairs_mut().append_pair("limit", &PAGE.min(most).max(1).to_string());
        if let Some(cursor) = &self.cursor {
            url.query_pairs_mut().append_pair("cursor", cursor);
        }
        let page: crate::api::paging::Page<Value> = client.get(url).await?;
        match page.next_cursor {
            Some(next) if self.cursor.as_ref() == Some(&next) => {
                return Err(unexpected("a list that does not go on"));
            }
            next => {
                self.is_over = next.is_none();
                self.cursor = next;
            }
        }
        Ok(Some(page.items))
    }
}

fn bearer(token: &str) -> Result<HeaderValue, CliError> {
    let mut value = HeaderValue::from_str(&format!("Bearer {}", token.trim()))
        .map_err(|_| CliError::Usage("the token has characters that no token has".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}

fn unexpected(what: &str) -> CliError {
    CliError::Answer(what.to_owned())
}

/// The innermost cause: the one that says something (`connection refused`, `unknown issuer`).
fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    // Messages of ours only: a reqwest error itself may hold an address with a token in it.
    if error.source().is_some() { cause.to_string() } else { "the request failed".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client() -> Client {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        Client::new(Url::parse("https://media.example:8443").unwrap(), None, None).unwrap()
    }

    #[test]
    fn parts_of_an_address_cannot_change_the_path() {
        let url = client().api(["assets", "../users", "a?b#c"]);
        assert_eq!(url.path(), "/api/v1/assets/..%2Fusers/a%3Fb%23c");
        assert_eq!((url.query(), url.fragment()), (None, None));
    }

    #[test]
    fn an_address_of_another_host_is_not_followed() {
        let client = client();
        assert_eq!(
            client.own_address("/play/x/main.m3u8").unwrap().as_str(),
            "https://media.example:8443/play/x/main.m3u8"
        );
        for foreign in ["https://evil.example/", "//evil.example/x", "http://media.example:8443/x"] {
            assert!(client.own_address(foreign).is_err(), "{foreign}");
        }
    }
}
