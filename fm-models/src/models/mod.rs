//! The models, one file each, and the registry that names them.
//!
//! The command line and the tests read [`MODELS`], so a new model is one file and one line here. The options of a model
//! default to the form of its paper. If a Keras notebook differs from it, an option selects the notebook's form; the
//! documentation of the model names it.

pub mod afm;
pub mod afn;
pub mod autoint;
pub mod bayesian_fm;
pub mod bst;
pub mod dcn;
pub mod dcn_v2;
pub mod deepfm;
pub mod deepfm_dense;
pub mod destine;
pub mod din;
pub mod dlrm;
pub mod dnn;
pub mod edcn;
pub mod ensemble;
pub mod ffm;
pub mod fibinet;
pub mod finalmlp;
pub mod finalnet;
pub mod fm;
pub mod fmfm;
pub mod fwfm;
pub mod gdcn;
pub mod hofm;
pub mod lr;
pub mod masknet;
pub mod ncf;
pub mod nfm;
pub mod pnn;
pub mod sasrec;
pub mod two_tower;
pub mod wide_deep;
pub mod wukong;
pub mod xdeepfm;

use fm_core::{ModelEntry, Result};

/// All models.
///
/// ```
/// use fm_models::MODELS;
///
/// for entry in MODELS {
///     println!("{}: {} ({}) captures {}", entry.name, entry.title, entry.year, entry.captures);
/// }
/// assert!(MODELS.iter().any(|entry| (entry.title, entry.year) == ("DeepFM", 2017)));
/// ```
pub const MODELS: &[ModelEntry] = &[
    lr::ENTRY,
    fm::ENTRY,
    bayesian_fm::ENTRY,
    ffm::ENTRY,
    nfm::ENTRY,
    afm::ENTRY,
    deepfm::ENTRY,
    xdeepfm::ENTRY,
    dcn::ENTRY,
    dcn_v2::ENTRY,
    autoint::ENTRY,
    destine::ENTRY,
    fwfm::ENTRY,
    fmfm::ENTRY,
    pnn::ENTRY,
    fibinet::ENTRY,
    masknet::ENTRY,
    finalmlp::ENTRY,
    gdcn::ENTRY,
    edcn::ENTRY,
    afn::ENTRY,
    hofm::ENTRY,
    dlrm::ENTRY,
    finalnet::ENTRY,
    wukong::ENTRY,
    dnn::ENTRY,
    wide_deep::ENTRY,
    ncf::ENTRY,
    two_tower::ENTRY,
    din::ENTRY,
    bst::ENTRY,
    sasrec::ENTRY,
    ensemble::ENTRY,
];

/// The model of this name.
///
/// # Errors
/// [`fm_core::Error::Setting`] with the closest name and all names.
///
/// ```
/// assert_eq!(fm_models::find("deepfm")?.title, "DeepFM");
/// assert!(fm_models::find("depfm").unwrap_err().to_string().contains("did you mean `deepfm`?"));
/// # Ok::<(), fm_core::Error>(())
/// ```
pub fn find(name: &str) -> Result<&'static ModelEntry> {
    fm_core::model::find(MODELS, name)
}
