//! `clearfleet keys`: makes, lists and revokes the keys of a server.

use std::num::NonZeroU32;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use clearfleet_common::job::OwnerId;
use serde_json::json;

use super::admin::AdminArgs;
use super::client::{self, Client, KeyView, MadeKey, Reporter, Result};
use super::exit::exit_code;
use crate::http::Role;
use crate::owners::{KeyId, KeyName, Quota};

/// Make, list and revoke the keys of a server.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  clearfleet keys add \"Anna's laptop\" --owner anna\n  clearfleet keys list\n  \
    clearfleet keys revoke 0198b0c2-7d3a-7c3e-9f61-3f1f0c8f2b11"
)]
pub(super) struct KeysArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a key; its secret is printed, this once.
    Add(AddArgs),
    /// List all keys, revoked ones too.
    List(ListArgs),
    /// End a key.
    Revoke(RevokeArgs),
}

#[derive(Debug, Args)]
struct AddArgs {
    /// What people call it.
    name: KeyName,
    /// Whose jobs it opens: 1 to 32 of a to z, 0 to 9, - and _ [default: the owner of your key].
    #[arg(long)]
    owner: Option<OwnerId>,
    /// What else it may do: keys of the role admin make keys, and see everybody's dead letters.
    #[arg(long, value_enum, default_value = "user")]
    role: Role,
    /// Bytes of sources and results that its owner may have stored, in place of the server's limit.
    #[arg(long, value_name = "BYTES")]
    quota_bytes: Option<u64>,
    /// Jobs of its owner that have not ended, in place of the server's limit.
    #[arg(long, value_name = "JOBS")]
    quota_jobs: Option<u64>,
    /// Requests of its owner in a minute, in place of the server's limit.
    #[arg(long, value_name = "REQUESTS")]
    quota_requests: Option<NonZeroU32>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    admin: AdminArgs,
}

#[derive(Debug, Args)]
struct ListArgs {
    /// Print JSON, one key a line.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    admin: AdminArgs,
}

#[derive(Debug, Args)]
struct RevokeArgs {
    /// Its id, as `keys list` shows it.
    #[arg(value_name = "ID")]
    id: KeyId,
    /// Print errors as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    admin: AdminArgs,
}

/// Runs the command.
pub(super) fn run(args: &KeysArgs) -> ExitCode {
    let (admin, json) = match &args.command {
        Command::Add(args) => (&args.admin, args.json),
        Command::List(args) => (&args.admin, args.json),
        Command::Revoke(args) => (&args.admin, args.json),
    };
    let work = async { ask(&args.command, &admin.client()?).await };
    match client::block_on(work).flatten() {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            Reporter::new(json, false, false).failed(None, None, &e);
            ExitCode::from(exit_code(e.code()))
        }
    }
}

async fn ask(command: &Command, client: &Client) -> Result<()> {
    match command {
        Command::Add(args) => print_made(&client.add_key(&args.document()).await?, args.json),
        Command::List(args) => print_list(&client.keys().await?, args.json),
        Command::Revoke(args) => client.revoke_key(&args.id.to_string()).await?,
    }
    Ok(())
}

impl AddArgs {
    /// The request, as the API takes it.
    fn document(&self) -> serde_json::Value {
        let quota = Quota {
            stored_bytes: self.quota_bytes,
            live_jobs: self.quota_jobs,
            requests_a_minute: self.quota_requests,
        };
        json!({ "name": self.name, "owner": self.owner, "role": self.role, "quota": quota })
    }
}

/// The secret alone on standard output, so that a script can take it.
fn print_made(made: &MadeKey, json: bool) {
    if json {
        println!("{}", json!(made));
        return;
    }
    let KeyView {
        id, name, owner, role, ..
    } = &made.key;
    eprintln!("key {id} ({name}) for {owner}, role {role}; it is shown this once:");
    println!("{}", made.secret);
}

fn print_list(keys: &[KeyView], json: bool) {
    for key in keys {
        if json {
            println!("{}", json!(key));
            continue;
        }
        let KeyView {
            id,
            name,
            owner,
            role,
            created,
            revoked,
        } = key;
        let revoked = revoked.as_ref().map(|at| format!("  revoked {at}")).unwrap_or_default();
        println!("{id}  {owner:12} {role:5}  {created}  {name}{revoked}");
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(subcommand)]
        command: Command,
    }

    #[test]
    fn a_key_is_asked_for_as_the_api_takes_it() {
        let parse = |args: &[&str]| match Cli::parse_from([&["x", "add"], args].concat()).command {
            Command::Add(args) => args.document(),
            other => panic!("{other:?}"),
        };
        let plain = json!({ "name": "a", "owner": null, "role": "user", "quota": {} });
        assert_eq!(parse(&["a"]), plain);
        let args = [
            "a",
            "--owner",
            "anna",
            "--role",
            "admin",
            "--quota-bytes",
            "5",
            "--quota-requests",
            "7",
        ];
        let full = json!({
            "name": "a", "owner": "anna", "role": "admin", "quota": { "stored_bytes": 5, "requests_a_minute": 7 },
        });
        assert_eq!(parse(&args), full);
        for refused in [
            &["add", ""][..],
            &["add", "a", "--owner", "A/B"],
            &["add", "a", "--role", "root"],
            &["revoke", "1"],
        ] {
            assert!(Cli::try_parse_from([&["x"], refused].concat()).is_err(), "{refused:?}");
        }
    }
}
