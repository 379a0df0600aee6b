//! Whose jobs these are, and how much of the installation they may use: API keys and quotas.

mod authenticate;
mod keys;
mod quota;
mod routes;
pub(crate) mod secret_file;

pub use authenticate::Counted;
pub use keys::{
    ADMIN_KEY_ENV, ADMIN_KEY_FILE, AddedKey, Ages, Bootstrap, KeyError, KeyId, KeyName, KeyNameError, KeyPolicy,
    KeyRecord, KeySecret, Keys, NewKey, ParseKeyError,
};
pub use quota::{Quota, QuotaArgs, QuotaError, Quotas, Reservation, Space, Usage, Used};
pub(crate) use routes::routes;
