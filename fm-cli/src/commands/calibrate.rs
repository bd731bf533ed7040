//! `fm calibrate`

use anyhow::{Result, bail};
use fm_args::commands::{Calibrate, CalibrationMethod};
use fm_args::flags::Part;
use fm_core::calibration::Calibration;
use fm_core::metric::{Metrics, Scored};
use fm_core::terminal::grouped;
use fm_core::{Rows, Task};
use fm_models::Run;
use fm_models::run::BuiltModel;
use serde_json::json;

use super::{print, print_json};
use crate::console::{decimal, width};
use crate::evaluation::Evaluation;
use crate::metric::in_order;
use crate::predictor::{Predictor, moved};
use crate::progress::during;
use crate::text_table::{Column, fitting, markdown};

pub fn run(args: &Calibrate) -> Result<()> {
    let mut run = Run::open(&args.run)?;
    let folder = args.run.display();
    if !matches!(run.schema().label().task, Task::Binary { .. }) {
        bail!("{folder} predicts no probability, so there is nothing to calibrate: only binary tasks have one");
    }
    run.lock()?;
    if args.remove {
        return match run.remove_calibration()? {
            true => print(format!("{folder} no longer has a calibration: its scores are those of training")),
            false => bail!("{folder} has no calibration"),
        };
    }
    let predictor = Predictor::of_run_uncalibrated(&run, &args.device.device)?;
    let label = predictor.schema.label().clone();
    let source = predictor.source(&moved(args.moved.data.as_ref(), &args.moved.tables), &args.folders)?;
    let [valid, test] = [Part::Valid, Part::Test].map(|part| Evaluation::new(&predictor, &source, part));
    let (valid, test) = (valid?, test?);
    if valid.has_changed(&run) || test.has_changed(&run) {
        bail!(
            "the data has changed since {folder} was trained, so its validation rows may be training rows: give the data of the \
             training with `--data`"
        );
    }
    if valid.rows.is_empty() {
        bail!("{folder} has no validation rows to calibrate on");
    }
    let metrics = |predictor: &Predictor<BuiltModel>| -> Result<[Metrics; 2]> {
        let of = |part: &Evaluation| part.metrics(&predictor.model, &label, predictor.device);
        Ok([of(&valid)?, of(&test)?])
    };
    let (calibration, before) = during("scoring the validation and test rows", || {
        let logits = predictor.logits(&valid.rows)?;
        let (labels, weights) = (valid.rows.labels(), valid.rows.weights());
        let scored = Scored::new(&logits, &labels).with_weights(weights.as_deref());
        Ok::<_, anyhow::Error>((fit(args.method, &scored)?, metrics(&predictor)?))
    })?;
    let predictor = predictor.calibrated(&calibration)?;
    let after = during("measuring the calibrated model", || metrics(&predictor))?;
    run.calibrate(calibration.clone(), after.clone())?;

    let ([valid_before, test_before], [valid_after, test_after]) = (&before, &after);
    if args.form.json {
        return print_json(&json!({
            "run": args.run, "calibration": calibration, "rows": valid.rows.len(),
            "valid": { "before": valid_before, "after": valid_after },
            "test": { "before": test_before, "after": test_after },
        }));
    }
    print(format!(
        "{folder} is calibrated on {} validation rows: {}",
        grouped(valid.rows.len() as i64),
        describe(&calibration)
    ))?;
    let names = in_order(valid_before.keys());
    let column = |title: &str, rank: usize, metrics: &Metrics| {
        let cell = |name: &&String| metrics.get(*name).map_or("–".to_owned(), |value| decimal(*value, 4));
        Column::new(title, rank, names.iter().map(cell))
    };
    let mut columns = vec![Column::new("metric", 0, names.iter().map(|name| (*name).clone()))];
    if !test.rows.is_empty() {
        columns.extend([column("test before", 1, test_before), column("test after", 1, test_after)]);
    }
    columns.extend([column("validation before", 2, valid_before), column("validation after", 2, valid_after)]);
    print(format!("\n{}", markdown(&fitting(columns, width())).trim_end()))?;
    if let (Some(before), Some(after)) = (test_before.get("logloss"), test_after.get("logloss"))
        && after > before
    {
        tracing::warn!(
            "the log loss of the test rows is higher than before: `fm calibrate {folder} --remove` restores the scores of training"
        );
    }
    Ok(())
}

fn fit(method: CalibrationMethod, scored: &Scored<'_>) -> fm_core::Result<Calibration> {
    match method {
        CalibrationMethod::Platt => Calibration::platt(scored),
        CalibrationMethod::Temperature => Calibration::temperature(scored),
        CalibrationMethod::Isotonic => Calibration::isotonic(scored),
    }
}

fn describe(calibration: &Calibration) -> String {
    match calibration {
        Calibration::Platt { slope, intercept } => {
            format!("Platt scaling, log-odds = {slope:.4} × logit {} {:.4}", sign(*intercept), intercept.abs())
        }
        Calibration::Temperature { temperature } => format!("temperature {temperature:.4}"),
        Calibration::Isotonic { rises, .. } => format!("isotonic regression, {} levels", rises.len() + 1),
    }
}

fn sign(number: f64) -> char {
    if number < 0.0 { '−' } else { '+' }
}
