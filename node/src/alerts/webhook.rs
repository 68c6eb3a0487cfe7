//! An alert as JSON to an HTTPS address, signed as the Standard Webhooks specification says: the receiver checks
//! `webhook-signature` over `webhook-id.webhook-timestamp.body` with the secret it was given.

use aws_lc_rs::hmac;
use cluster::command::WebhookChannel;
use data_encoding::BASE64;
use rand::RngExt;
use url::Url;

use super::{DeliveryError, Message};
use crate::auth::token::SecretText;
use crate::outbound::Guard;

const SECRET_MARK: &str = "whsec_";
/// Random bytes of a secret.
pub const SECRET_LENGTH: usize = 32;

/// A fresh secret, in the form the specification gives it.
#[must_use]
pub fn new_secret() -> SecretText {
    let random: [u8; SECRET_LENGTH] = rand::rng().random();
    SecretText::new(format!("{SECRET_MARK}{}", BASE64.encode(&random)))
}

/// Posts `message`; an answer of the 200s says that it was taken.
///
/// # Errors
/// [`DeliveryError`].
pub(super) async fn send(
    channel: &WebhookChannel,
    guard: &Guard,
    message: &Message,
) -> Result<(), DeliveryError> {
    let url = Url::parse(&channel.url).map_err(|_| DeliveryError::Malformed("the address"))?;
    let client = guard.client(&url, channel.authority.as_deref()).await?;
    let body = serde_json::to_vec(message).map_err(|error| DeliveryError::Refused(error.to_string()))?;
    let seconds = message.sent_ms / 1000;
    let signature = signature(&channel.secret.0, &message.id, seconds, &body)
        .ok_or(DeliveryError::Malformed("the secret"))?;
    let request = client
        .post(url)
        .header("content-type", "application/json")
        .header("webhook-id", &message.id)
        .header("webhook-timestamp", seconds.to_string())
        .header("webhook-signature", signature)
        .body(body);
    let answer = request.send().await.map_err(|error| DeliveryError::Unreachable(innermost(&error)))?;
    if answer.status().is_success() {
        Ok(())
    } else {
        Err(DeliveryError::Refused(format!("it answered {}", answer.status().as_u16())))
    }
}

/// `v1,BASE64` over id, time and body; none when the secret has not its form.
fn signature(secret: &str, id: &str, seconds: u64, body: &[u8]) -> Option<String> {
    let key = BASE64.decode(secret.strip_prefix(SECRET_MARK)?.as_bytes()).ok()?;
    let mut signed = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, &key));
    signed.update(format!("{id}.{seconds}.").as_bytes());
    signed.update(body);
    Some(format!("v1,{}", BASE64.encode(signed.sign().as_ref())))
}

/// The innermost reason: it names no address with a secret in its path.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut deepest = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification's reference implementations.
    #[test]
    fn it_signs_as_the_specification_says() {
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let found =
            signature(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(found.unwrap(), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        assert_eq!(signature("plain", "a", 1, b""), None);
        assert!(signature(new_secret().expose(), "a", 1, b"").is_some());
    }
}
