//! `fm train`

use std::path::PathBuf;

use crate::completion;
use crate::flags::{
    DeviceFlags, Given, InitFlags, Keys, ModelFlags, ModelOptions, Processes, Rows, Set, TrainingFlags, all,
};

/// The arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
                        fm train --data ml-100k --model deepfm\n  \
                        fm train --config ml-100k/bayesian_fm --run runs/bayesian\n  \
                        fm train --data clicks.csv --schema schema.toml --task binary --lr 0.001\n  \
                        fm train --data ml-100k --model fm --embedding-dim 32 --print-config > own.toml\n  \
                        fm train --resume runs/deepfm-1")]
pub struct Train {
    /// The data.
    #[command(flatten)]
    pub rows: Rows,
    /// The model.
    #[command(flatten)]
    model: Given<ModelFlags>,
    /// Its options.
    #[command(flatten)]
    options: ModelOptions,
    /// How to train it.
    #[command(flatten)]
    training: Given<TrainingFlags>,
    /// Where training starts.
    #[command(flatten)]
    init_from: Given<InitFlags>,
    /// Resume an interrupted run with its own settings
    #[arg(
        long,
        value_name = "RUN",
        conflicts_with_all = decided_by_the_run(),
        help_heading = "Training",
        add = completion::runs()
    )]
    pub resume: Option<PathBuf>,
    /// Folder of the run [default: runs/MODEL-1, or the next free number]
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    pub run: Option<PathBuf>,
    /// Replace an earlier run in this folder
    ///
    /// Replace an earlier run in this folder. It is kept beside the folder until the new one has its first checkpoint.
    #[arg(long, help_heading = "Output")]
    pub force: bool,
    /// Also write event files for TensorBoard into the run's folder
    ///
    /// Also write event files for TensorBoard into the run's folder; `tensorboard --logdir runs` shows them, even
    /// during training.
    #[arg(long, help_heading = "Output")]
    pub tensorboard: bool,
    /// Several processes.
    #[command(flatten)]
    pub processes: Processes,
    /// Settings file, or a built-in one (see `fm settings`); flags override it
    #[arg(long, value_name = "FILE|NAME", help_heading = "General", add = completion::configs())]
    pub config: Option<String>,
    /// Other settings.
    #[command(flatten)]
    set: Set,
    /// Print all settings with their documentation as a file for --config, and exit
    #[arg(long, help_heading = "General")]
    pub print_config: bool,
    /// The device to train on.
    #[command(flatten)]
    pub device: Given<DeviceFlags>,
}

/// The flags that `--resume` excludes, because the run's settings decide them: all but those of this machine.
fn decided_by_the_run() -> Vec<&'static str> {
    let settings = all().map(|flag| flag.name).filter(|name| *name != "device");
    settings.chain(["others", "config", "set", "print_config", "run", "force"]).collect()
}

impl Train {
    /// The settings given by flags; later ones override earlier ones.
    pub fn keys(&self) -> Keys {
        let Train { rows, model, options, training, init_from, device, set, .. } = self;
        let flags = [rows.keys(), model.keys(), options.keys(), training.keys(), init_from.keys()];
        flags.into_iter().chain([device.keys(), set.keys()]).flatten().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::decided_by_the_run;

    #[test]
    fn a_resumed_run_has_decided_every_flag_but_those_of_the_machine() {
        let of_the_machine =
            ["data_dir", "device", "tensorboard", "resume", "distributed", "distributed_timeout", "tables"];
        let command = crate::command();
        let train = command.find_subcommand("train").unwrap();
        let decided = decided_by_the_run();
        let ids = train.get_arguments().map(|arg| arg.get_id().as_str());
        let undecided: Vec<&str> = ids.filter(|id| !of_the_machine.contains(id) && !decided.contains(id)).collect();
        assert!(undecided.is_empty(), "{undecided:?}");
    }
}
