//! The web console, embedded: hashed assets for ever, the page itself never cached and with a fresh CSP nonce.

use actix_web::http::header::{self, ContentEncoding, ETag, EntityTag, HeaderValue};
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, http::Method};
use data_encoding::{BASE64, HEXLOWER};
use rand::RngExt;
use rust_embed::{EmbeddedFile, RustEmbed};

use crate::access::node_origins;
use crate::app::App;
use crate::headers;
use crate::problem::Problem;

#[derive(RustEmbed)]
#[folder = "console/dist"]
#[allow_missing = true]
struct Dist;

const PAGE: &str = "index.html";
const NOT_BUILT: &str = include_str!("pages/not_built.html");
const NONCE_PLACE: &str = "{{csp-nonce}}";

/// Paths that never fall back to the page.
const NOT_PAGES: [&str; 6] = ["/api", "/play", "/download", "/assets/", "/.well-known", "/metrics"];

/// The build id of the embedded console, or none when it was not built.
#[must_use]
pub fn build_id() -> Option<String> {
    Dist::get(PAGE).map(|page| HEXLOWER.encode(&page.metadata.sha256_hash()[..6]))
}

/// Serves a file of the console, or its page for any address the console's router knows.
pub async fn serve(request: HttpRequest) -> Result<HttpResponse, Problem> {
    let path = request.path().trim_start_matches('/');
    let wanted = !path.is_empty() && path != PAGE && !path.ends_with(".br");
    if let Some(file) = wanted.then(|| Dist::get(path)).flatten() {
        allow_reading(&request)?;
        return Ok(file_answer(&request, path, &file));
    }
    if is_not_a_page(request.path()) {
        return Err(Problem::not_found());
    }
    allow_reading(&request)?;
    Ok(page(&request))
}

fn is_not_a_page(path: &str) -> bool {
    let inside = |prefix: &&str| {
        path == prefix.trim_end_matches('/')
            || path.starts_with(&format!("{}/", prefix.trim_end_matches('/')))
    };
    NOT_PAGES.iter().any(inside)
}

fn allow_reading(request: &HttpRequest) -> Result<(), Problem> {
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        Ok(())
    } else {
        Err(Problem::method_not_allowed("GET, HEAD".to_owned()))
    }
}

fn page(request: &HttpRequest) -> HttpResponse {
    let nonce_bytes: [u8; 18] = rand::rng().random();
    let nonce = BASE64.encode(&nonce_bytes);
    let state = request.app_data::<Data<App>>().map(|app| app.cluster.state());
    let others = state.iter().flat_map(|state| node_origins(state));
    let policy = (header::CONTENT_SECURITY_POLICY, headers::console_policy(&nonce, others));
    let (mut answer, text) = match Dist::get(PAGE) {
        Some(page) => (HttpResponse::Ok(), String::from_utf8_lossy(&page.data).replace(NONCE_PLACE, &nonce)),
        None => (HttpResponse::ServiceUnavailable(), NOT_BUILT.replace(NONCE_PLACE, &nonce)),
    };
    answer.insert_header(policy).insert_header((header::CACHE_CONTROL, "no-store"));
    answer.content_type("text/html; charset=utf-8").body(text)
}

fn file_answer(request: &HttpRequest, path: &str, file: &EmbeddedFile) -> HttpResponse {
    let tag = EntityTag::new_strong(HEXLOWER.encode(&file.metadata.sha256_hash()[..16]));
    let cache = if path.starts_with("assets/") { "public, max-age=31536000, immutable" } else { "no-cache" };
    let unchanged = request.headers().get(header::IF_NONE_MATCH).is_some_and(|seen| names(seen, &tag));
    if unchanged {
        return HttpResponse::NotModified()
            .insert_header(ETag(tag))
            .insert_header((header::CACHE_CONTROL, cache))
            .finish();
    }
    let mut answer = HttpResponse::Ok();
    answer.insert_header(ETag(tag)).insert_header((header::CACHE_CONTROL, cache));
    answer.insert_header((header::VARY, "Accept-Encoding")).content_type(file.metadata.mimetype());
    match Dist::get(&format!("{path}.br")).filter(|_| accepts_brotli(request)) {
        Some(small) => answer.insert_header(ContentEncoding::Brotli).body(small.data.into_owned()),
        None => answer.body(file.data.clone().into_owned()),
    }
}

fn names(seen: &HeaderValue, tag: &EntityTag) -> bool {
    seen.to_str()
        .is_ok_and(|seen| seen.split(',').any(|part| part.trim().trim_start_matches("W/") == tag.to_string()))
}

fn accepts_brotli(request: &HttpRequest) -> bool {
    let accepted = request.headers().get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok());
    accepted.unwrap_or_default().split(',').any(|part| {
        let mut pieces = part.trim().split(';');
        let brotli = pieces.next().is_some_and(|name| name.trim().eq_ignore_ascii_case("br"));
        brotli && !pieces.any(|piece| piece.trim().replace(' ', "") == "q=0")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_console_addresses_fall_back_to_the_page() {
        for path in ["/", "/library", "/assets2", "/playlists", "/setup"] {
            assert!(!is_not_a_page(path), "{path}");
        }
        for path in ["/api", "/api/v1/nothing", "/play/x", "/assets/gone.js", "/.well-known/x"] {
            assert!(is_not_a_page(path), "{path}");
        }
    }

    #[test]
    fn brotli_is_sent_only_where_it_is_accepted() {
        let with = |value: &str| {
            let request =
                actix_web::test::TestRequest::get().insert_header(("accept-encoding", value.to_owned()));
            accepts_brotli(&request.to_http_request())
        };
        assert!(with("gzip, deflate, br"));
        assert!(with("br;q=0.9"));
        assert!(!with("gzip"));
        assert!(!with("br;q=0, gzip"));
    }
}
