//! How good generated images are.
//!
//! A metric compares real and fake images through what an [`Extractor`] sees in them. The heads (one file each) take
//! plain [`Features`] in double precision and know nothing of images, networks or devices; `(real, fake)` come in this
//! order. [`METRICS`] lists what an [`Evaluation`] can be asked for, [`Scores`] is what it answers: every number with its
//! protocol, its interval, and what real images score in its place.

mod accuracy;
mod asked;
mod cache;
mod cas;
mod clip;
mod cmmd;
mod conditioning;
mod dinov2;
mod evaluate;
mod extractor;
mod eyes;
mod features;
mod floor;
mod fractal_dimension;
mod frechet;
mod gilbo;
mod inception;
mod inception_score;
mod interval;
mod judge;
mod kid;
mod matrix;
mod ms_ssim;
mod nearest;
mod numpy_order;
mod overfitting;
mod per_class;
mod prd;
mod prdc;
mod resize;
mod sampled;
mod scores;
mod squeezenet;
mod table;
#[cfg(test)]
mod testing;

pub use accuracy::{accuracy, accuracy_with_interval, predictions};
pub use asked::{Asked, Fakes};
pub use cache::{Cache, MOST as CACHE_MOST};
pub use cas::{Cas, cas};
pub use clip::Clip;
pub use cmmd::cmmd;
pub use conditioning::{conditioning, jacobians, log_condition};
pub use dinov2::DinoV2;
pub use evaluate::{EvaluateOptions, Evaluation};
pub use extractor::{Extractor, Role, Seen, see, see_again};
pub use eyes::{EXTRACTORS, ExtractorRow, Sight};
pub use features::Features;
pub use fractal_dimension::{fractal_dimension, fractal_dimension_of_images};
pub use frechet::{Gaussian, frechet_distance, frechet_with_interval};
pub use gilbo::{Gilbo, GilboOptions};
pub use inception::Inception;
pub use inception_score::{inception_score, inception_score_with_interval};
pub use interval::Interval;
pub use judge::{Judge, JudgeOptions};
pub use kid::{kid, kid_subsets, kid_with_interval};
pub use ms_ssim::{ms_ssim, ms_ssim_of_pairs};
pub use nearest::{Nearest, nearest};
pub use overfitting::{Overfitting, Shown, overfitting};
pub use per_class::{Labelled, PerClass, frechet_per_class};
pub use prd::{Prd, PrdScores, f_beta, prd};
pub use prdc::{Edge, Prdc, prdc, prdc_with_intervals, precision_recall};
pub use resize::Resizer;
pub use sampled::{learned_from, sampled, unrounded};
pub use scores::{Better, Curve, Protocol, Score, Scores, Shot};
pub use squeezenet::SqueezeNet;
pub use table::{Comparison, METRICS, Measured, Metric, Need, Side, Whole};
