//! `clearfleet serve`: API, storage, queue, scheduler and workers in one process.

mod args;
mod service;
mod storage;

use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clearfleet_common::ErrorCode;
use clearfleet_common::telemetry::trace::{self, Tracing};
use clearfleet_worker::cli::process::stop_on_signals;
use clearfleet_worker::{Error, Result};
use tokio::net::TcpListener;

pub(super) use args::{ServeArgs, data_dir};
use service::Service;

use super::exit::exit_code;
use super::report::Reporter;

/// What shutting down may take beyond the grace period of the work, its last spans included.
const CLOSING: Duration = Duration::from_secs(15);

/// Runs the command.
pub(super) fn run(args: &ServeArgs) -> ExitCode {
    match start(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            Reporter::new(args.json, false).failed(None, &e);
            ExitCode::from(exit_code(e.code()))
        }
    }
}

fn start(args: &ServeArgs) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| Error::internal("the threads of the server cannot be started").because(e))?;
    let served = runtime.block_on(serve(args));
    // What still blocks a thread by now (a system call on a dead disk) does not keep the process.
    runtime.shutdown_timeout(Duration::from_secs(5));
    served
}

async fn serve(args: &ServeArgs) -> Result<()> {
    let stop = stop_on_signals(exit_code(ErrorCode::Stopped))?;
    let data_dir = args.data_dir()?;
    // First of all: a port that is taken is said before anything is opened.
    let listener = listen(args.listen).await?;
    let address = listener.local_addr().unwrap_or(args.listen);
    let tracing = Tracing::start("clearfleet-api");
    let service = Service::start(args, &data_dir, address, tracing.as_ref()).await?;
    say_listening(args, &data_dir, address);
    service.run(listener, &stop).await;
    tracing::info!("stopping; SIGTERM again ends at once");
    let patience = args.grace + CLOSING.saturating_sub(trace::CLOSING);
    let closed = tokio::time::timeout(patience, service.close(args.grace)).await;
    if closed.is_err() {
        tracing::warn!("the service did not close in time; what was acknowledged is safe");
    }
    if let Some(tracing) = tracing {
        tracing.end().await;
    }
    Ok(())
}

async fn listen(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|e| {
        let error = Error::new(ErrorCode::SettingsInvalid, format!("cannot listen on {address}"));
        error.with("listen", address).because(e)
    })
}

fn say_listening(args: &ServeArgs, data_dir: &Path, address: SocketAddr) {
    let url = format!("http://{address}");
    if args.json {
        let data_dir = data_dir.display().to_string();
        println!(
            "{}",
            serde_json::json!({ "event": "listening", "url": url, "data_dir": data_dir })
        );
    } else {
        println!("clearfleet serves {url} and keeps its data in {}", data_dir.display());
        println!("what the API offers: {url}/docs");
    }
}
