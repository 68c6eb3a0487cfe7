//! A second lock besides `SameSite`: a change made with a cookie must come from our own pages or an allowed origin.

use actix_web::HttpRequest;
use actix_web::http::{Method, header};

use cluster::state::State;

use crate::config::Config;
use crate::problem::Problem;

/// Refuses a cookie-authenticated request that another site's page sent.
pub(super) fn check(request: &HttpRequest, config: &Config) -> Result<(), Problem> {
    let safe = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let fetched_by = text(request, "sec-fetch-site");
    if safe {
        return Ok(());
    }
    let allowed = match text(request, header::ORIGIN.as_str()) {
        Some(origin) => {
            own_origin(request, origin) || config.allowed_origins.iter().any(|known| known == origin)
        }
        None => matches!(fetched_by, Some("same-origin" | "none")),
    };
    if allowed && fetched_by.is_none_or(|site| site == "same-origin" || site == "none") {
        return Ok(());
    }
    Err(Problem::forbidden("cross_site", "This change was sent by another site's page."))
}

/// The request's `Origin`, when the operator has allowed it; for CORS answers, which never carry credentials.
#[must_use]
pub fn allowed_origin<'a>(request: &'a HttpRequest, config: &Config) -> Option<&'a str> {
    let origin = text(request, header::ORIGIN.as_str())?;
    config.allowed_origins.iter().any(|known| known == origin).then_some(origin)
}

/// The request's `Origin`, when it is the console of a node of this cluster: its player may move to this node.
#[must_use]
pub fn node_origin<'a>(request: &'a HttpRequest, state: &State) -> Option<&'a str> {
    let origin = text(request, header::ORIGIN.as_str())?;
    node_origins(state).any(|known| known == origin).then_some(origin)
}

/// The origins of all nodes and edges that people reach.
pub fn node_origins(state: &State) -> impl Iterator<Item = String> {
    let nodes = state.nodes().map(|node| node.public_address.as_str());
    let edges = state.edges().map(|edge| edge.public_address.as_str());
    let addresses = nodes.chain(edges).filter(|address| !address.is_empty());
    addresses.map(|address| format!("https://{}", address.strip_suffix(":443").unwrap_or(address)))
}

fn own_origin(request: &HttpRequest, origin: &str) -> bool {
    // HTTP/2 has `:authority` in place of `Host`; forwarding headers count for nothing here.
    let authority = request.uri().authority().map(|authority| authority.as_str());
    let host = text(request, header::HOST.as_str()).or(authority).unwrap_or_default();
    origin.strip_prefix("https://").is_some_and(|named| !host.is_empty() && named.eq_ignore_ascii_case(host))
}

fn text<'a>(request: &'a HttpRequest, name: &str) -> Option<&'a str> {
    request.headers().get(name).and_then(|value| value.to_str().ok())
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn outcome(headers: &[(&str, &str)]) -> bool {
        let mut request = TestRequest::post().insert_header(("host", "media.example"));
        for (name, value) in headers {
            request = request.insert_header((*name, *value));
        }
        let config = Config { allowed_origins: vec!["https://wiki.example".to_owned()], ..Config::default() };
        check(&request.to_http_request(), &config).is_ok()
    }

    #[test]
    fn our_own_pages_may_change_things() {
        assert!(outcome(&[("origin", "https://media.example"), ("sec-fetch-site", "same-origin")]));
        assert!(outcome(&[("origin", "https://media.example")]));
        assert!(outcome(&[("sec-fetch-site", "same-origin")]));
    }

    #[test]
    fn another_sites_page_may_not() {
        assert!(!outcome(&[("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")]));
        assert!(!outcome(&[("origin", "https://evil.example")]));
        assert!(!outcome(&[("origin", "null")]));
        assert!(!outcome(&[("origin", "http://media.example")]));
        assert!(!outcome(&[("origin", "https://media.example.evil.example")]));
        assert!(!outcome(&[("origin", "https://media.example"), ("sec-fetch-site", "same-site")]));
        assert!(!outcome(&[]));
    }
}
