//! Every parser of the node that meets the network, fed with good input damaged at random.

use cluster::actor::ActorKind;
use cluster::id::AssetId;
use cluster::permission::ViewSubject;
use node::auth::token::{Token, TokenKind};
use node::play::view::{Carrier, ViewClaims};

use crate::parsers;

fn view_token() -> Vec<u8> {
    let claims = ViewClaims {
        view: cluster::id::ViewId([1; 16]),
        asset: AssetId([2; 16]),
        subject: ViewSubject { who: ActorKind::Anonymous, view_epoch: 3 },
        started_ms: 1_800_000_000_000,
        expires_ms: 1_800_000_100_000,
        carrier: Carrier::Cookie,
    };
    parsers::token_key().sign(&claims).unwrap().into_bytes()
}

fn certificate() -> Vec<u8> {
    let params = rcgen::CertificateParams::new(vec!["own.example".to_owned()]).unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    (params.self_signed(&key).unwrap().pem() + &key.serialize_pem()).into_bytes()
}

#[test]
fn no_damaged_request_brings_a_parser_of_the_node_down() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let session = Token::fresh(TokenKind::Session, "01234567890123456789012345");
    let session = session.reveal().expose().as_bytes().to_vec();
    let headers =
        b"filename YS5tcDQ=,title QSBmaWxt,filetype dmlkZW8vbXA0,application MDE=\n12345\n1\nvideo/mp4\n\
                    My film (2) \xc3\xa4.mp4\nsha1 Lve95gjOVATpfV8EL5X4nxwjKHE=\n";
    crate::mutation::survive(&[
        ("tokens", "view token", view_token(), &parsers::read_tokens),
        ("tokens", "session token", session, &parsers::read_tokens),
        ("upload_headers", "upload headers", headers.to_vec(), &parsers::read_upload_headers),
        ("range", "range", b"\0\0\0\0\0\0\x10\0bytes=100-200".to_vec(), &parsers::read_range),
        ("certificate", "certificate", certificate(), &parsers::read_certificate),
    ]);
}
