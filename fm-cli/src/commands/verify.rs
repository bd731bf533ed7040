//! `fm verify`

use anyhow::{Result, bail};
use fm_args::commands::Verify;
use fm_core::Schema;
use fm_core::script::{Origin, Verified, verify};
use fm_core::terminal;
use fm_core::terminal::grouped;
use fm_models::Run;
use serde_json::json;
use tch::Device;

use super::{print, print_json};
use crate::changes::Values;
use crate::results::Results;

pub fn run(args: &Verify) -> Result<()> {
    if args.file.is_dir() {
        let run = Run::open(&args.file)?;
        // Everything that is read elsewhere, each with its check.
        run.load(Device::Cpu)?;
        run.files().check_all()?;
        run.files().epochs()?;
        Results::of_run(&run)?;
        Values::of_run(&run)?;
        return tell(args, "run", Some(&run.origin()), run.schema(), None);
    }
    if args.file.is_file() && args.file.extension().is_some_and(|extension| extension == "onnx") {
        let path = args.file.display();
        bail!("{path} is an ONNX file, which has no checksums: `fm verify` checks TorchScript files and runs");
    }
    let Verified { origin, schema, records, bytes } = verify(&args.file)?;
    tell(args, "TorchScript", origin.as_ref(), &schema, Some((records, bytes)))
}

fn tell(args: &Verify, kind: &str, origin: Option<&Origin>, schema: &Schema, size: Option<(usize, u64)>) -> Result<()> {
    let fields: Vec<&str> = schema.fields().iter().map(|field| field.name.as_str()).collect();
    if args.form.json {
        let (records, bytes) = size.unzip();
        return print_json(&json!({
            "file": args.file, "kind": kind, "whole": true, "origin": origin, "label": schema.label().column,
            "fields": fields, "records": records, "bytes": bytes,
        }));
    }
    let line = |name: &str, value: &str| print(terminal::line(&format!("{name:<12} {value}")));
    line("file", &args.file.display().to_string())?;
    line("kind", kind)?;
    match origin {
        Some(origin) => {
            line("model", &origin.model)?;
            line("run", &format!("{}, created {}", origin.run, origin.created))?;
            line("checkpoint", &format!("{}, epoch {}", origin.checkpoint, origin.epoch))?;
            if let Some(method) = &origin.calibration {
                line("calibration", method)?;
            }
            line("schema", &origin.schema)?;
            for (part, digest) in &origin.rows {
                line(&format!("{part} rows"), digest)?;
            }
            line("written by", &format!("fm {}, libtorch {}", origin.fm, origin.libtorch))?;
        }
        None => line("origin", "unknown: it was not exported from a run")?,
    }
    line("label", &schema.label().column)?;
    line("fields", &fields.join(", "))?;
    if let Some((records, bytes)) = size {
        line("content", &format!("{records} records, {} bytes", grouped(bytes as i64)))?;
    }
    print("It is whole.")
}
