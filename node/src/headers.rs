//! The strict header set, on every answer of every kind.

use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};

/// The console's policy, with its per-answer nonce in place of `{nonce}`. Mantine writes style elements, hence the nonce.
const CONSOLE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'nonce-{nonce}'; \
    img-src 'self' data: blob:; media-src 'self' blob:{others}; worker-src 'self' blob:; connect-src 'self'{others}; \
    font-src 'self'; \
    manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'";

/// What anything that is not a page gets: nothing may load, run or frame it.
const BARE_POLICY: &str =
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; sandbox";

const FIXED: [(&str, &str); 10] = [
    ("strict-transport-security", "max-age=31536000; includeSubDomains"),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("origin-agent-cluster", "?1"),
    ("x-permitted-cross-domain-policies", "none"),
    ("x-dns-prefetch-control", "off"),
    (
        "permissions-policy",
        "accelerometer=(), autoplay=(self), camera=(), display-capture=(), encrypted-media=(self), fullscreen=(self), \
         geolocation=(), gyroscope=(), magnetometer=(), microphone=(), midi=(), payment=(), picture-in-picture=(self), \
         publickey-credentials-get=(self), screen-wake-lock=(self), usb=()",
    ),
];

/// The console's Content-Security-Policy for one answer. The player may also fetch from `others`: the origins of the
/// cluster's other nodes.
#[must_use]
pub fn console_policy(nonce: &str, others: impl Iterator<Item = String>) -> String {
    // What was typed as an address by an operator may not end a directive or add a second source.
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']' | '/');
    let others: String =
        others.filter(|origin| origin.chars().all(plain)).map(|origin| format!(" {origin}")).collect();
    CONSOLE_POLICY.replace("{nonce}", nonce).replace("{others}", &others)
}

/// Lets a page of `origin` read this answer.
pub fn allow_origin(origin: &str, headers: &mut HeaderMap) {
    if let Ok(origin) = HeaderValue::try_from(origin) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.append(header::VARY, HeaderValue::from_static("Origin"));
        headers.insert(
            HeaderName::from_static("cross-origin-resource-policy"),
            HeaderValue::from_static("cross-origin"),
        );
    }
}

/// Tells a page of `origin` what it may send.
pub fn allow_methods(origin: &str, headers: &mut HeaderMap) {
    allow_origin(origin, headers);
    let allowed = [
        (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, HEAD, POST, PUT, PATCH, DELETE"),
        (
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            "authorization, content-type, tus-resumable, upload-length, upload-offset, upload-metadata, upload-checksum",
        ),
        (header::ACCESS_CONTROL_MAX_AGE, "600"),
    ];
    for (name, value) in allowed {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

/// Sets what the handler did not set itself; the fixed ones may be narrowed or, for `cross-origin-resource-policy`
/// on a capability path, opened by the handler.
pub fn apply(headers: &mut HeaderMap) {
    for (name, value) in FIXED {
        let name = HeaderName::from_static(name);
        if !headers.contains_key(&name) {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
    if !headers.contains_key(header::CONTENT_SECURITY_POLICY) {
        headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(BARE_POLICY));
    }
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    headers.remove(header::SERVER);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fixed_value_is_a_legal_header() {
        let mut headers = HeaderMap::new();
        apply(&mut headers);
        for (name, value) in FIXED {
            assert_eq!(headers.get(name).map(HeaderValue::as_bytes), Some(value.as_bytes()), "{name}");
        }
        assert!(headers.contains_key("content-security-policy"));
    }

    #[test]
    fn the_console_policy_allows_no_inline_script() {
        let others = ["https://n2.example:8443", "https://evil.example; script-src *"].map(str::to_owned);
        let policy = console_policy("abc", others.into_iter());
        assert!(policy.contains("connect-src 'self' https://n2.example:8443;"), "{policy}");
        assert!(
            policy.contains("media-src 'self' blob: https://n2.example:8443;") && !policy.contains("evil")
        );
        assert!(policy.contains("script-src 'self';"));
        assert!(policy.contains("'nonce-abc'"));
        assert!(!policy.contains("unsafe"));
    }
}
