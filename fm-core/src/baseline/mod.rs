//! Baselines: predictions and rankings that every model must beat.

mod als;
mod ease;
mod item_knn;
mod popularity;
mod user_item_bias;

pub use als::{Als, AlsConfig};
pub use ease::Ease;
pub use item_knn::ItemKnn;
pub use popularity::popularity;
pub use user_item_bias::UserItemBias;
