use clearfleet_common::ErrorCode;
use clearfleet_common::config::Limits;

use crate::{Error, Result};

/// Refuses a size that is over the limits.
///
/// # Errors
/// `InputTooManyPixels` with `limit` and `found`.
pub(crate) fn within(what: &str, (width, height): (u32, u32), limits: &Limits) -> Result<()> {
    let pixels = u64::from(width) * u64::from(height);
    let size = format!("{width}x{height}");
    let refuse = |message, limit: u64| {
        Err(Error::new(ErrorCode::InputTooManyPixels, message)
            .with("limit", limit)
            .with("found", &size))
    };
    if width.max(height) > limits.edge {
        let limit = limits.edge;
        return refuse(
            format!("{what} has {size} pixels; its longer side may have {limit}"),
            limit.into(),
        );
    }
    if pixels > limits.pixels {
        return refuse(
            format!("{what} has {size} = {pixels} pixels; {} are allowed", limits.pixels),
            limits.pixels,
        );
    }
    Ok(())
}
