//! A server from its start to its end.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::app::App;
use crate::error::{Error, Result};
use crate::http::{Tls, Token, listen, most_connections, router};
use crate::model::Stamp;
use crate::models::Models;
use crate::options::Options;
use crate::{reload, work};

/// Threads that read and write sockets.
const SOCKET_THREADS: usize = 2;
/// Threads that parse large bodies.
const PARSERS: usize = 2;
/// Maximum number of connections that wait until the server accepts them; the system may have a lower limit. Rust's 128
/// are too few for a burst: further clients would have to try again after a second.
const WAITING: i32 = 4096;

/// A server that has loaded its models and listens.
pub struct Server {
    app: Arc<App>,
    stamps: Vec<Option<Stamp>>,
    listener: TcpListener,
    address: SocketAddr,
}

impl Server {
    /// Loads the models and listens. Connections wait until [`Server::run`].
    ///
    /// # Errors
    /// [`Error::Option`], [`Error::Token`], [`Error::Model`] for a file that cannot be served, and [`Error::Listen`].
    pub fn open(mut options: Options) -> Result<Server> {
        options.check()?;
        if let Some(most) = most_connections().filter(|most| *most < options.max_connections) {
            let asked = std::mem::replace(&mut options.max_connections, most);
            tracing::info!("at most {most} connections, not {asked}: `ulimit -n` raises the number of open files");
        }
        let token = options.token_file.as_deref().map(Token::load).transpose()?;
        let tls = options.tls.as_ref().map(|files| Tls::load(&files.certificate, &files.key)).transpose()?;
        tch::set_num_threads(i32::try_from(options.threads_per_worker).unwrap_or(1));
        let (models, stamps) = Models::load(&options.files)?;
        let address = SocketAddr::new(options.host, options.port);
        let failed = |source| Error::Listen { address, source };
        let listener = TcpListener::bind(address).map_err(failed)?;
        socket2::SockRef::from(&listener).listen(WAITING).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Server { app: Arc::new(App::new(models, token, tls, options)), stamps, listener, address })
    }

    /// The address that it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The names of the models.
    pub fn models(&self) -> impl Iterator<Item = &str> {
        self.app.models.slots().iter().map(|slot| slot.name.as_str())
    }

    /// Answers requests until `stop` is set, and then those that have begun.
    ///
    /// # Errors
    /// [`Error::Start`] if the operating system gives no threads.
    pub fn run(self, stop: &AtomicBool) -> Result<()> {
        let Server { app, stamps, listener, .. } = self;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(SOCKET_THREADS)
            .max_blocking_threads(PARSERS)
            .thread_name("fm-http")
            .enable_all()
            .build()
            .map_err(Error::Start)?;
        let workers = work::start(&app, app.options.workers, app.options.threads_per_worker).map_err(Error::Start)?;
        let interval = app.options.reload_every;
        let is_over = AtomicBool::new(false);
        let result = std::thread::scope(|scope| {
            if !interval.is_zero() {
                scope.spawn(|| reload::watch(&app, stamps, interval, &is_over));
            }
            let result = runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).map_err(Error::Start)?;
                listen(listener, router(Arc::clone(&app)), Arc::clone(&app), stop).await;
                Ok(())
            });
            is_over.store(true, Ordering::Relaxed);
            result
        });
        runtime.shutdown_background();
        app.queue.close();
        for worker in workers {
            // A worker that panicked has reported it.
            let _ = worker.join();
        }
        result
    }
}
