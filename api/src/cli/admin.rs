//! Which server an admin's command is for, and with which key.

use clap::Args;
use clearfleet_common::storage::Secret;
use reqwest::Url;

use super::client::{Client, ClientError, Result, ServerArgs, address, secret};

/// Which server, and as whom.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Server")]
pub(super) struct AdminArgs {
    /// Address of the server.
    #[arg(
        long,
        env = "CLEARFLEET_SERVER",
        value_name = "URL",
        default_value = "http://127.0.0.1:8080",
        value_parser = address
    )]
    server: Url,
    /// Key of an admin, where the server wants one [default: that in the data folder, for a server on this machine].
    #[arg(long, env = "CLEARFLEET_KEY", value_name = "KEY", hide_env_values = true, value_parser = secret)]
    key: Option<Secret>,
    /// The server's data folder, for the key in it [default: clearfleet in the user's data folder].
    #[cfg(feature = "standalone")]
    #[arg(long, env = "CLEARFLEET_DATA_DIR", value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    data_dir: Option<std::path::PathBuf>,
}

impl AdminArgs {
    /// A client of that server.
    ///
    /// # Errors
    /// `InputUnreadable` where there is a key in the data folder that cannot be read; those of [`Client::new`].
    pub(super) fn client(&self) -> Result<Client> {
        let key = match &self.key {
            Some(key) => Some(key.clone()),
            None if is_here(&self.server) => self.key_of_folder()?,
            // The key of this machine's server is nobody else's business.
            None => None,
        };
        Client::new(&ServerArgs::new(self.server.clone(), key))
    }

    /// The key that a server on this machine made at its first start.
    #[cfg(feature = "standalone")]
    fn key_of_folder(&self) -> Result<Option<Secret>> {
        use clearfleet_common::ErrorCode;

        use crate::owners::{ADMIN_KEY_FILE, secret_file};

        let folder = super::serve::data_dir(self.data_dir.as_deref());
        let folder = folder.map_err(|e| ClientError::new(e.code(), e.message()))?;
        let path = folder.join(ADMIN_KEY_FILE);
        let cannot = |e: std::io::Error| {
            let message = format!("the key in {} cannot be read; --key names one", path.display());
            ClientError::new(ErrorCode::InputUnreadable, message).because(&e)
        };
        let found = secret_file::read(&path).map_err(cannot)?;
        let key = found.map(|text| secret(&text).map_err(|e| cannot(std::io::Error::other(e))));
        key.transpose()
    }

    #[cfg(not(feature = "standalone"))]
    fn key_of_folder(&self) -> Result<Option<Secret>, ClientError> {
        Ok(None)
    }
}

/// Whether the address is this machine's own.
fn is_here(server: &Url) -> bool {
    let host = server.host_str().unwrap_or_default();
    let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        admin: AdminArgs,
    }

    #[test]
    fn the_key_of_the_data_folder_goes_to_this_machine_only() {
        for (server, here) in [
            ("http://127.0.0.1:8080", true),
            ("http://127.9.9.9", true),
            ("http://localhost:1", true),
            ("http://[::1]:8080", true),
            ("http://192.168.1.2:8080", false),
            ("https://clearfleet.example", false),
            ("https://localhost.example", false),
        ] {
            let args = Command::parse_from(["x", "--server", server]).admin;
            assert_eq!(is_here(&args.server), here, "{server}");
        }
    }

    #[cfg(feature = "standalone")]
    #[test]
    fn the_key_is_found_in_the_data_folder() {
        let folder = tempfile::tempdir().unwrap();
        let args = Command::parse_from(["x", "--data-dir", folder.path().to_str().unwrap()]).admin;
        assert_eq!(args.key_of_folder().unwrap(), None);
        std::fs::write(folder.path().join("admin.key"), "cf_one\n").unwrap();
        assert_eq!(args.key_of_folder().unwrap().unwrap().expose(), "cf_one");
    }
}
