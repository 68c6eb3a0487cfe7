//! An alert as mail, by SMTP over TLS. Nothing is ever said over an unprotected connection.

use cluster::command::{EmailChannel, MailSecurity};
use lettre::message::header::ContentType;
use lettre::message::{Mailbox, MessageBuilder};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};

use super::{DeliveryError, Message};
use crate::outbound::{EXCHANGE_WITHIN, Guard};

/// Hands `message` to the mail server; its word is that it has taken it.
///
/// # Errors
/// [`DeliveryError`].
pub(super) async fn send(
    channel: &EmailChannel,
    guard: &Guard,
    message: &Message,
) -> Result<(), DeliveryError> {
    let mail = mail(channel, message)?;
    let addresses = guard.look_up(&channel.host, channel.port).await?;
    let mut last = DeliveryError::NotSetUp;
    // Only what was checked is connected to; the certificate must be the name's.
    for address in addresses {
        let transport = transport(channel, &address.ip().to_string())?;
        match tokio::time::timeout(EXCHANGE_WITHIN * 2, transport.send(mail.clone())).await {
            Ok(Ok(_)) => return Ok(()),
            Ok(Err(error)) if error.is_permanent() || error.is_transient() => {
                let code = error.status().map(|code| code.to_string()).unwrap_or_default();
                return Err(DeliveryError::Refused(format!("the mail server answered {code}")));
            }
            Ok(Err(error)) => last = DeliveryError::Unreachable(error.to_string()),
            Err(_) => last = DeliveryError::Unreachable("it took too long".to_owned()),
        }
    }
    Err(last)
}

fn transport(
    channel: &EmailChannel,
    address: &str,
) -> Result<AsyncSmtpTransport<Tokio1Executor>, DeliveryError> {
    let unusable = |_| DeliveryError::Malformed("the authority");
    let mut parameters = TlsParameters::builder(channel.host.clone());
    if let Some(pem) = &channel.authority {
        let authority = Certificate::from_pem(pem.as_bytes()).map_err(unusable)?;
        parameters = parameters.certificate_store(CertificateStore::None).add_root_certificate(authority);
    }
    let parameters = parameters.build().map_err(unusable)?;
    let tls = match channel.security {
        MailSecurity::Tls => Tls::Wrapper(parameters),
        MailSecurity::StartTls => Tls::Required(parameters),
    };
    let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(address)
        .port(channel.port)
        .tls(tls)
        .hello_name(ClientId::Domain("mediakeep".to_owned()))
        .timeout(Some(EXCHANGE_WITHIN));
    if let Some(username) = &channel.username {
        let password = channel.password.as_ref().map(|password| password.0.clone()).unwrap_or_default();
        builder = builder.credentials(Credentials::new(username.clone(), password));
    }
    Ok(builder.build())
}

/// Whether the authority is one that can be trusted.
///
/// # Errors
/// When it is no certificate.
pub(super) fn check_authority(channel: &EmailChannel) -> Result<(), DeliveryError> {
    transport(channel, "192.0.2.1").map(drop)
}

fn mail(channel: &EmailChannel, message: &Message) -> Result<lettre::Message, DeliveryError> {
    let mut builder: MessageBuilder = lettre::Message::builder()
        .from(mailbox(&channel.from)?)
        .subject(format!("mediakeep {}", message.line()))
        .message_id(Some(format!("<{}@mediakeep.invalid>", message.id)))
        .header(ContentType::TEXT_PLAIN);
    for to in &channel.to {
        builder = builder.to(mailbox(to)?);
    }
    builder.body(message.text()).map_err(|_| DeliveryError::Malformed("an address"))
}

/// An address as mail writes it: `ops@example.org`, also with a name before it.
///
/// # Errors
/// When it is none.
pub(super) fn mailbox(text: &str) -> Result<Mailbox, DeliveryError> {
    text.trim().parse().map_err(|_| DeliveryError::Malformed("an address"))
}

#[cfg(test)]
mod tests {
    use super::super::message::sample;
    use super::*;

    #[test]
    fn a_mail_has_its_headers_and_no_line_of_its_own_breaks_in() {
        let channel = EmailChannel {
            host: "mail.example".into(),
            port: 587,
            security: MailSecurity::StartTls,
            username: None,
            password: None,
            from: "mediakeep <mediakeep@example.org>".into(),
            to: vec!["ops@example.org".into()],
            authority: None,
        };
        let text = String::from_utf8(mail(&channel, &sample()).unwrap().formatted()).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains("Message-ID: <c0ffee-7-1-raised@mediakeep.invalid>"), "{head}");
        assert!(head.contains("To: ops@example.org") && body.contains("Free room."), "{text}");
        assert!(mailbox("nobody").is_err() && mailbox("a@b.example\r\nBcc: c@d.example").is_err());
    }
}
