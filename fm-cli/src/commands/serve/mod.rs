//! `fm serve`

mod runs;

use std::time::Duration;

use anyhow::Result;
use fm_args::commands::Serve;
use fm_serve::{ModelFile, Options, Server, TlsFiles};

use crate::interruption::stop_at_ctrl_c;

/// `threads` is the value of `--threads`.
pub fn run(args: &Serve, threads: Option<usize>) -> Result<()> {
    let mut options = options(args, threads)?;
    // An export can take long, and its file has the name of its model.
    options.check()?;
    let exported = runs::export_runs(&mut options.files, &args.folders)?;
    let server = Server::open(options)?;
    // The models are in memory. Nothing is left on the disk, however the server ends.
    drop(exported);
    // Before the message, so that whoever waits for it can stop the server.
    let stop = stop_at_ctrl_c()?;
    let models: Vec<&str> = server.models().collect();
    let scheme = if args.tls_cert.is_some() { "https" } else { "http" };
    tracing::info!("serving {} on {scheme}://{}", models.join(", "), server.address());
    if !args.host.is_loopback() && args.token_file.is_none() {
        tracing::warn!(
            "anyone who reaches {} can use the models: --token-file requires a token, and --tls-cert keeps it secret",
            server.address()
        );
    }
    server.run(&stop)?;
    tracing::info!("stopped");
    Ok(())
}

fn options(args: &Serve, threads: Option<usize>) -> Result<Options> {
    let files = args.files.iter().map(|text| ModelFile::parse(text)).collect::<fm_serve::Result<_>>()?;
    let defaults = Options::new(files);
    let max_body = args.max_body.saturating_mul(1024);
    Ok(Options {
        host: args.host,
        port: args.port,
        workers: args.workers.unwrap_or(defaults.workers),
        threads_per_worker: threads.unwrap_or(1),
        max_batch: args.max_batch,
        batch_wait: Duration::from_micros(args.batch_wait),
        queue_rows: args.max_queue,
        max_rows: args.max_rows,
        max_body,
        max_bodies: defaults.max_bodies.max(max_body),
        timeout: Duration::from_secs(args.timeout),
        max_connections: args.max_connections,
        reload_every: Duration::from_secs(args.reload_every),
        token_file: args.token_file.clone(),
        tls: args.tls_cert.clone().zip(args.tls_key.clone()).map(|(certificate, key)| TlsFiles { certificate, key }),
        ..defaults
    })
}
