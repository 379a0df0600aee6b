//! A TCP proxy that is as bad a network as a test wants.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{Instant, sleep_until};

/// A direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    ToBroker,
    FromBroker,
}

/// What becomes of what is sent in a direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Mode {
    #[default]
    Pass,
    /// It arrives this much later.
    Late(Duration),
    /// It arrives when this is over.
    Hold,
    /// It never arrives, nor does anything after it on the same connection, its end included.
    Swallow,
}

#[derive(Clone, Copy, Debug, Default)]
struct Weather {
    to_broker: Mode,
    from_broker: Mode,
    refuses: bool,
}

impl Weather {
    fn of(&mut self, way: Way) -> &mut Mode {
        match way {
            Way::ToBroker => &mut self.to_broker,
            Way::FromBroker => &mut self.from_broker,
        }
    }
}

/// A proxy to a port of this machine.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    weather: watch::Sender<Weather>,
    cut: Arc<Notify>,
}

impl Proxy {
    pub(crate) async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let here = listener.local_addr().unwrap().port();
        let weather = watch::Sender::new(Weather::default());
        let cut = Arc::new(Notify::new());
        let (cuts, forecast) = (Arc::clone(&cut), weather.subscribe());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if forecast.borrow().refuses {
                    continue;
                }
                let (forecast, cuts) = (forecast.clone(), Arc::clone(&cuts));
                tokio::spawn(async move {
                    let cut = cuts.notified();
                    let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await else {
                        return;
                    };
                    let (from_client, to_client) = client.into_split();
                    let (from_server, to_server) = server.into_split();
                    tokio::select! {
                        () = cut => {}
                        () = carry(from_client, to_server, Way::ToBroker, forecast.clone()) => {}
                        () = carry(from_server, to_client, Way::FromBroker, forecast) => {}
                    }
                });
            }
        });
        let port = here;
        Self { port, weather, cut }
    }

    /// Ends all connections there are.
    pub(crate) fn cut(&self) {
        self.cut.notify_waiters();
    }

    /// What becomes of what arrives here from now on.
    pub(crate) fn set(&self, way: Way, mode: Mode) {
        self.weather.send_modify(|weather| *weather.of(way) = mode);
    }

    pub(crate) fn set_both(&self, mode: Mode) {
        self.set(Way::ToBroker, mode);
        self.set(Way::FromBroker, mode);
    }

    /// Whether new connections are ended at once.
    pub(crate) fn refuse(&self, refuses: bool) {
        self.weather.send_modify(|weather| weather.refuses = refuses);
    }
}

async fn carry(from: OwnedReadHalf, to: OwnedWriteHalf, way: Way, weather: watch::Receiver<Weather>) {
    let (parcels, due) = mpsc::unbounded_channel();
    tokio::select! {
        () = collect(from, parcels, way, weather) => {}
        () = deliver(to, due) => {}
    }
}

async fn collect(
    mut from: OwnedReadHalf,
    parcels: mpsc::UnboundedSender<(Instant, Vec<u8>)>,
    way: Way,
    mut weather: watch::Receiver<Weather>,
) {
    let mut buffer = vec![0; 16 << 10];
    loop {
        let read = from.read(&mut buffer).await.unwrap_or(0);
        let Ok(now) = weather.wait_for(|weather| *weather.clone().of(way) != Mode::Hold).await else {
            return;
        };
        let delay = match *now.clone().of(way) {
            // The other end of what was sent is not to hear of its end either.
            Mode::Swallow => return std::future::pending().await,
            Mode::Late(delay) => delay,
            Mode::Pass | Mode::Hold => Duration::ZERO,
        };
        drop(now);
        if read == 0 || parcels.send((Instant::now() + delay, buffer[..read].to_vec())).is_err() {
            return;
        }
    }
}

async fn deliver(mut to: OwnedWriteHalf, mut due: mpsc::UnboundedReceiver<(Instant, Vec<u8>)>) {
    while let Some((when, parcel)) = due.recv().await {
        sleep_until(when).await;
        if to.write_all(&parcel).await.is_err() {
            return;
        }
    }
    std::future::pending().await
}
