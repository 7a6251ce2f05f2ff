//! Evaluations beside a training: the option `evaluate` of `gan::train`.

use std::sync::Arc;

use rhai::{Array, Dynamic, Map, NativeCallContext};

use super::metric::{asked, fakes_of};
use crate::data::{Dataset, Labelled};
use crate::error::{Error, Result};
use crate::gan::{self, Evaluate, Scored};
use crate::metric::Asked;
use crate::progress::Job;
use crate::script::{At, Fallible, args};

/// An evaluation that waits for its turn, and what the GAN learns from.
struct Evaluating {
    asked: Asked,
    data: Arc<Labelled>,
}

impl Evaluate for Evaluating {
    fn scores(&self, gan: &gan::Gan, job: &Job) -> Result<Vec<Scored>> {
        let scores = self.asked.of(&fakes_of(gan, &self.data, &self.asked, &job.stop)?, job)?;
        Ok(scores.named().map(|(name, row)| Scored { name, value: row.value, better: row.better }).collect())
    }
}

/// The evaluation that the option `evaluate` asks for, taken out of the options; a number is no one's.
pub(super) fn taken(
    ctx: &NativeCallContext,
    options: &mut Map,
    data: &Arc<Labelled>,
) -> Fallible<Option<Arc<dyn Evaluate>>> {
    const EXPECTED: &str = "a map such as `#{ on: data.test, metrics: [\"fd\", \"kid\"], n: 1000 }`";
    let Some(mut map) = args::take::<Map>(ctx, options, "evaluate", EXPECTED)? else { return Ok(None) };
    let Some(real) = args::take::<Dataset>(ctx, &mut map, "on", "a data set")? else {
        let error = Error::new("the option `evaluate` has no `on`: the real images to compare with");
        return Err(error.help(format!("it must be {EXPECTED}"))).at(ctx);
    };
    let metrics = match args::take::<Array>(ctx, &mut map, "metrics", "a list of names")? {
        Some(names) => args::names(ctx, "metrics", &names)?,
        None => vec!["fd".to_string()],
    };
    // One number a score is what a curve is made of; the rest would take most of the time.
    for name in ["intervals", "floor"] {
        map.entry(name.into()).or_insert(Dynamic::FALSE);
    }
    let mut asked = asked(ctx, &real, metrics, map)?;
    // What is seen in real images is looked up again and again.
    asked.cache = asked.cache.remembering();
    Ok(Some(Arc::new(Evaluating { asked, data: Arc::clone(data) })))
}
