//! The subcommands, one file each, with arguments and examples.

mod compare;
mod completions;
mod data;
mod doctor;
mod evaluate;
mod explain;
mod export;
mod models;
mod predict;
mod recommend;
mod report;
mod runs;
mod serve;
mod settings;
mod summary;
mod train;
mod tune;
mod verify;

pub use compare::Compare;
pub use completions::Completions;
pub use data::{Cache, Clear, Convert, DataCommand, Download, Infer, Inspect, Presets, Synth};
pub use doctor::Doctor;
pub use evaluate::Evaluate;
pub use explain::Explain;
pub use export::{Dtype, Export, ExportFormat, Quantization};
pub use models::Models;
pub use predict::Predict;
pub use recommend::Recommend;
pub use report::Report;
pub use runs::Runs;
pub use serve::Serve;
pub use settings::Settings;
pub use summary::Summary;
pub use train::Train;
pub use tune::{Sampler, Tune};
pub use verify::Verify;
