//! How good generated images are.
//!
//! A metric compares real and fake images through what an extractor sees in them. The heads below take plain
//! [`Features`] in double precision and know nothing of images, networks or devices; `(real, fake)` come in this order.

mod accuracy;
mod features;
mod frechet;
mod inception_score;
mod interval;
mod kid;
mod matrix;
mod numpy_order;
mod prdc;

pub use accuracy::{accuracy, accuracy_with_interval, predictions};
pub use features::Features;
pub use frechet::{Gaussian, frechet_distance, frechet_with_interval};
pub use inception_score::{inception_score, inception_score_with_interval};
pub use interval::Interval;
pub use kid::{kid, kid_subsets, kid_with_interval};
pub use prdc::{Prdc, prdc, prdc_with_intervals};
