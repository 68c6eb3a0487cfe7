//! What goes wrong with an upload, as problem documents.

use actix_web::http::StatusCode;

use super::tus::HeaderError;
use super::uploads::UploadError;
use crate::problem::Problem;

impl From<HeaderError> for Problem {
    fn from(error: HeaderError) -> Self {
        let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::BAD_REQUEST);
        Self::new(status, error.code(), error.to_string())
    }
}

impl From<UploadError> for Problem {
    fn from(error: UploadError) -> Self {
        let detail = error.to_string();
        match error {
            UploadError::Busy => Self::new(StatusCode::LOCKED, "upload_busy", detail),
            UploadError::Complete => Self::new(StatusCode::GONE, "upload_complete", detail),
            UploadError::WrongOffset { .. } => Self::conflict("wrong_offset", detail),
            UploadError::TooLong { .. } => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, "longer_than_announced", detail)
            }
            UploadError::LengthKnown { .. } => Self::conflict("length_known", detail),
            UploadError::Checksum => Self::new(checksum_mismatch(), "checksum_mismatch", detail),
            UploadError::PieceTooLarge { .. } => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, "piece_too_large", detail)
            }
            UploadError::Cut => Self::invalid("body_cut", detail),
            UploadError::Store(error) => error.into(),
        }
    }
}

/// 460 of the tus checksum extension.
fn checksum_mismatch() -> StatusCode {
    StatusCode::from_u16(460).unwrap_or(StatusCode::BAD_REQUEST)
}
