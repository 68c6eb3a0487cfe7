//! The strict header set, on every answer of every kind.

use std::collections::{BTreeMap, BTreeSet};

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

/// The least that HSTS may promise: a year.
const HSTS_SECONDS: u64 = 31_536_000;

/// The headers of the set that an answer lacks or has weaker, by name; `values_of` gives all values of one. Seen from
/// outside, so it holds for whatever stands in front of the node, too.
#[must_use]
pub fn weakened(values_of: impl Fn(&str) -> Vec<String>) -> Vec<&'static str> {
    let is_weak = |name: &str, strict: &str| {
        let values = values_of(name);
        values.is_empty() || !values.iter().all(|value| is_as_strict(name, value, strict))
    };
    let mut weak: Vec<_> =
        FIXED.iter().filter(|(name, strict)| is_weak(name, strict)).map(|(name, _)| *name).collect();
    // Browsers go by all policies at once: one that is strict is enough.
    if !values_of("content-security-policy").iter().any(|policy| is_policy_as_strict(policy)) {
        weak.push("content-security-policy");
    }
    if values_of("access-control-allow-origin").iter().any(|origin| origin.trim() == "*") {
        weak.push("access-control-allow-origin");
    }
    weak
}

fn is_as_strict(name: &str, value: &str, strict: &str) -> bool {
    let plain = |text: &str| text.split_whitespace().collect::<String>().to_ascii_lowercase();
    let value = plain(value);
    if name != "strict-transport-security" {
        return value == plain(strict);
    }
    let age = value.split(';').find_map(|part| part.strip_prefix("max-age="));
    age.and_then(|age| age.trim_matches('"').parse::<u64>().ok()).is_some_and(|age| age >= HSTS_SECONDS)
}

/// The directives of a policy with their sources, in small letters. Browsers go by the first of a name.
fn directives(policy: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut all = BTreeMap::new();
    for directive in policy.to_ascii_lowercase().split(';') {
        let mut words = directive.split_whitespace().map(str::to_owned);
        if let Some(name) = words.next() {
            all.entry(name).or_insert_with(|| words.collect());
        }
    }
    all
}

/// Whether `policy` lets in nothing that the console's own would keep out.
fn is_policy_as_strict(policy: &str) -> bool {
    let (ours, theirs) = (directives(&CONSOLE_POLICY.replace("{others}", " {others}")), directives(policy));
    ours.keys().chain(theirs.keys()).all(|name| match (in_force(&ours, name), in_force(&theirs, name)) {
        (Some(allowed), Some(sources)) => sources.iter().all(|source| is_allowed(source, allowed)),
        (Some(_), None) => false,
        // Such as `sandbox`, which only takes away.
        (None, _) => true,
    })
}

/// What holds for a directive: what is to be loaded goes by `default-src` unless there is a word on it.
fn in_force<'a>(policy: &'a BTreeMap<String, BTreeSet<String>>, name: &str) -> Option<&'a BTreeSet<String>> {
    policy.get(name).or_else(|| policy.get("default-src").filter(|_| name.contains("-src")))
}

fn is_allowed(source: &str, allowed: &BTreeSet<String>) -> bool {
    let is_nonce = source.starts_with("'nonce-") && allowed.contains("'nonce-{nonce}'");
    let is_other_node =
        source.starts_with("https://") && !source.contains('*') && allowed.contains("{others}");
    source == "'none'" || allowed.contains(source) || is_nonce || is_other_node
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

    #[test]
    fn only_what_lets_more_in_than_our_own_policy_is_weak() {
        let own = console_policy("Abc+/=", ["https://n2.example:8443".to_owned()].into_iter());
        assert!(is_policy_as_strict(&own) && is_policy_as_strict(BARE_POLICY));
        assert!(is_policy_as_strict(&format!("{own}; upgrade-insecure-requests")));
        for (from, to) in [
            ("script-src 'self'", "script-src 'self' 'unsafe-inline'"),
            ("script-src 'self'", "script-src 'self' 'unsafe-eval'"),
            ("script-src 'self'", "script-src 'self' 'nonce-abc'"),
            ("script-src 'self'", "script-src *"),
            ("script-src 'self'", "script-src 'self'; script-src-attr 'unsafe-inline'"),
            ("style-src 'self'", "style-src 'self' 'unsafe-inline'"),
            ("connect-src 'self'", "connect-src 'self' https:"),
            ("connect-src 'self'", "connect-src https://*.example"),
            ("default-src 'none'", "default-src 'self'"),
            ("frame-ancestors 'none'", "frame-ancestors 'self'"),
            ("frame-ancestors 'none'; ", ""),
            ("base-uri 'none'; ", ""),
        ] {
            let weaker = own.replacen(from, to, 1);
            assert!(weaker != own && !is_policy_as_strict(&weaker), "{weaker}");
        }
        assert!(!is_policy_as_strict(""));
    }

    #[test]
    fn each_header_that_is_missing_or_weaker_is_named() {
        let mut headers = HeaderMap::new();
        apply(&mut headers);
        let named = |headers: &HeaderMap| {
            weakened(|name| {
                headers.get_all(name).filter_map(|value| value.to_str().ok()).map(str::to_owned).collect()
            })
        };
        assert_eq!(named(&headers), [""; 0]);
        for (name, value, is_weak) in [
            ("strict-transport-security", "max-age=31535999; includeSubDomains", true),
            ("strict-transport-security", "max-age=63072000", false),
            ("strict-transport-security", "includeSubDomains", true),
            ("x-frame-options", "SAMEORIGIN", true),
            ("x-frame-options", "deny", false),
            ("referrer-policy", "unsafe-url", true),
            ("content-security-policy", "default-src 'self' 'unsafe-inline'", true),
            ("access-control-allow-origin", "*", true),
        ] {
            let mut changed = headers.clone();
            changed.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
            let expected: Vec<&str> = is_weak.then_some(name).into_iter().collect();
            assert_eq!(named(&changed), expected, "{name}: {value}");
        }
        for (name, _) in FIXED {
            let mut without = headers.clone();
            without.remove(name);
            assert_eq!(named(&without), [name]);
        }
    }
}
